"""What is learned from stable right before a rollout: how its bad requests clump, and whether its pods are alike."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.judge.latency import boundaries_of
from tidegate.judge.metric import LATENCY_TOLERANCE
from tidegate.judge.overdispersion import Block, Noisy, estimate_overdispersion, noisy_pod
from tidegate.judge.pods import Tally
from tidegate.metrics.increments import DURATION, counter_increases, counts_by_pod, counts_of, durations_of
from tidegate.metrics.observers import Counters
from tidegate.metrics.providers.prometheus import Metrics, ServerCounters, StableHistory
from tidegate.model.evidence import BaselineTraffic, Counts, Durations, Overdispersion, total
from tidegate.model.spec import Analysis
from tidegate.model.traffic import Arms
from tidegate.model.units import format_duration

SPAN = timedelta(minutes=30)
BLOCK = timedelta(seconds=15)
BASELINE_SPAN = timedelta(minutes=5)
SCRAPES_LOOKED_AT = 4
LATE = 1.3
"""A scrape may be that much later than it should be."""


@dataclass(frozen=True)
class Reference:
    """Stable's latency from before the candidate's first request, and how Prometheus writes its bounds."""

    durations: Durations
    texts: Mapping[float, str]


def reference_of(metrics: Metrics, arms: Arms, at: datetime) -> Reference:
    """Since stable's pods began, up to `at`. Raises MetricsUnavailable."""
    query = ServerCounters(arms.namespace, arms.name, (arms.stable,))
    (sample,) = metrics.samples(query, at, timedelta(seconds=1), 1)
    buckets: dict[str, int] = {}
    for key, value in sample.items():
        if key.measure == DURATION:
            buckets[key.of] = buckets.get(key.of, 0) + round(value)
    return Reference(durations_of(buckets), {float(text): text for text in buckets})


@dataclass(frozen=True)
class StableNow:
    """Whether stable's requests are counted at all, and its pace where it has been counted for long enough."""

    is_counted: bool
    baseline: BaselineTraffic | None = None


def stable_now(metrics: Metrics, arms: Arms, counters: Counters, until: datetime) -> StableNow:
    """Stable's traffic over the last minutes. Raises MetricsUnavailable."""
    points = BASELINE_SPAN // BLOCK + 1
    samples = metrics.samples(counters(arms.namespace, arms.name, (arms.stable,)), until - BASELINE_SPAN, BLOCK, points)
    if not samples[-1]:
        return StableNow(is_counted=False)
    counted = [
        counts_of(arms.stable, counter_increases(before, after))
        for before, after in itertools.pairwise(samples)
        if before
    ]
    counts, seconds = total(counted), len(counted) * BLOCK.total_seconds()
    if not seconds:
        return StableNow(is_counted=True)
    durations = reference_of(metrics, arms, until).durations
    failed = counts.failed / counts.requests if counts.requests else 0.0
    return StableNow(is_counted=True, baseline=BaselineTraffic(counts.requests / seconds, failed, durations))


def slower_scrape(
    metrics: Metrics, arms: Arms, counters: Counters, propagation_delay: timedelta, until: datetime
) -> float | None:
    """Seconds between scrapes of stable's counters, where that is more than `settle` allows for.

    Told from the samples' own timestamps over four times `settle`; a single scrape that was missed doesn't count.
    Raises MetricsUnavailable.
    """
    second = timedelta(seconds=1)
    points = SCRAPES_LOOKED_AT * (propagation_delay // second) + 1
    selector = counters(arms.namespace, arms.name, (arms.stable,)).promql
    series = metrics.series(f"timestamp({selector})", until - (points - 1) * second, second, points)
    slowest: float | None = None
    for values in series:
        stamps = sorted({value for value in values if value is not None})
        if values[0] is None:
            continue  # too young to tell
        shortest = min((after - before for before, after in itertools.pairwise(stamps)), default=float(points))
        if shortest > LATE * propagation_delay.total_seconds():
            slowest = max(slowest or 0.0, shortest)
    return slowest


def overdispersion_of(
    metrics: Metrics, arms: Arms, reference: Reference, analysis: Analysis, at: datetime
) -> Overdispersion:
    """From stable's pods over the half hour before `at`. Raises MetricsUnavailable."""
    bounds = _bounds(reference.durations, analysis)
    texts = {reference.texts[bound] for bound in bounds.values()}
    history = StableHistory(arms.namespace, arms.name, arms.stable, texts)
    samples = metrics.samples(history, at - SPAN, BLOCK, SPAN // BLOCK + 1)
    blocks = [
        counts_by_pod(arms.stable, counter_increases(before, after)) for before, after in itertools.pairwise(samples)
    ]
    return _overdispersion(blocks, bounds, analysis)


def _bounds(reference: Durations, analysis: Analysis) -> dict[int, float]:
    """Per percentile, the bound in seconds at which stable will be compared."""
    latency = analysis.latency
    quantiles = {*latency.quantiles, *(quantile for quantile, _ in latency.ceiling)}
    boundaries = boundaries_of(reference, replace(latency, quantiles=tuple(quantiles)))
    return {boundary.quantile: reference.bounds[boundary.stable] for boundary in boundaries}


def _overdispersion(
    blocks: Sequence[dict[str, Counts]], bounds: dict[int, float], analysis: Analysis
) -> Overdispersion:
    failures = _tallied(blocks, lambda counts: counts.failed)
    errors = analysis.overdispersion or estimate_overdispersion(failures)
    latency = {
        quantile: analysis.overdispersion or estimate_overdispersion(_tallied(blocks, _slower_than(bound)))
        for quantile, bound in bounds.items()
    }
    noisy = noisy_pod(failures, analysis.error_rate.tolerate, errors, analysis.false_rollback)
    if noisy:
        return Overdispersion(errors, latency, _sentence(noisy, "failed"))
    for quantile, bound in bounds.items():
        slow = _tallied(blocks, _slower_than(bound))
        if noisy := noisy_pod(slow, LATENCY_TOLERANCE, latency[quantile], analysis.false_rollback):
            return Overdispersion(errors, latency, _sentence(noisy, f"took more than {bound * 1000:.3g} ms"))
    return Overdispersion(errors, latency)


def _tallied(blocks: Iterable[dict[str, Counts]], bad: Callable[[Counts], int]) -> list[Block]:
    return [{pod: Tally(bad(counts), counts.requests) for pod, counts in block.items()} for block in blocks]


def _slower_than(bound: float) -> Callable[[Counts], int]:
    def slow(counts: Counts) -> int:
        bounds = counts.durations.bounds
        return counts.durations.slower_than(bounds.index(bound)) if bound in bounds else 0

    return slow


def _sentence(noisy: Noisy, what: str) -> str:
    return (
        f"stable's own pods differ so much that one of them would be rolled back beside the others: on {noisy.pod} "
        f"{noisy.own.bad:,} of {noisy.own.requests:,} requests {what}, on the others {noisy.others.bad:,} of "
        f"{noisy.others.requests:,} in the last {format_duration(SPAN)}; look at that pod's node"
    )
