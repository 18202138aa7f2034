"""E-values: evidence that may be looked at as often as one likes.

One function, `log_e`, is evidence from one increment of two arms; `EProcess` multiplies increments and averages over
alternatives and over unknown start times. Under its null hypothesis an e-process ever reaches 1/α with probability at
most α (Ville's inequality), whatever the split, the traffic, the drift of the base rate and the number of looks.

Source of the formulas: the margin rate-ratio e-process, a likelihood ratio of the failures' split between two arms
(Lindon & Malek, NeurIPS 2022, with an observed split), made one-sided with a ratio and an absolute margin.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

Alternatives = tuple[tuple[float, float], ...]
"""(κ, weight): how many times worse or better than the margin an arm may be, and how much of the bet goes there."""


def even(kappas: Sequence[float]) -> Alternatives:
    """The same weight for each."""
    return tuple((kappa, 1 / len(kappas)) for kappa in kappas)


def weighted(*bets: tuple[float, float]) -> Alternatives:
    """Weights in proportion to those given."""
    whole = sum(weight for _, weight in bets)
    return tuple((kappa, weight / whole) for kappa, weight in bets)


UPWARD = weighted(
    (1.3, 1.0), (1.6, 2.0), (2.0, 2.5), (2.75, 2.0), (4.0, 1.5),
    (6.0, 1.2), (10.0, 1.0), (20.0, 1.0), (60.0, 0.7), (400.0, 0.3),
)  # fmt: skip
"""For a rollback. Small regressions take the longest to show, so most of the bet is on them; gross ones show anyway."""
DOWNWARD = even((0.9, 0.8, 0.67, 0.5, 0.33, 0.2, 0.1, 0.03, 0.001))
"""For a promotion."""
CEILING_UPWARD = even((1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0))
"""For a rate that is held against a fixed ceiling."""

START_AT_ONCE = 0.75
HAZARD = 1 / 120
"""Of a regression that begins later, per increment. Both were chosen by the benchmark; any choice keeps the bound."""
LOOK = timedelta(seconds=5)
"""The increment that was chosen for: of one whose length is known, the hazard is in proportion."""


def log_e(
    failed_candidate: float,
    failed_stable: float,
    candidate: float,
    stable: float,
    *,
    kappa: float,
    ratio: float,
    absolute: float,
) -> float:
    """Log of the e-value of one increment against the margin `ratio × stable's rate + absolute`.

    `kappa` > 1 is evidence against "within the margin", `kappa` < 1 against "at or beyond the margin".
    `candidate` and `stable` are requests, `failed_*` those of them that failed. No requests: 0.
    """
    at_margin = stable + ratio * candidate
    at_alternative = stable + ratio * kappa * candidate
    if at_margin == 0:
        return 0.0
    v = at_margin / at_alternative
    u = kappa * v
    # Most increments have no failures, and a logarithm is most of the work.
    of_candidate = failed_candidate * math.log(u) if failed_candidate else 0.0
    of_stable = failed_stable * math.log(v) if failed_stable else 0.0
    return of_candidate + of_stable - absolute * candidate * (u - 1)


def log_taken_away(
    failed_candidate: float, failed_stable: float, candidate: float, stable: float, *, kappa: float, ratio: float
) -> float:
    """What failures take away from `log_e`, at most 0: stable's for `kappa` > 1, the candidate's for `kappa` < 1."""
    at_alternative = stable + ratio * kappa * candidate
    if at_alternative == 0:
        return 0.0
    v = (stable + ratio * candidate) / at_alternative
    return min(0.0, failed_candidate * math.log(kappa * v)) + min(0.0, failed_stable * math.log(v))


def log_e_ceiling(bad: float, requests: float, *, kappa: float, ceiling: float) -> float:
    """The same for one arm against a fixed rate: `kappa` > 1 against "at most `ceiling`", < 1 against "at least".

    Exact for requests that fail independently: κ multiplies the odds, so that the expectation under a rate p is
    ((1 − p + κ·p) / (1 − c + κ·c))^n, at most 1 for p ≤ c and κ > 1. `ceiling` is above 0 and at most 1.
    """
    return bad * math.log(kappa) - requests * math.log1p((kappa - 1) * ceiling)


LogE = Callable[[float], float]
"""An alternative κ → the log e-value of one increment."""


class EProcess:
    """The product over increments, averaged over the alternatives and over when a regression may have started.

    Kept in logarithms: an e-value of a gross failure doesn't fit a float. `hazard` is the chance, per increment, that
    it starts then, when it hasn't before.

    Where bad requests come in clumps of up to φ, which last for less than a block and are of one shape in both arms,
    the product of u^(x/φ) over increments shorter than that is an e-process of whole clumps, each counted when it
    begins: for a clump of s, in parts s_i, Π u_i^(s_i/φ) ≤ 1 + Σ (s_i/φ)·(u_i - 1). What has been seen of them by now
    is at most that, but for what the clumps that speak against the bet have still to bring: each has shown a failure
    in this block, and is at most φ - 1 short. With those taken off as if they had come, the value is never above that
    e-process, so that Ville's inequality holds whenever one stops; where the block ends, none is under way.
    """

    def __init__(
        self, alternatives: Alternatives, *, start_at_once: float = START_AT_ONCE, hazard: float = HAZARD
    ) -> None:
        self._kappas = tuple(kappa for kappa, _ in alternatives)
        self._log_weights = tuple(math.log(weight) for _, weight in alternatives)
        self._log_started = [-math.inf] * len(alternatives)
        self._not_started = 1.0
        self._start_at_once, self._hazard = start_at_once, hazard
        self._polls = 0
        self._under_way = [0.0] * len(alternatives)

    def add(self, log_e_at: LogE, *, looks: float = 1.0, under_way_at: LogE | None = None) -> None:
        """Takes in one increment, of so many LOOKs.

        Where a block isn't over with it, `under_way_at` is what clumps have still to bring, at most 0.
        """
        starting = self._starting_now(looks)
        log_starting = math.log(starting) if starting > 0 else -math.inf
        self._log_started = [
            log_add(started, log_starting) + log_e_at(kappa)
            for kappa, started in zip(self._kappas, self._log_started, strict=True)
        ]
        self._not_started -= starting
        self._polls += 1
        if under_way_at is not None:
            self._under_way = [
                log + under_way_at(kappa) for kappa, log in zip(self._kappas, self._under_way, strict=True)
            ]

    def end_block(self) -> None:
        """Says that no clump is under way any more."""
        self._under_way = [0.0] * len(self._under_way)

    @property
    def log_value(self) -> float:
        """Log of the evidence so far; 0 before any."""
        seen = map(operator.add, self._log_started, self._log_weights)
        log_mean = log_sum(map(operator.add, seen, self._under_way))
        return log_add(log_mean, math.log(self._not_started) if self._not_started > 0 else -math.inf)

    def _starting_now(self, looks: float) -> float:
        if self._polls == 0:
            return self._start_at_once
        return self._not_started * (1 - math.pow(1 - self._hazard, looks))


def e_value(log_value: float) -> float:
    """The evidence itself, for people; a gross failure's is cut where a float ends."""
    return math.exp(min(log_value, 700.0))


def log_sum(logs: Iterable[float]) -> float:
    """Log of the sum of exponentials."""
    values = list(logs)
    largest = max(values, default=-math.inf)
    if largest == -math.inf:
        return -math.inf
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def log_add(a: float, b: float) -> float:
    """The same for two."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))
