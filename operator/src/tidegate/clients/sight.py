"""What has been seen of a rollout, poll by poll, fetched once per point and kept while the operator runs.

After a restart everything is fetched again from Prometheus, over the same grid, and so comes out the same.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.clients.prometheus import Metrics, RouterCounters, ServerDurations
from tidegate.errors import MetricsUnavailable
from tidegate.judge.grid import Segment, segments
from tidegate.judge.increments import REQUESTS, Sample, SeriesKey, counts_of, durations_of, increments
from tidegate.model.evidence import Blindness, Counts, Durations, Poll, Sight
from tidegate.model.status import Rollout
from tidegate.model.traffic import Share
from tidegate.resources.names import PREVIEW_SUFFIX


@dataclass
class _Followed:
    """How far one rollout's counters have been read."""

    points: dict[datetime, int] = field(default_factory=dict)
    last: Sample = field(default_factory=dict)
    last_at: datetime | None = None
    polls: list[Poll] = field(default_factory=list)
    exposed: Counts = field(default_factory=Counts)
    reference: Durations | None = None
    blind: bool = False


class Witness:
    """Turns Prometheus' counters into a Sight. Safe to use from several threads for different ModelDeployments."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._followed: dict[tuple[str, str], tuple[tuple[str, datetime], _Followed]] = {}
        self._lock = threading.Lock()

    def forget(self, namespace: str, name: str) -> None:
        """Drops what was kept of a ModelDeployment that has no rollout any more."""
        with self._lock:
            self._followed.pop((namespace, name), None)

    def sight(
        self,
        namespace: str,
        name: str,
        stable: str,
        rollout: Rollout,
        *,
        step: timedelta,
        settle: timedelta,
        until: datetime,
    ) -> Sight | Blindness:
        """All polls of a rollout up to `until`, or why they can't be seen."""
        followed = self._followed_of(namespace, name, rollout)
        router = RouterCounters(namespace, name, (stable, rollout.candidate))
        server = ServerDurations(namespace, name, (stable, rollout.candidate))
        try:
            if not rollout.shifts:
                (sample,) = self._metrics.samples(router, until, step, 1)
                return _nothing_yet(sample, namespace, name)
            if followed.reference is None:
                followed.reference = self._reference(server, stable, rollout.shifts[0].at)
            for segment in segments(rollout.shifts, step, settle, until):
                self._follow(followed, segment, router, server, stable, rollout.candidate)
        except MetricsUnavailable as error:
            return Blindness("MetricsUnavailable", str(error))
        except ValueError as error:
            return Blindness("HistogramsDiffer", f"latency can't be compared: {error}; use one server image for both")
        if followed.blind:
            return _no_series(namespace, name)
        return Sight(tuple(followed.polls), followed.reference, followed.exposed)

    def share(self, namespace: str, name: str, since: datetime, until: datetime) -> Share | None:
        """Requests per revision between two instants; None if the routers' counters aren't there at both."""
        query = RouterCounters(namespace, name, ("[^/]+",), preview=True)
        try:
            before, after = self._metrics.samples(query, since, until - since, 2)
        except MetricsUnavailable:
            return None
        if not before or not after:
            return None
        gained = increments(before, after)
        return Share(since, until, *_by_revision(gained))

    def _followed_of(self, namespace: str, name: str, rollout: Rollout) -> _Followed:
        identity = (rollout.candidate, rollout.started_at)
        with self._lock:
            held = self._followed.get((namespace, name))
            if held is None or held[0] != identity:
                held = (identity, _Followed())
                self._followed[(namespace, name)] = held
            return held[1]

    def _reference(self, server: ServerDurations, stable: str, at: datetime) -> Durations:
        """Stable's latency since its pods began, up to the candidate's first request."""
        (sample,) = self._metrics.samples(server, at, timedelta(seconds=1), 1)
        buckets: dict[str, int] = {}
        for key, value in sample.items():
            if key.revision == stable:
                buckets[key.measure] = buckets.get(key.measure, 0) + round(value)
        return durations_of(buckets)

    def _follow(
        self,
        followed: _Followed,
        segment: Segment,
        router: RouterCounters,
        server: ServerDurations,
        stable: str,
        candidate: str,
    ) -> None:
        done = followed.points.get(segment.start, 0)
        missing = segment.points - done
        if missing <= 0:
            return
        start = segment.instant(done)
        requests = self._metrics.samples(router, start, segment.step, missing)
        durations = self._metrics.samples(server, start, segment.step, missing)
        for offset, (one, other) in enumerate(zip(requests, durations, strict=True)):
            self._take(followed, segment, done + offset, one, {**one, **other}, stable, candidate)
        followed.points[segment.start] = segment.points

    def _take(
        self,
        followed: _Followed,
        segment: Segment,
        index: int,
        router: Sample,
        sample: Sample,
        stable: str,
        candidate: str,
    ) -> None:
        followed.blind = not router
        if not router:
            return
        if followed.last_at is not None:
            gained = increments(followed.last, sample)
            new = counts_of(candidate, gained)
            followed.exposed = followed.exposed + Counts(new.requests, new.failed)
            # A block that began before the split had settled, or in an earlier segment, isn't judged.
            if index > segment.settling and followed.last_at >= segment.instant(segment.settling):
                poll = Poll(segment.instant(index), counts_of(stable, gained), new)
                _same_buckets(followed.reference, poll.stable.durations, poll.candidate.durations)
                followed.polls.append(poll)
        followed.last = sample
        followed.last_at = segment.instant(index)


def _same_buckets(*histograms: Durations | None) -> None:
    kinds = {histogram.bounds for histogram in histograms if histogram is not None and histogram.bounds}
    if len(kinds) > 1:
        raise ValueError("the model servers of the two revisions have different buckets")


def _by_revision(gained: Mapping[SeriesKey, int]) -> tuple[dict[str, int], dict[str, int]]:
    live: dict[str, int] = {}
    preview: dict[str, int] = {}
    for key, gain in gained.items():
        if key.measure != REQUESTS:
            continue
        revision = key.revision.removesuffix(PREVIEW_SUFFIX)
        counted = preview if key.revision.endswith(PREVIEW_SUFFIX) else live
        counted[revision] = counted.get(revision, 0) + gain
    return live, preview


def _nothing_yet(sample: Sample, namespace: str, name: str) -> Sight | Blindness:
    return Sight(()) if sample else _no_series(namespace, name)


def _no_series(namespace: str, name: str) -> Blindness:
    return Blindness(
        "NoRouterSeries",
        f"Prometheus has no counters of the routers for {namespace}/{name}; "
        "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
    )
