"""Increments that tell too little by themselves, joined until they tell enough. Pure.

Increments of routers that are asked directly may be as short as one likes. An e-value compares failures with how the
requests of that very increment were split: of one with hardly a request of the candidate hardly anything follows, and
of ten such no more. So they are joined until there are some. When that is follows from requests and time and not from
failures, so it takes nothing from the bounds.

Increments of arms that are scraped apart are joined until both have been read, and judged where both are settled. Where
one process counts both arms, each increment holds what both did in the same time. Where each pod counts for
itself, one arm's counters are read some seconds before the other's: of a block shorter than a scrape interval one arm
may be missing, and of any block the two arms' fringes are of different times. What hits both shows in one arm a block
before the other, and would be taken for the candidate's.
"""

from dataclasses import replace
from datetime import timedelta

from tidegate.judge.e_process import LOOK
from tidegate.model.evidence import Increment

ENOUGH_REQUESTS = 5
"""Of each arm that has a share."""
UNSTEADY = 20.0
"""Of χ² with two degrees of freedom; by chance it is more once in twenty thousand blocks."""


class ShortIncrements:
    """Joins increments of known length until they hold `enough` requests, or have lasted for a LOOK. Others pass."""

    def __init__(self, enough: float = ENOUGH_REQUESTS) -> None:
        self._enough = enough
        self._joined: Increment | None = None

    def join(self, increment: Increment) -> tuple[Increment, ...]:
        """What is to be judged now: nothing while there is too little; two where one wasn't gone on with."""
        before, self._joined = self._joined, None
        if before and not _goes_on(before, increment):
            return (before, *self.join(increment))
        joined = increment if before is None else replace(_sum(before, increment), since=before.since)
        if joined.lasted is None or joined.lasted >= LOOK or self._holds_enough(joined):
            return (joined,)
        self._joined = joined
        return ()

    def _holds_enough(self, increment: Increment) -> bool:
        arms = (increment.candidate, increment.stable) if increment.concurrent else (increment.candidate,)
        return min(arm.requests for arm in arms) >= self._enough


class Blocks:
    """Joins `points` increments into one; at a shift of traffic it begins anew."""

    def __init__(self, points: int, interval: timedelta) -> None:
        self._points, self._interval = points, interval
        self._joined: Increment | None = None
        self._count = 0

    def join(self, increment: Increment) -> Increment | None:
        """The block that this increment ends; None while there is none."""
        before = self._joined
        if before is None or increment.until - before.until > self._interval:
            self._joined, self._count = increment, 1
        else:
            self._joined, self._count = _sum(before, increment), self._count + 1
        if self._count < self._points:
            return None
        block, self._joined = self._joined, None
        return block


class SteadyBlocks:
    """Lets a block pass, one block later, if stable did the same in the blocks before and after it.

    Those three cover all of the time in which the candidate's were counted. Which blocks pass depends on stable alone,
    so it takes nothing from the bound on false rollbacks.
    """

    def __init__(self, phi: float) -> None:
        self._phi = phi
        self._last: tuple[Increment, ...] = ()

    def settle(self, block: Increment) -> Increment | None:
        """The block before, where it is steady. Without stable there is nothing to wait for."""
        if not block.concurrent:
            self._last = ()
            return block
        before = self._last[-1] if self._last else None
        self._last = (*self._last, block)[-3:]
        return before if before and not _differ(self._last, self._phi) else None


def _goes_on(before: Increment, after: Increment) -> bool:
    return after.since == before.until and after.concurrent == before.concurrent


def _differ(blocks: tuple[Increment, ...], phi: float) -> bool:
    """Whether stable failed unlike itself: χ² over the blocks, in clumps of φ."""
    arms = [block.stable for block in blocks if block.stable.requests]
    failed, requests = sum(arm.failed for arm in arms), sum(arm.requests for arm in arms)
    if not failed or failed == requests:
        return False
    rate = failed / requests
    chi2 = sum((arm.failed - rate * arm.requests) ** 2 / (rate * (1 - rate) * arm.requests) for arm in arms)
    return chi2 / phi > UNSTEADY


def _sum(before: Increment, after: Increment) -> Increment:
    stable, candidate = before.stable + after.stable, before.candidate + after.candidate
    both = [each for each in (before.pod_traffic, after.pod_traffic) if each]
    traffic = both[0].plus(both[1]) if len(both) > 1 else next(iter(both), None)
    return replace(after, stable=stable, candidate=candidate, pods=after.pods or before.pods, pod_traffic=traffic)
