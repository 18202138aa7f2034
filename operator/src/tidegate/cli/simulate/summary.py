"""What many simulated rollouts came to, outcome by outcome. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tidegate.model.reasons import Outcome
from tidegate.simulation.engine import INCONCLUSIVE, SimulatedRollout

OUTCOMES = (Outcome.ROLLED_BACK, Outcome.PROMOTED, INCONCLUSIVE)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class OutcomeSummary:
    """All rollouts of one outcome: how many, and the median and the 90th percentile of what each took."""

    outcome: str
    count: int
    share: float
    seconds: tuple[float, float] | None
    requests: tuple[int, int] | None
    failed: tuple[int, int] | None
    reason: str | None
    """The most frequent one."""


def summaries_of(rollouts: Sequence[SimulatedRollout]) -> tuple[OutcomeSummary, ...]:
    """One for each outcome, also for one that never came."""
    return tuple(
        _summary(outcome, [each for each in rollouts if each.outcome == outcome], len(rollouts)) for outcome in OUTCOMES
    )


def _summary(outcome: str, rollouts: Sequence[SimulatedRollout], of: int) -> OutcomeSummary:
    if not rollouts:
        return OutcomeSummary(outcome, 0, 0.0, None, None, None, None)
    (reason, _), *_ = Counter(each.reason for each in rollouts).most_common(1)
    return OutcomeSummary(
        outcome,
        len(rollouts),
        len(rollouts) / of,
        _typical([each.lasted.total_seconds() for each in rollouts]),
        _typical([each.requests for each in rollouts]),
        _typical([each.failed for each in rollouts]),
        reason,
    )


def _typical(values: Sequence[Number]) -> tuple[Number, Number]:
    """The least values that are no smaller than half and than nine tenths of them."""
    ascending = sorted(values)
    return ascending[math.ceil(0.5 * len(ascending)) - 1], ascending[math.ceil(0.9 * len(ascending)) - 1]
