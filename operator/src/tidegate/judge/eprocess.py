"""E-values: evidence that may be looked at as often as one likes.

One function, `log_e`, is evidence from one poll of two arms; `Mixture` multiplies polls, averages over alternatives and
over unknown start times. Under its null hypothesis a Mixture's value ever reaches 1/α with probability at most α
(Ville's inequality), whatever the split, the traffic, the drift of the base rate and the number of looks.

Source of the formulas: the margin rate-ratio e-process, a likelihood ratio of the failures' split between two arms
(Lindon & Malek, NeurIPS 2022, with an observed split), made one-sided with a ratio and an absolute margin.
"""

import math
from collections.abc import Callable, Iterable, Sequence

UPWARD = (1.2, 1.5, 2.0, 2.75, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 100.0, 1000.0)
"""How many times worse than the margin the candidate may be: the alternatives of a rollback."""
DOWNWARD = (0.9, 0.8, 0.67, 0.5, 0.33, 0.2, 0.1, 0.03, 0.001)
"""How many times better than the margin: the alternatives of a promotion."""
CEILING_UPWARD = (1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""The same for a rate held against a fixed ceiling."""

START_AT_ONCE = 0.5
HAZARD = 1 / 40


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
    """Log of the e-value of one poll against the margin `ratio × stable's rate + absolute`.

    `kappa` > 1 is evidence against "within the margin", `kappa` < 1 against "at or beyond the margin".
    `candidate` and `stable` are requests, `failed_*` those of them that failed. No requests: 0.
    """
    at_margin = stable + ratio * candidate
    at_alternative = stable + ratio * kappa * candidate
    if at_margin == 0:
        return 0.0
    v = at_margin / at_alternative
    u = kappa * v
    return failed_candidate * math.log(u) + failed_stable * math.log(v) - absolute * candidate * (u - 1)


def log_e_ceiling(failed: float, requests: float, *, kappa: float, ceiling: float) -> float:
    """The same for one arm against a fixed rate: `kappa` > 1 against "at most `ceiling`", < 1 against "at least"."""
    return failed * math.log(kappa) - ceiling * requests * (kappa - 1)


LogE = Callable[[float], float]
"""An alternative κ → the log e-value of one poll."""


class Mixture:
    """The product over polls, averaged over the alternatives and over when a regression may have started.

    Kept in logarithms: an e-value of a gross failure doesn't fit a float.
    """

    def __init__(self, alternatives: Sequence[float], *, start_at_once: float = START_AT_ONCE) -> None:
        self._alternatives = tuple(alternatives)
        self._log_started = [-math.inf] * len(self._alternatives)
        self._not_started = 1.0
        self._start_at_once = start_at_once
        self._polls = 0

    def add(self, log_e_at: LogE) -> None:
        """Takes in one poll."""
        starting = self._starting_now()
        log_starting = math.log(starting) if starting > 0 else -math.inf
        self._log_started = [
            _log_add(started, log_starting) + log_e_at(kappa)
            for kappa, started in zip(self._alternatives, self._log_started, strict=True)
        ]
        self._not_started -= starting
        self._polls += 1

    @property
    def log_value(self) -> float:
        """Log of the evidence so far; 0 before any."""
        log_mean = log_sum(self._log_started) - math.log(len(self._alternatives))
        return _log_add(log_mean, math.log(self._not_started) if self._not_started > 0 else -math.inf)

    def _starting_now(self) -> float:
        if self._polls == 0:
            return self._start_at_once
        later = 1 - self._start_at_once
        return later * (1 - HAZARD) ** (self._polls - 1) * HAZARD


def log_sum(logs: Iterable[float]) -> float:
    """Log of the sum of exponentials."""
    values = list(logs)
    largest = max(values, default=-math.inf)
    if largest == -math.inf:
        return -math.inf
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def _log_add(a: float, b: float) -> float:
    return log_sum((a, b))
