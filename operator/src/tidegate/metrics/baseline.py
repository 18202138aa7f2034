"""What samples of stable say about the time before a rollout. PURE."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.judge.latency import ENOUGH_TO_CHOOSE, boundaries_of, bucket_from, quantile_index
from tidegate.judge.latency_history import BLOCK, overdispersion_at_equal_load
from tidegate.judge.metric import LATENCY_TOLERANCE
from tidegate.judge.overdispersion import (
    LARGEST,
    Block,
    Noisy,
    estimate_overdispersion,
    noisy_pod,
    overdispersion_at_one_time,
    overdispersion_over_time,
)
from tidegate.judge.pods import Tally
from tidegate.judge.spread import estimate_spread
from tidegate.metrics.increments import (
    ALL,
    CLASS,
    DURATION,
    SCORE,
    Sample,
    counter_increases,
    counts_by_pod,
    counts_of,
    durations_of,
    traffic_of_a_pod,
)
from tidegate.model.evidence import (
    BaselineTraffic,
    Counts,
    Durations,
    LatencyBlock,
    Overdispersion,
    PodTraffic,
    Predictions,
    total,
)
from tidegate.model.spec import Analysis
from tidegate.model.units import format_duration

SPAN = timedelta(minutes=30)
"""How much of stable's past overdispersion is learned from."""


@dataclass(frozen=True)
class Reference:
    """Stable's latency and predictions from before the candidate's first request, and how the source writes bounds."""

    durations: Durations
    texts: Mapping[float, str]
    predictions: Predictions


@dataclass(frozen=True)
class Baseline:
    """What a rollout is judged by, fixed before its first increment: stable's latency, φ, and what it answered."""

    reference: Durations
    overdispersion: Overdispersion
    before: Counts
    pod_bounds: tuple[str, ...] | None = None
    """Where the routers' latency is judged: the bounds of the servers' own at which pods are held against each other.

    None where the servers' latency is judged, and all of it is read.
    """


def reference_from(sample: Sample) -> Reference:
    """All latency and predictions in a sample of stable's counters: since its pods began."""
    summed: dict[str, dict[str, int]] = {}
    for key, counted in sample.items():
        of_measure = summed.setdefault(key.measure, {})
        of_measure[key.of_any] = of_measure.get(key.of_any, 0) + round(counted.value)
    buckets = summed.get(DURATION, {})
    predictions = Predictions(summed.get(CLASS, {}), durations_of(summed.get(SCORE, {})))
    return Reference(durations_of(buckets), {float(text): text for text in buckets}, predictions)


def baseline_traffic(samples: Sequence[Sample], stable: str, durations: Durations) -> BaselineTraffic | None:
    """Stable's requests per second and share of failures over samples that are a BLOCK apart; None where too few."""
    counted = [
        counts_of(stable, counter_increases(before, after)) for before, after in itertools.pairwise(samples) if before
    ]
    if not counted:
        return None
    counts = total(counted)
    failed = counts.failed / counts.requests if counts.requests else 0.0
    return BaselineTraffic(counts.requests / (len(counted) * BLOCK.total_seconds()), failed, durations)


def counts_before(samples: Sequence[Sample], stable: str, reference: Reference) -> Counts:
    """What stable answered: requests and failures over the samples, latency and predictions since its pods began."""
    counts = total(
        [counts_of(stable, counter_increases(before, after)) for before, after in itertools.pairwise(samples)]
    )
    return replace(counts, durations=reference.durations, predictions=reference.predictions)


def compared_bounds(reference: Durations, analysis: Analysis) -> dict[int, float]:
    """Per percentile, the bound in seconds at which stable will be compared; some may have the same.

    Others count the same requests in other buckets, and tell percentiles apart there that are one here.
    """
    if reference.total < ENOUGH_TO_CHOOSE:
        return {}
    quantiles = {*analysis.latency.quantiles, *(quantile for quantile, _ in analysis.latency.ceiling)}
    bounds = {quantile: reference.bounds[quantile_index(reference, quantile)] for quantile in sorted(quantiles)}
    return {quantile: bound for quantile, bound in bounds.items() if not math.isinf(bound)}


def pod_bounds(latency: Durations, texts: Mapping[float, str], analysis: Analysis) -> tuple[str, ...]:
    """Of the servers' bounds, as they write them, the next to each at which too slow a candidate shows."""
    bounds = (*sorted(bound for bound in texts if math.isfinite(bound)), math.inf)
    shows = (latency.bounds[boundary.tolerate] for boundary in boundaries_of(latency, analysis.latency))
    wanted = {bounds[bucket_from(bounds, seconds)] for seconds in shows}
    return (*(texts[bound] for bound in sorted(wanted) if math.isfinite(bound)), ALL)


def overdispersion_from(
    samples: Sequence[Sample], stable: str, bounds: Mapping[int, float], analysis: Analysis
) -> Overdispersion:
    """φ of failures, and of slow requests at each of `compared_bounds`, from stable's pods at points a BLOCK apart."""
    pairs = list(itertools.pairwise(samples))
    blocks = [counts_by_pod(stable, counter_increases(before, after)) for before, after in pairs]
    failures = _tallied(blocks, lambda counts: counts.failed)
    slow = {quantile: _tallied(blocks, _slower_than(bound)) for quantile, bound in bounds.items()}
    errors = analysis.overdispersion or estimate_overdispersion(failures)
    latency = {
        quantile: analysis.overdispersion or estimate_overdispersion(tallied) for quantile, tallied in slow.items()
    }
    traffic = [traffic_of_a_pod(stable, before, after) for before, after in pairs]
    by_load = _latency_blocks(traffic, slow)
    learned = Overdispersion(
        errors,
        latency,
        _over_time(latency, by_load, analysis),
        estimate_spread(failures, errors),
        {quantile: estimate_spread(tallied, latency[quantile]) for quantile, tallied in slow.items()},
        latency_blocks=by_load,
        errors_over_time=analysis.overdispersion or max(errors, overdispersion_over_time(failures)),
    )
    noisy = noisy_pod(failures, analysis.error_rate.tolerate, errors, analysis.false_rollback)
    if noisy:
        return replace(learned, noisy=_sentence(noisy, "failed"))
    for quantile, tallied in slow.items():
        if noisy := noisy_pod(tallied, LATENCY_TOLERANCE, latency[quantile], analysis.false_rollback):
            took = f"took more than {bounds[quantile] * 1000:.3g} ms"
            return replace(learned, noisy=_sentence(noisy, took))
    return learned


def as_routers_tell(
    learned: Overdispersion,
    routers: Sequence[Sample],
    servers: Sequence[Sample],
    stable: str,
    bounds: Mapping[int, float],
    analysis: Analysis,
) -> Overdispersion:
    """What was learned from the servers, with slow requests at each of the bounds as the routers counted them.

    How pods differ is the servers' to tell, and how much each of them had to do: a router knows no pods. What a single
    router tells of one time and another tells nothing of clumps: whatever slows it slows both arms, by their share.
    """
    blocks = [counts_by_pod(stable, counter_increases(*pair)) for pair in itertools.pairwise(routers)]
    slow = {quantile: _tallied(blocks, _slower_than(bound)) for quantile, bound in bounds.items()}
    traffic = [traffic_of_a_pod(stable, before, after) for before, after in itertools.pairwise(servers)]
    by_load = _latency_blocks(traffic, slow)
    latency = {
        quantile: analysis.overdispersion
        or max(learned.latency.get(quantile, LARGEST), overdispersion_at_one_time(tallied))
        for quantile, tallied in slow.items()
    }
    over_time = _over_time(latency, by_load, analysis)
    return replace(learned, latency=latency, latency_over_time=over_time, latency_blocks=by_load)


def _over_time(latency: Mapping[int, float], by_load: Sequence[LatencyBlock], analysis: Analysis) -> dict[int, float]:
    return {
        quantile: analysis.overdispersion or max(phi, overdispersion_at_equal_load(by_load, quantile))
        for quantile, phi in latency.items()
    }


def _latency_blocks(
    traffic: Sequence[PodTraffic | None], slow: Mapping[int, Sequence[Block]]
) -> tuple[LatencyBlock, ...]:
    """Those in which a pod was counted; none where nothing is compared."""
    tallied = next(iter(slow.values()), ())
    return tuple(
        LatencyBlock(
            each.rate,
            sum(tally.requests for tally in block.values()),
            {quantile: sum(tally.bad for tally in blocks[number].values()) for quantile, blocks in slow.items()},
        )
        for number, (each, block) in enumerate(zip(traffic, tallied, strict=False))
        if each
    )


def _tallied(blocks: Iterable[Mapping[str, Counts]], bad: Callable[[Counts], int]) -> list[Block]:
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
