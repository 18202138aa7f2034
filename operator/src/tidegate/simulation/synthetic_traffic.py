"""Traffic that never was: polls of two arms, drawn by chance, to see what the judge would say. Pure: a seed comes in.

Requests come by chance at a constant rate (Poisson), go to an arm by chance, fail by chance, singly or in clumps, and
take a time that is lognormal: a median, and a tail that is the same for every median.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import NormalDist

from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment

BOUNDS = (*(0.0025 * 1.2**k for k in range(36)), math.inf)
"""The model server's own buckets from 2.5 ms to 1.5 s."""
SIGMA = 0.6
"""Of the logarithm of a latency: the 99th percentile is four times the median."""
_NORMAL = NormalDist()
_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Behaviour:
    """How a model does. `clump` is the mean size of a clump of failures (geometric); 1 is one by one.

    `median` is a latency in seconds; None leaves latency out, which is much faster to draw.
    """

    error_rate: float
    median: float | None = None
    clump: float = 1.0

    def times(self, errors: float = 1.0, latency: float = 1.0) -> "Behaviour":
        """A worse one; an error rate is at most 1."""
        median = None if self.median is None else self.median * latency
        return replace(self, error_rate=min(1.0, self.error_rate * errors), median=median)


@dataclass(frozen=True)
class Traffic:
    """Requests per second, and how often the counters are read."""

    rate: float
    interval: timedelta = field(default=timedelta(seconds=5))


def draw_arm(random: Random, requests: int, behaviour: Behaviour) -> Counts:
    """What so many requests came to."""
    durations = NO_DURATIONS if behaviour.median is None else _durations(random, requests, behaviour.median)
    return Counts(requests, _failures(random, requests, behaviour), durations)


def draw_increments(
    random: Random, traffic: Traffic, weight: float, stable: Behaviour, candidate: Behaviour
) -> Iterator[Increment]:
    """Poll after poll, without end; `weight` is the candidate's share, 0 to 1."""
    seconds, at = traffic.interval.total_seconds(), _BEGAN
    while True:
        at += traffic.interval
        to_candidate = poisson(random, traffic.rate * weight * seconds)
        to_stable = poisson(random, traffic.rate * (1 - weight) * seconds)
        yield Increment(at, draw_arm(random, to_stable, stable), draw_arm(random, to_candidate, candidate))


def reference(random: Random, requests: int, stable: Behaviour) -> Durations:
    """Stable's latency before a rollout."""
    return draw_arm(random, requests, stable).durations


def poisson(random: Random, mean: float) -> int:
    """Exact: large means are split by the time of the m-th event (Ahrens & Dieter 1974)."""
    counted = 0
    while mean > 20:
        events = int(mean * 7 / 8)
        when = random.gammavariate(events, 1.0)
        if when > mean:
            return counted + binomial(random, events - 1, mean / when)
        counted, mean = counted + events, mean - when
    limit, product = math.exp(-mean), random.random()
    while product > limit:
        counted, product = counted + 1, product * random.random()
    return counted


def binomial(random: Random, trials: int, chance: float) -> int:
    """Exact: large numbers are split at the median of that many uniform ones, which is a beta variate."""
    counted = 0
    while trials > 20 and 0 < chance < 1:
        middle = trials // 2 + 1
        at = random.betavariate(middle, trials + 1 - middle)
        if at <= chance:
            counted, trials, chance = counted + middle, trials - middle, (chance - at) / (1 - at)
        else:
            trials, chance = middle - 1, chance / at
    if chance >= 1:
        return counted + trials
    return counted + sum(random.random() < chance for _ in range(trials))


def _failures(random: Random, requests: int, behaviour: Behaviour) -> int:
    if behaviour.clump <= 1:
        return binomial(random, requests, behaviour.error_rate)
    clumps = binomial(random, requests, behaviour.error_rate / behaviour.clump)
    failed = sum(_geometric(random, behaviour.clump) for _ in range(clumps))
    return min(requests, failed)


def _geometric(random: Random, mean: float) -> int:
    return 1 + int(math.log(1 - random.random()) / math.log(1 - 1 / mean))


def _durations(random: Random, requests: int, median: float) -> Durations:
    """Bucket by bucket: of those that are slower than one bound, some are slower than the next, too."""
    left, slower, cumulative = requests, 1.0, []
    for bound in BOUNDS[:-1]:
        still = 1 - _NORMAL.cdf(math.log(bound / median) / SIGMA)
        if left and slower > 0:
            left = binomial(random, left, min(1.0, still / slower))
        slower = still
        cumulative.append(requests - left)
    return Durations(BOUNDS, (*cumulative, requests))
