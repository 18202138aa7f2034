"""How many times stable's error rate the candidate's is, in numbers for people: a confidence sequence.

It holds all ratios that the evidence hasn't ruled out in either direction. With 99 % it never, at no look of a whole
rollout, leaves the true ratio out (each direction errs with half a percent, by Ville's inequality).
"""

import math

from tidegate.judge.e_process import EProcess, even, log_e

RATIOS = tuple(2 ** (exponent / 4) for exponent in range(-20, 21))
"""From 1/32 to 32, each 19 % more than the one before: nobody acts on finer ones."""
MOST_WAITING = 100
"""Increments that wait for somebody to want to know: a rollout may be held for days."""
Arm = tuple[float, float]
"""Failures, and requests."""
_MORE = even((1.3, 1.8, 3.0, 6.0, 20.0))
_FEWER = even((0.8, 0.55, 0.3, 0.1, 0.01))


class ConfidenceSequence:
    """Narrows with every increment. `chance` is that of ever leaving out the truth.

    Most of a test's arithmetic is here, so it's done when somebody wants to know.
    """

    def __init__(self, chance: float) -> None:
        self._needed = math.log(2 / chance)
        self._above = {ratio: EProcess(_MORE, start_at_once=1.0) for ratio in RATIOS}
        self._below = {ratio: EProcess(_FEWER, start_at_once=1.0) for ratio in RATIOS}
        self._waiting: list[tuple[Arm, Arm]] = []
        self._low, self._high = 0.0, math.inf

    def add(self, candidate: Arm, stable: Arm) -> None:
        """Takes in one increment: failures and requests of each arm. Of no requests of one of them nothing follows."""
        if candidate[1] and stable[1]:
            self._waiting.append((candidate, stable))
            if len(self._waiting) >= MOST_WAITING:
                self._catch_up()

    @property
    def low(self) -> float:
        """The least ratio that isn't ruled out; 0 where none is."""
        self._catch_up()
        return self._low

    @property
    def high(self) -> float:
        """The greatest one; infinite where none is ruled out."""
        self._catch_up()
        return self._high

    def _catch_up(self) -> None:
        for candidate, stable in self._waiting:
            self._rule_out(self._above, candidate, stable)
            self._rule_out(self._below, candidate, stable)
            # What is ruled out stays so: the next increments needn't be asked about it again.
            self._low = max([self._low, *(ratio for ratio in RATIOS if ratio not in self._above)])
            self._high = min([self._high, *(ratio for ratio in RATIOS if ratio not in self._below)])
        self._waiting.clear()

    def _rule_out(self, kept: dict[float, EProcess], candidate: Arm, stable: Arm) -> None:
        for ratio, e_process in list(kept.items()):
            e_process.add(
                lambda kappa, ratio=ratio: log_e(  # type: ignore[misc]
                    candidate[0], stable[0], candidate[1], stable[1], kappa=kappa, ratio=ratio, absolute=0.0
                )
            )
            if e_process.log_value >= self._needed:
                del kept[ratio]
