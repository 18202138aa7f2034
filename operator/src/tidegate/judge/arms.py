"""What one increment of one arm, or of two, adds to the evidence, in clumps of φ (see `judge.overdispersion`). Pure."""

import math
from datetime import timedelta

from tidegate.judge.e_process import LOOK, EProcess, log_e, log_e_ceiling, log_taken_away
from tidegate.model.spec import Margin

Arm = tuple[float, float]
"""Bad requests, and requests."""


def with_luck(margin: Margin, times: float) -> Margin:
    """The margin, above what chance may make of stable's rate, so many times."""
    return Margin(margin.ratio * times, margin.absolute)


def add_two_arms(
    e_process: EProcess,
    margin: Margin,
    candidate: Arm,
    stable: Arm,
    phi: float = 1.0,
    lasted: timedelta | None = None,
) -> None:
    """One increment's evidence against a margin, over the size of a clump (see `judge.overdispersion`).

    One whose length is known leaves a block open: what speaks against the bet counts as whole clumps until it ends.
    """
    arms = candidate[0], stable[0], candidate[1], stable[1]
    e_process.add(
        lambda kappa: log_e(*arms, kappa=kappa, ratio=margin.ratio, absolute=margin.absolute) / phi,
        looks=_looks(lasted),
        under_way_at=None
        if lasted is None or phi == 1
        else lambda kappa: log_taken_away(*arms, kappa=kappa, ratio=margin.ratio) * (1 - 1 / phi),
    )


def add_ceiling(
    e_process: EProcess, ceiling: float, arm: Arm, phi: float = 1.0, lasted: timedelta | None = None
) -> None:
    """One increment's evidence against a fixed rate."""
    e_process.add(
        lambda kappa: log_e_ceiling(arm[0], arm[1], kappa=kappa, ceiling=ceiling) / phi,
        looks=_looks(lasted),
        under_way_at=None
        if lasted is None or phi == 1
        else lambda kappa: arm[0] * min(0.0, math.log(kappa)) * (1 - 1 / phi),
    )


def _looks(lasted: timedelta | None) -> float:
    return 1.0 if lasted is None else lasted / LOOK
