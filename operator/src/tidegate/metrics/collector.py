"""What has been seen of a rollout, poll by poll, fetched once per point and kept while the operator runs.

After a restart everything is fetched again from Prometheus, over the same grid, and so comes out the same.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.judge.query_limits import unusable_query
from tidegate.judge.sampling import Segment, segments
from tidegate.metrics.increments import (
    ANSWERED,
    DURATION,
    REQUESTS,
    Sample,
    SeriesKey,
    counter_increases,
    counts_by_pod,
    counts_of,
)
from tidegate.metrics.observers import Counters
from tidegate.metrics.preflight import Reference, overdispersion_of, reference_of, slower_scrape, stable_now
from tidegate.metrics.providers.prometheus import Metrics, ServerCounters
from tidegate.metrics.user_queries import ask
from tidegate.model.evidence import Counts, Durations, Increment, Measurements, MetricsGap, Overdispersion
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis
from tidegate.model.status import Rollout
from tidegate.model.traffic import Arms, Share
from tidegate.model.units import format_duration
from tidegate.resources.names import PREVIEW_SUFFIX


@dataclass
class _Followed:
    """How far one rollout's counters have been read."""

    began: datetime | None = None
    """When the candidate got its first traffic."""
    points: dict[datetime, int] = field(default_factory=dict)
    routed_last: Sample = field(default_factory=dict)
    routed_at: datetime | None = None
    served_last: Sample = field(default_factory=dict)
    served_at: datetime | None = None
    routed: list[tuple[datetime, Sample]] = field(default_factory=list)
    """The routers' counters at the latest points, as far back as a share has to reach."""
    increments: list[Increment] = field(default_factory=list)
    exposed: Counts = field(default_factory=Counts)
    reference: Reference | None = None
    overdispersion: Overdispersion | None = None
    warm_from: dict[str, datetime] = field(default_factory=dict)
    """When each model server's latency begins to count."""
    blind: bool = False


class MetricsCollector:
    """Turns Prometheus' counters into a Sight. Safe to use from several threads for different ModelDeployments."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._followed: dict[tuple[str, str], tuple[tuple[str, datetime], _Followed]] = {}
        self._lock = threading.Lock()

    def forget(self, namespace: str, name: str) -> None:
        """Drops what was kept of a ModelDeployment that has no rollout any more."""
        with self._lock:
            self._followed.pop((namespace, name), None)

    def measurements(
        self,
        arms: Arms,
        rollout: Rollout,
        analysis: Analysis,
        counters: Counters,
        *,
        propagation_delay: timedelta,
        until: datetime,
    ) -> Measurements | MetricsGap:
        """All polls of a rollout up to `until`, or why they can't be seen.

        Two queries, one more for each of the user's own, and a few more the first time.
        """
        followed = self._followed_of(arms, rollout)
        try:
            if not rollout.shifts:
                return self._before(arms, analysis, counters, propagation_delay, until)
            began = followed.began = rollout.shifts[0].at
            if followed.reference is None:
                followed.reference = reference_of(self._metrics, arms, began)
            if followed.overdispersion is None:
                followed.overdispersion = overdispersion_of(self._metrics, arms, followed.reference, analysis, began)
            for segment in segments(rollout.shifts, analysis.interval, propagation_delay, until):
                self._follow(followed, segment, arms, counters)
            about = arms.candidate
            answers = ask(
                self._metrics, analysis.queries, arms, about=about, until=_whole(until), step=analysis.interval
            )
        except MetricsUnavailable as error:
            return MetricsGap(Reason.METRICS_UNAVAILABLE, str(error))
        except ValueError as error:
            return MetricsGap(
                Reason.HISTOGRAMS_DIFFER, f"latency can't be compared: {error}; use one server image for both"
            )
        if followed.blind:
            return _no_series(arms, analysis)
        reference, overdispersion = followed.reference.durations, followed.overdispersion
        return Measurements(tuple(followed.increments), reference, followed.exposed, overdispersion, answers)

    def share(self, namespace: str, name: str, counters: Counters, span: timedelta, until: datetime) -> Share | None:
        """Requests per revision in the last `span`; None if the counters aren't there at both ends.

        While a rollout is followed, its own points tell it, up to one interval later, and nothing is asked.
        """
        held = self._followed.get((namespace, name))
        followed = held[1] if held else None
        if followed and followed.points:
            return _share_of(followed.routed, span)
        try:
            before, after = self._metrics.samples(counters(namespace, name, None), until - span, span, 2)
        except MetricsUnavailable:
            return None
        return _share_between((until - span, before), (until, after))

    def _before(
        self, arms: Arms, analysis: Analysis, counters: Counters, propagation_delay: timedelta, until: datetime
    ) -> Measurements | MetricsGap:
        """A rollout without traffic yet: whether all could be seen if there were some, and how much there is."""
        until = _whole(until)
        now = stable_now(self._metrics, arms, counters, until)
        if not now.is_counted:
            return _no_series(arms, analysis)
        if slow := slower_scrape(self._metrics, arms, counters, propagation_delay, until):
            return _scraped_slowly(slow, propagation_delay)
        answers = ask(self._metrics, analysis.queries, arms, about=arms.stable, until=until, step=analysis.interval)
        if unusable := unusable_query(answers):
            return MetricsGap(
                Reason.QUERY_UNUSABLE, f"{unusable}; it was asked about stable, and has to work on that first"
            )
        return Measurements((), baseline=now.baseline)

    def _followed_of(self, arms: Arms, rollout: Rollout) -> _Followed:
        identity = (rollout.candidate, rollout.started_at)
        case = (arms.namespace, arms.name)
        with self._lock:
            held = self._followed.get(case)
            if held is None or held[0] != identity:
                held = (identity, _Followed())
                self._followed[case] = held
            return held[1]

    def _follow(self, followed: _Followed, segment: Segment, arms: Arms, counters: Counters) -> None:
        done = followed.points.get(segment.start, 0)
        missing = segment.points - done
        if missing <= 0:
            return
        start = segment.instant(done)
        requests = counters(arms.namespace, arms.name, None)
        servers = ServerCounters(arms.namespace, arms.name, (arms.stable, arms.candidate))
        routed = self._metrics.samples(requests, start, segment.step, missing)
        served = self._metrics.samples(servers, start, segment.step, missing)
        for offset, (one, other) in enumerate(zip(routed, served, strict=True)):
            _note(followed.routed, segment, segment.instant(done + offset), one)
            _take(followed, segment, done + offset, _of_arms(one, arms), other, arms)
        followed.points[segment.start] = segment.points


def _whole(at: datetime) -> datetime:
    """Prometheus answers at whole seconds."""
    return at.replace(microsecond=0)


def _of_arms(sample: Sample, arms: Arms) -> Sample:
    return {key: value for key, value in sample.items() if key.revision in (arms.stable, arms.candidate)}


def _note(routed: list[tuple[datetime, Sample]], segment: Segment, at: datetime, sample: Sample) -> None:
    routed.append((at, sample))
    del routed[: -(segment.delay_points + 2)]


def _take(followed: _Followed, segment: Segment, index: int, routed: Sample, served: Sample, arms: Arms) -> None:
    followed.blind = not routed
    if not routed:
        return
    at = segment.instant(index)
    gained = counter_increases(followed.routed_last, routed) if followed.routed_at is not None else {}
    stable, candidate = counts_of(arms.stable, gained), counts_of(arms.candidate, gained)
    followed.exposed = followed.exposed + Counts(candidate.requests, candidate.failed)
    # A block that began before the split had settled, or in an earlier segment, isn't judged.
    settled = segment.instant(segment.delay_points)
    if followed.routed_at is not None and (followed.routed_at >= settled or segment.start == followed.began):
        pods: Mapping[str, Counts] = {}
        if index > segment.delay_points and index % segment.delay_points == 0:
            # Each pod is scraped at a time of its own, so a block shorter than a scrape interval would hold one arm's
            # requests and not the other's. What the servers count is read once in that time.
            told = _told_by_servers(followed, segment, served, at)
            stable, candidate = stable + counts_of(arms.stable, told), candidate + counts_of(arms.candidate, told)
            pods = counts_by_pod(arms.candidate, told)
            reference = followed.reference.durations if followed.reference else None
            _same_buckets(reference, stable.durations, candidate.durations)
        followed.increments.append(Increment(at, stable, candidate, pods))
    followed.routed_last, followed.routed_at = routed, at
    if index % segment.delay_points == 0:
        followed.served_last, followed.served_at = served, at


def _told_by_servers(followed: _Followed, segment: Segment, served: Sample, at: datetime) -> Mapping[SeriesKey, int]:
    """Since the point before, if that is one of the same split that had settled; nothing otherwise."""
    settled = segment.instant(segment.delay_points)
    if followed.served_at is None or followed.served_at < settled:
        return {}
    gained = counter_increases(followed.served_last, served)
    return _without_warm_up(followed, gained, served, at, segment)


def _without_warm_up(
    followed: _Followed, gained: Mapping[SeriesKey, int], served: Sample, at: datetime, segment: Segment
) -> dict[SeriesKey, int]:
    """Leaves out the latency of processes that have just begun: their first requests pay for what later ones don't."""
    before = {key.owner for key in followed.served_last if key.measure == DURATION}
    fallen = {key.owner for key, value in served.items() if value < followed.served_last.get(key, 0.0)}
    for owner in {key.owner for key in served if key.measure == DURATION}:
        if owner not in before or owner in fallen:
            followed.warm_from[owner] = at + segment.delay_points * segment.step
    return {
        key: 0 if key.measure == DURATION and at <= followed.warm_from.get(key.owner, segment.start) else gain
        for key, gain in gained.items()
    }


def _same_buckets(*histograms: Durations | None) -> None:
    kinds = {histogram.bounds for histogram in histograms if histogram is not None and histogram.bounds}
    if len(kinds) > 1:
        raise ValueError("the model servers of the two revisions have different buckets")


def _share_of(routed: list[tuple[datetime, Sample]], span: timedelta) -> Share | None:
    """Over the latest points, at least as long as `span`."""
    if not routed:
        return None
    until = routed[-1][0]
    earlier = [point for point in routed if point[0] <= until - span]
    return _share_between(earlier[-1], routed[-1]) if earlier else None


def _share_between(before: tuple[datetime, Sample], after: tuple[datetime, Sample]) -> Share | None:
    if not before[1] or not after[1]:
        return None
    return Share(before[0], after[0], *_by_revision(counter_increases(before[1], after[1])))


def _by_revision(gained: Mapping[SeriesKey, int]) -> tuple[dict[str, int], dict[str, int]]:
    live: dict[str, int] = {}
    preview: dict[str, int] = {}
    for key, gain in gained.items():
        if key.measure not in (REQUESTS, ANSWERED):
            continue
        revision = key.revision.removesuffix(PREVIEW_SUFFIX)
        counted = preview if key.revision.endswith(PREVIEW_SUFFIX) else live
        counted[revision] = counted.get(revision, 0) + gain
    return live, preview


def _no_series(arms: Arms, analysis: Analysis) -> MetricsGap:
    if analysis.requests_from == "Servers":
        return MetricsGap(
            Reason.NO_SERVER_SERIES,
            f"Prometheus has no counters of the model servers of {arms.namespace}/{arms.name}; "
            "check that it scrapes their pods (port 8082, /metrics)",
        )
    return MetricsGap(
        Reason.NO_ROUTER_SERIES,
        f"Prometheus has no counters of the routers for {arms.namespace}/{arms.name}; "
        "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
    )


def _scraped_slowly(seconds: float, propagation_delay: timedelta) -> MetricsGap:
    return MetricsGap(
        Reason.SCRAPE_INTERVAL_DIFFERS,
        f"Prometheus reads these counters only every {seconds:.0f} s, and after a shift of traffic the judge waits "
        f"{format_duration(propagation_delay)}: what came before it would be taken for what came after; set the "
        f"chart's prometheus.scrapeIntervalSeconds to {math.ceil(seconds)}",
    )
