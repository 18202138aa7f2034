"""What is asked about stable right before a rollout: whether it is counted, how often, and how its traffic was."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.metrics.baseline import (
    BLOCK,
    PAST_BLOCK,
    SPAN,
    Baseline,
    Reference,
    baseline_traffic,
    compared_bounds,
    counts_before,
    overdispersion_from,
    reference_from,
    slowest_interval,
)
from tidegate.metrics.provider import MetricSource, Selection, Sources
from tidegate.model.evidence import BaselineTraffic, Counts, Overdispersion
from tidegate.model.spec import Analysis
from tidegate.model.traffic import Arms

BASELINE_SPAN = timedelta(minutes=5)
SCRAPES_LOOKED_AT = 4
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class StableNow:
    """Whether stable's requests are counted at all, and its traffic where it has been counted for long enough."""

    is_counted: bool
    baseline: BaselineTraffic | None = None


def reference_of(sources: Sources, arms: Arms, at: datetime) -> Reference:
    """Stable's latency since its pods began, up to `at`. Raises MetricsUnavailable."""
    (sample,) = sources.detail_samples(_stable(arms), at, _SECOND, 1)
    return reference_from(sample)


def stable_now(sources: Sources, arms: Arms, until: datetime) -> StableNow:
    """Stable's traffic over the last minutes. Raises MetricsUnavailable."""
    points = BASELINE_SPAN // BLOCK + 1
    samples = sources.traffic.samples(_stable(arms), until - BASELINE_SPAN, BLOCK, points)
    if not samples[-1]:
        return StableNow(is_counted=False)
    if not any(samples[:-1]):
        return StableNow(is_counted=True)
    durations = reference_of(sources, arms, until).durations
    return StableNow(is_counted=True, baseline=baseline_traffic(samples, arms.stable, durations))


def slower_scrape(source: MetricSource, arms: Arms, propagation_delay: timedelta, until: datetime) -> float | None:
    """Seconds between counts of stable, where that is more than `propagation_delay` allows for; None where it isn't.

    Read from the samples' own timestamps over four times that delay. Raises MetricsUnavailable.
    """
    points = SCRAPES_LOOKED_AT * (propagation_delay // _SECOND) + 1
    series = source.timestamps(_stable(arms), until - (points - 1) * _SECOND, _SECOND, points)
    return slowest_interval(series, propagation_delay)


def overdispersion_of(
    sources: Sources, arms: Arms, reference: Reference, analysis: Analysis, at: datetime
) -> Overdispersion:
    """From stable's pods over the half hour before `at`. Raises MetricsUnavailable."""
    bounds = compared_bounds(reference.durations, analysis)
    texts = tuple(dict.fromkeys(reference.texts[bound] for bound in bounds.values()))
    wanted = Selection(arms.namespace, arms.name, (arms.stable,), texts)
    samples = sources.detail_samples(wanted, at - SPAN, BLOCK, SPAN // BLOCK + 1)
    return overdispersion_from(samples, arms.stable, bounds, analysis)


def baseline_of(sources: Sources, arms: Arms, analysis: Analysis, began: datetime) -> Baseline:
    """All that is learned from stable up to the candidate's first request. Raises MetricsUnavailable."""
    reference = reference_of(sources, arms, began)
    overdispersion = overdispersion_of(sources, arms, reference, analysis, began)
    return Baseline(reference.durations, overdispersion, before_of(sources, arms, began))


def before_of(sources: Sources, arms: Arms, at: datetime) -> Counts:
    """What stable answered in the half hour before `at`. Raises MetricsUnavailable."""
    start, points = at - SPAN, SPAN // PAST_BLOCK + 1
    traffic = sources.traffic.samples(_stable(arms), start, PAST_BLOCK, points)
    details = sources.detail_samples(_stable(arms), start, PAST_BLOCK, points)
    return counts_before(traffic, details, arms.stable)


def _stable(arms: Arms) -> Selection:
    return Selection(arms.namespace, arms.name, (arms.stable,))
