"""How much more one pod fails than another of the same revision, learned from stable before a rollout. Pure.

Clumps (`judge.overdispersion`) average out as requests come. A pod's luck with its node doesn't: however many requests
there are, a revision of few pods stays above or below another one by their luck. The logarithm of a pod's rate is taken
for normal, with a standard deviation σ that stable's k pods tell. Between that and the same revision on n other pods
lies a factor whose logarithm, over σ·√(1/n + 1/k), follows Student's distribution with k − 1 degrees of freedom; what
that factor exceeds once in a hundred rollouts is tolerated besides the margin.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import variance

from tidegate.judge.overdispersion import Block
from tidegate.judge.pods import Tally
from tidegate.model.evidence import ALIKE, Spread

ENOUGH_BAD_PER_POD = 5
"""Bad requests of a pod, on average, below which nothing is known of its luck."""
LARGEST = 10.0
"""More than that isn't laid to luck: it would hide whatever a candidate does."""
STUDENT = (31.82, 6.96, 4.54, 3.75, 3.36, 3.14, 3.00, 2.90, 2.82, 2.76)
"""Exceeded once in a hundred, by degrees of freedom from 1 on."""
NORMAL = 2.326
"""The same with infinitely many."""
SURE = 3.09
"""Standard deviations that pods have to differ more than chance has it (one in a thousand), before it is luck."""


def estimate_spread(blocks: Sequence[Block], phi: float) -> Spread:
    """σ of the pods' rates, and of how many pods; ALIKE where chance and clumps of φ explain all that is seen."""
    seen, expected = _against_the_others(blocks)
    pods, bad = len(seen), sum(seen.values())
    if pods < 2 or bad < ENOUGH_BAD_PER_POD * pods:
        return ALIKE
    chi2 = sum((seen[pod] - expected[pod]) ** 2 / expected[pod] for pod in seen) / phi
    if chi2 <= _by_chance(pods - 1):
        return ALIKE
    logs = [math.log((seen[pod] + 0.5) / expected[pod]) for pod in seen]
    by_counting = sum(phi / (seen[pod] + 0.5) for pod in seen) / pods
    return Spread(math.sqrt(max(0.0, variance(logs) - by_counting)), pods)


def luck(spread: Spread, candidate_pods: int) -> float:
    """How many times its true rate a revision with so many pods may show, beside stable."""
    if not spread.sigma:
        return 1.0
    error = spread.sigma * math.sqrt(1 / max(1, candidate_pods) + 1 / spread.pods)
    return math.exp(min(math.log(LARGEST), _student(spread.pods - 1) * error))


def _against_the_others(blocks: Sequence[Block]) -> tuple[Mapping[str, int], Mapping[str, float]]:
    """What each pod did, and what it would have done at the rate that all had in the same blocks."""
    seen: dict[str, int] = {}
    expected: dict[str, float] = {}
    for block in blocks:
        rate = _rate(block)
        for pod, tally in block.items():
            if tally.requests:
                seen[pod] = seen.get(pod, 0) + tally.bad
                expected[pod] = expected.get(pod, 0.0) + rate * tally.requests
    return {pod: bad for pod, bad in seen.items() if expected[pod]}, expected


def _rate(block: Mapping[str, Tally]) -> float:
    requests = sum(tally.requests for tally in block.values())
    return sum(tally.bad for tally in block.values()) / requests if requests else 0.0


def _by_chance(freedom: int) -> float:
    """What χ² exceeds once in a thousand (Wilson & Hilferty 1931)."""
    variance_of_root = 2 / (9 * freedom)
    return freedom * math.pow(1 - variance_of_root + SURE * math.sqrt(variance_of_root), 3)


def _student(freedom: int) -> float:
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    return NORMAL * (1 + (NORMAL**2 + 1) / (4 * freedom))
