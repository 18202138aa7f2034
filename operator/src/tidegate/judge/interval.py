"""How many times stable's error rate the candidate's is, in numbers for people: a confidence sequence.

It holds all ratios that the evidence hasn't ruled out in either direction. With 99 % it never, at no look of a whole
rollout, leaves the true ratio out (each direction errs with half a percent, by Ville's inequality).
"""

import math

from tidegate.judge.eprocess import Mixture, even, log_e

RATIOS = tuple(2 ** (exponent / 4) for exponent in range(-20, 21))
"""From 1/32 to 32, each 19 % more than the one before: nobody acts on finer ones."""
_MORE = even((1.3, 1.8, 3.0, 6.0, 20.0))
_FEWER = even((0.8, 0.55, 0.3, 0.1, 0.01))


class Interval:
    """Narrows with every poll. `chance` is that of ever leaving out the truth."""

    def __init__(self, chance: float) -> None:
        self._needed = math.log(2 / chance)
        self._above = {ratio: Mixture(_MORE, start_at_once=1.0) for ratio in RATIOS}
        self._below = {ratio: Mixture(_FEWER, start_at_once=1.0) for ratio in RATIOS}
        self.low, self.high = 0.0, math.inf

    def add(self, candidate: tuple[float, float], stable: tuple[float, float]) -> None:
        """Takes in one poll: failures and requests of each arm. Of no requests of one of them nothing follows."""
        if not candidate[1] or not stable[1]:
            return
        self._rule_out(self._above, candidate, stable)
        self._rule_out(self._below, candidate, stable)
        # What is ruled out stays so: the next polls needn't be asked about it again.
        self.low = max([self.low, *(ratio for ratio in RATIOS if ratio not in self._above)])
        self.high = min([self.high, *(ratio for ratio in RATIOS if ratio not in self._below)])

    def _rule_out(
        self, kept: dict[float, Mixture], candidate: tuple[float, float], stable: tuple[float, float]
    ) -> None:
        for ratio, mixture in list(kept.items()):
            mixture.add(
                lambda kappa, ratio=ratio: log_e(  # type: ignore[misc]
                    candidate[0], stable[0], candidate[1], stable[1], kappa=kappa, ratio=ratio, absolute=0.0
                )
            )
            if mixture.log_value >= self._needed:
                del kept[ratio]
