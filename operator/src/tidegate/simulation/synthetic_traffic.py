"""Synthetic traffic: what requests come to, drawn by chance. Pure: the random numbers come in.

Requests come by chance at a constant rate (Poisson), go to an arm by chance, fail by chance, singly or in clusters, and
take a time that is lognormal: a median, and a tail that is the same for every median.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from random import Random
from statistics import NormalDist

from tidegate.model.evidence import NO_DURATIONS, Counts, Durations

BOUNDS = (*(0.0025 * 1.2**k for k in range(36)), math.inf)
"""The model server's own buckets from 2.5 ms to 1.5 s."""
SIGMA = 0.6
"""Of the logarithm of a latency: the 99th percentile is four times the median."""
FEW = 10
"""Expected events up to which counting them one by one is faster than rejection, which needs as many to be exact."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Behaviour:
    """How a model does. Failures come in clusters of `cluster` on average (geometric); 1 is one by one.

    `median` is a latency in seconds; None leaves latency out, which is much faster to draw. `capacity` is how many
    requests per second a pod can answer: near it requests queue up. None where load doesn't matter.
    """

    error_rate: float
    median: float | None = None
    cluster: float = 1.0
    capacity: float | None = None

    def under(self, load: float) -> "Behaviour":
        """With so many requests per second and pod: s/(1 - ρ), as in a queue, up to fifty times s."""
        if self.capacity is None or self.median is None:
            return self
        return replace(self, median=self.median / max(0.02, 1 - load / self.capacity))

    def times(self, errors: float = 1.0, latency: float = 1.0) -> "Behaviour":
        """A worse one; an error rate is at most 1."""
        median = None if self.median is None else self.median * latency
        capacity = None if self.capacity is None else self.capacity / latency
        return replace(self, error_rate=min(1.0, self.error_rate * errors), median=median, capacity=capacity)


def draw_arm(random: Random, requests: int, behaviour: Behaviour) -> Counts:
    """What so many requests came to."""
    durations = NO_DURATIONS if behaviour.median is None else _durations(random, requests, behaviour.median)
    return Counts(requests, _failures(random, requests, behaviour), durations)


def expected_durations(requests: int, median: float) -> Durations:
    """How long so many requests are expected to take, without any chance; the median in seconds."""
    cumulative = (round(requests * _NORMAL.cdf(math.log(bound / median) / SIGMA)) for bound in BOUNDS[:-1])
    return Durations(BOUNDS, (*cumulative, requests))


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
    """Exact, and for large numbers by rejection."""
    if chance > 0.5:
        return trials - binomial(random, trials, 1 - chance)
    if trials * chance <= FEW:
        return _few(random, trials, chance)
    return _many(random, trials, chance)


def _many(random: Random, trials: int, chance: float) -> int:
    """Exact: transformed rejection with squeeze, BTRS of Hörmann 1993, whose constants these are; chance ≤ 1/2."""
    deviation = math.sqrt(trials * chance * (1 - chance))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * chance
    likeliest, log_odds = math.floor((trials + 1) * chance), math.log(chance / (1 - chance))
    highest = math.lgamma(likeliest + 1) + math.lgamma(trials - likeliest + 1)
    while True:
        u, v = random.random() - 0.5, 1 - random.random()
        room = 0.5 - abs(u)
        if not room:
            continue
        found = math.floor((2 * a / room + b) * u + trials * chance + 0.5)
        if room >= 0.07 and v <= 0.92 - 4.2 / b:
            return found
        if not 0 <= found <= trials:
            continue
        density = highest - math.lgamma(found + 1) - math.lgamma(trials - found + 1)
        v *= (2.83 + 5.1 / b) * deviation / (a / room**2 + b)
        if math.log(v) <= density + (found - likeliest) * log_odds:
            return found


def _few(random: Random, trials: int, chance: float) -> int:
    """Exact, and fast where few are expected: the gaps between events are geometric."""
    if chance <= 0:
        return 0
    log_miss, counted = math.log1p(-chance), 0
    while True:
        gap = math.log(1 - random.random()) / log_miss
        if gap >= trials:
            return counted
        trials, counted = trials - int(gap) - 1, counted + 1


def _failures(random: Random, requests: int, behaviour: Behaviour) -> int:
    if behaviour.cluster <= 1:
        return binomial(random, requests, behaviour.error_rate)
    clusters = binomial(random, requests, behaviour.error_rate / behaviour.cluster)
    failed = sum(_geometric(random, behaviour.cluster) for _ in range(clusters))
    return min(requests, failed)


def _geometric(random: Random, mean: float) -> int:
    return 1 + int(math.log(1 - random.random()) / math.log(1 - 1 / mean))


def _durations(random: Random, requests: int, median: float) -> Durations:
    """Bucket by bucket: of those that are slower than one bound, some are slower than the next, too."""
    left, cumulative = requests, []
    for still in _slower_still(median):
        left = binomial(random, left, still) if left else 0
        cumulative.append(requests - left)
    return Durations(BOUNDS, (*cumulative, requests))


@lru_cache
def _slower_still(median: float) -> tuple[float, ...]:
    """Per finite bound: the chance that a request is slower than that, if it was slower than the bound before."""
    slower = [1.0, *(1 - _NORMAL.cdf(math.log(bound / median) / SIGMA) for bound in BOUNDS[:-1])]
    return tuple(min(1.0, still / before) if before > 0 else 0.0 for before, still in pairwise(slower))
