"""What has been measured of a rollout: asked once per point, folded, and kept while the operator runs.

After a restart everything is asked again, at the same points, and so comes out the same.
"""

import math
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.judge.query_limits import unusable_query
from tidegate.judge.sampling import Segment, segments
from tidegate.metrics.accumulate import Comparison, FoldState, Reading, accumulate, share_between, share_of
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.preflight import baseline_of, slower_scrape, stable_now
from tidegate.metrics.provider import MetricsProvider, Selection, Sources
from tidegate.metrics.registry import SourceRegistry
from tidegate.metrics.user_queries import ask
from tidegate.model.evidence import Increment, Measurements, MetricsGap, QueryAnswer
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis, ModelDeploymentSpec
from tidegate.model.status import Rollout
from tidegate.model.traffic import Arms, Share
from tidegate.model.units import format_duration


@dataclass(frozen=True)
class _Request:
    """What is asked for: a rollout's measurements up to `until`."""

    arms: Arms
    rollout: Rollout
    analysis: Analysis
    sources: Sources
    propagation_delay: timedelta
    until: datetime

    @property
    def gap(self) -> MetricsGap:
        """What to say where nobody counts the arms' traffic."""
        return self.sources.traffic.gap(self.arms.namespace, self.arms.name)


@dataclass
class _Collected:
    """What is kept of one rollout. `points` is how many of each segment's have been folded, by the segment's start."""

    baseline: Baseline | None = None
    points: dict[datetime, int] = field(default_factory=dict)
    state: FoldState = field(default_factory=FoldState)
    increments: list[Increment] = field(default_factory=list)


class MetricsCollector:
    """Turns sources' counters into Measurements. Safe to use from several threads, one for each ModelDeployment."""

    def __init__(self, provider: MetricsProvider) -> None:
        self._provider = provider
        self._registry = SourceRegistry(provider)
        self._collected: dict[tuple[str, str], tuple[tuple[str, datetime], _Collected]] = {}
        self._lock = threading.Lock()

    def forget(self, namespace: str, name: str) -> None:
        """Drops what was kept of a ModelDeployment that has no rollout any more."""
        with self._lock:
            self._collected.pop((namespace, name), None)

    def measurements(
        self, arms: Arms, rollout: Rollout, spec: ModelDeploymentSpec, *, propagation_delay: timedelta, until: datetime
    ) -> Measurements | MetricsGap:
        """All increments of a rollout up to `until`, or why there are none.

        Two queries, one more for each of the user's own, and a few more the first time.
        """
        request = _Request(arms, rollout, spec.analysis, self._sources(spec), propagation_delay, _whole(until))
        collected = self._collected_of(arms, rollout)
        try:
            return self._measured(request, collected) if rollout.shifts else self._before_traffic(request)
        except MetricsUnavailable as error:
            return MetricsGap(Reason.METRICS_UNAVAILABLE, str(error))
        except ValueError as error:
            return MetricsGap(
                Reason.HISTOGRAMS_DIFFER, f"latency can't be compared: {error}; use one server image for both"
            )

    def share(
        self, namespace: str, name: str, spec: ModelDeploymentSpec, span: timedelta, until: datetime
    ) -> Share | None:
        """Requests per revision in the last `span`; None if the counters aren't there at both ends.

        While a rollout is collected, its own points are used, up to one interval later, and nothing is asked.
        """
        held = self._collected.get((namespace, name))
        if held and held[1].points:
            return share_of(held[1].state.recent, span)
        since = until - span
        try:
            before, after = self._sources(spec).traffic.samples(Selection(namespace, name), since, span, 2)
        except MetricsUnavailable:
            return None
        return share_between(Reading(since, before), Reading(until, after))

    def _sources(self, spec: ModelDeploymentSpec) -> Sources:
        return self._registry.sources(spec.router, spec.analysis.requests_from)

    def _collected_of(self, arms: Arms, rollout: Rollout) -> _Collected:
        identity = (rollout.candidate, rollout.started_at)
        with self._lock:
            held = self._collected.get((arms.namespace, arms.name))
            if held is None or held[0] != identity:
                held = self._collected[arms.namespace, arms.name] = (identity, _Collected())
            return held[1]

    def _before_traffic(self, request: _Request) -> Measurements | MetricsGap:
        """Whether all could be measured if the candidate had traffic, and how much stable has."""
        arms, sources, propagation_delay = request.arms, request.sources, request.propagation_delay
        now = stable_now(sources, arms, request.until)
        if not now.is_counted:
            return request.gap
        if slow := slower_scrape(sources.traffic, arms, propagation_delay, request.until):
            return _scraped_slowly(slow, propagation_delay)
        if unusable := unusable_query(self._ask(request, arms.stable)):
            return MetricsGap(
                Reason.QUERY_UNUSABLE, f"{unusable}; it was asked about stable, and has to work on that first"
            )
        return Measurements((), baseline=now.baseline)

    def _measured(self, request: _Request, collected: _Collected) -> Measurements | MetricsGap:
        """Everything since the candidate's first traffic."""
        rollout, analysis = request.rollout, request.analysis
        began = rollout.shifts[0].at
        if collected.baseline is None:
            collected.baseline = baseline_of(request.sources, request.arms, analysis, began)
        reference, overdispersion = collected.baseline.reference, collected.baseline.overdispersion
        comparison = Comparison(request.arms, began, reference)
        for segment in segments(rollout.shifts, analysis.interval, request.propagation_delay, request.until):
            _extend(collected, comparison, segment, request.sources)
        answers = self._ask(request, request.arms.candidate)
        state = collected.state
        if state.has_gap:
            return request.gap
        before = collected.baseline.before
        return Measurements(
            tuple(collected.increments), reference, state.exposed, overdispersion, answers, before=before
        )

    def _ask(self, request: _Request, about: str) -> tuple[QueryAnswer, ...]:
        analysis = request.analysis
        return ask(
            self._provider, analysis.queries, request.arms, about=about, until=request.until, step=analysis.interval
        )


def _extend(collected: _Collected, comparison: Comparison, segment: Segment, sources: Sources) -> None:
    """Asks for the segment's points that are new, and folds them."""
    done = collected.points.get(segment.start, 0)
    missing = segment.points - done
    if missing <= 0:
        return
    arms, start = comparison.arms, segment.instant(done)
    everybody = Selection(arms.namespace, arms.name)
    both = Selection(arms.namespace, arms.name, (arms.stable, arms.candidate))
    traffic = sources.traffic.samples(everybody, start, segment.step, missing)
    details = sources.detail_samples(both, start, segment.step, missing)
    collected.state, increments = accumulate(collected.state, comparison, segment, done, traffic, details)
    collected.increments += increments
    collected.points[segment.start] = segment.points


def _whole(at: datetime) -> datetime:
    """Prometheus answers at whole seconds."""
    return at.replace(microsecond=0)


def _scraped_slowly(seconds: float, propagation_delay: timedelta) -> MetricsGap:
    return MetricsGap(
        Reason.SCRAPE_INTERVAL_DIFFERS,
        f"Prometheus reads these counters only every {seconds:.0f} s, and after a shift of traffic the judge waits "
        f"{format_duration(propagation_delay)}: what came before it would be taken for what came after; set the "
        f"chart's prometheus.scrapeIntervalSeconds to {math.ceil(seconds)}",
    )
