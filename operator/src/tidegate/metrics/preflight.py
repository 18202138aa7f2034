"""What is asked about stable right before a rollout: whether it is counted, how often, and how its traffic was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.judge.latency_history import BLOCK
from tidegate.metrics.baseline import (
    SPAN,
    Baseline,
    Reference,
    as_routers_tell,
    baseline_traffic,
    compared_bounds,
    counts_before,
    overdispersion_from,
    pod_bounds,
    reference_from,
)
from tidegate.metrics.increments import Sample
from tidegate.metrics.lateness import LATEST
from tidegate.metrics.merging import without_latency
from tidegate.metrics.provider import STALE, Readings, Selection, Sources
from tidegate.model.evidence import BaselineTraffic, Durations
from tidegate.model.spec import Analysis
from tidegate.model.traffic import Arms

BASELINE_SPAN = timedelta(minutes=5)
LATE = 1.3
"""A scrape may be that much later than it should be."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class StableNow:
    """What is read of stable's requests, and its traffic where it has been counted for long enough."""

    readings: Readings
    baseline: BaselineTraffic | None = None

    @property
    def is_counted(self) -> bool:
        """Whether its requests are counted at all."""
        return bool(self.readings.samples[-1])


def reference_of(sources: Sources, arms: Arms, at: datetime, propagation_delay: timedelta) -> Reference:
    """Stable's latency since its pods began, up to `at`. Raises MetricsUnavailable."""
    # One value of each of thousands of series is wanted, not those of the last minutes.
    wanted = replace(_stable(arms), looks_back=min(STALE, propagation_delay + LATEST))
    (sample,) = sources.detail_readings(wanted, at, _SECOND, 1).samples
    return reference_from(sample)


def stable_now(sources: Sources, arms: Arms, until: datetime, propagation_delay: timedelta) -> StableNow:
    """Stable's traffic over the last minutes. Raises MetricsUnavailable."""
    points = BASELINE_SPAN // BLOCK + 1
    readings = sources.traffic.readings(_stable(arms), until - BASELINE_SPAN, BLOCK, points)
    if not readings.samples[-1] or not any(readings.samples[:-1]):
        return StableNow(readings)
    durations = reference_of(sources, arms, until, propagation_delay).durations
    return StableNow(readings, baseline_traffic(readings.samples, arms.stable, durations))


def slower_scrape(readings: Readings, propagation_delay: timedelta) -> float | None:
    """Seconds between counts, where that is more than `propagation_delay` allows for; None where it isn't."""
    if readings.interval is None or readings.interval <= LATE * propagation_delay.total_seconds():
        return None
    return readings.interval


def baseline_of(
    sources: Sources,
    arms: Arms,
    analysis: Analysis,
    began: datetime,
    propagation_delay: timedelta,
    latency: Durations | None = None,
) -> Baseline:
    """All that is learned from stable up to the candidate's first request. Raises MetricsUnavailable.

    `latency` is stable's as the routers told it, where theirs is judged; how it clumps is told by the servers' own.
    """
    reference = reference_of(sources, arms, began, propagation_delay)
    bounds = compared_bounds(reference.durations, analysis)
    texts = tuple(dict.fromkeys(reference.texts[bound] for bound in bounds.values()))
    servers = _history(sources.detail_readings, replace(_stable(arms), bounds=texts), began)
    overdispersion = overdispersion_from(servers, arms.stable, bounds, analysis)
    # One question for both: what was answered, and how long it took where the routers' latency is judged.
    wanted = replace(_stable(arms), latency=latency is not None)
    routers = _history(sources.traffic.readings, wanted, began)
    before = counts_before([without_latency(sample) for sample in routers], arms.stable, reference)
    if latency is None:
        return Baseline(reference.durations, overdispersion, before)
    by_routers = as_routers_tell(
        overdispersion, routers, servers, arms.stable, compared_bounds(latency, analysis), analysis
    )
    return Baseline(latency, by_routers, before, pod_bounds(latency, reference.texts, analysis))


def _history(
    read: Callable[[Selection, datetime, timedelta, int], Readings], wanted: Selection, at: datetime
) -> Sequence[Sample]:
    """The half hour before `at`, block by block."""
    return read(wanted, at - SPAN, BLOCK, SPAN // BLOCK + 1).samples


def _stable(arms: Arms) -> Selection:
    return Selection(arms.namespace, arms.name, (arms.stable,))
