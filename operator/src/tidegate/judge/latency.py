"""Where on the latency histogram two arms are compared.

Boundaries are chosen from what stable did before the increments that are judged, never from those themselves. At a
boundary τ, "no quantile more than m slower" means P(candidate > (1 + m)·τ) ≤ P(stable > τ): the error test again.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tidegate.model.evidence import Durations
from tidegate.model.spec import Latency

ENOUGH_TO_CHOOSE = 100
"""Requests of stable before its quantiles are worth anything."""


@dataclass(frozen=True)
class Boundary:
    """Indices into the bucket bounds: stable is compared at `stable`, the candidate at a slower one."""

    quantile: int
    stable: int
    tolerate: int
    accept: int


def boundaries_of(reference: Durations, latency: Latency) -> tuple[Boundary, ...]:
    """Where the user's own percentiles and tolerances put them."""
    return choose_boundaries(
        reference,
        latency.quantiles,
        tolerate=latency.tolerate,
        accept=latency.accept,
        negligible=latency.negligible,
    )


def choose_boundaries(
    reference: Durations,
    quantiles: Sequence[int],
    *,
    tolerate: float,
    accept: float,
    negligible: timedelta,
) -> tuple[Boundary, ...]:
    """One boundary per distinct bucket; none while stable has too little history to choose by."""
    if reference.total < ENOUGH_TO_CHOOSE:
        return ()
    chosen: dict[int, Boundary] = {}
    for quantile in sorted(quantiles):
        stable = quantile_index(reference, quantile)
        if math.isinf(reference.bounds[stable]) or stable in chosen:
            continue
        chosen[stable] = Boundary(
            quantile,
            stable,
            _slower(reference.bounds, stable, tolerate, negligible),
            _slower(reference.bounds, stable, accept, negligible),
        )
    return tuple(chosen.values())


def quantile_index(durations: Durations, quantile: int) -> int:
    """The bucket in which the percentile lies."""
    return bisect_left(durations.cumulative, durations.total * quantile / 100)


def quantile_seconds(durations: Durations, quantile: int) -> float:
    """The percentile in seconds, interpolated inside its bucket; for people, the judge doesn't use it."""
    if durations.total == 0:
        return math.nan
    index = quantile_index(durations, quantile)
    lower = durations.bounds[index - 1] if index else 0.0
    upper = durations.bounds[index]
    if math.isinf(upper):
        return lower
    below = durations.cumulative[index - 1] if index else 0
    inside = durations.cumulative[index] - below
    return lower + (upper - lower) * (durations.total * quantile / 100 - below) / max(inside, 1)


def bucket_from(bounds: Sequence[float], seconds: float) -> int:
    """The index of the first bound at or above `seconds`; bounds ascend and end with infinity."""
    # A bucket's bound is written in decimal, so 1.2 times the one before may miss it by a rounding error.
    return bisect_left(bounds, seconds * (1 - 1e-6))


def _slower(bounds: Sequence[float], index: int, slowdown: float, negligible: timedelta) -> int:
    return bucket_from(bounds, max(bounds[index] * (1 + slowdown), bounds[index] + negligible.total_seconds()))
