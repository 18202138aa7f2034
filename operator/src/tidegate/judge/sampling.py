"""When the counters are read, and from when on a shift of traffic has settled in them: no increment spans two splits.

Counters that are scraped are read on a grid anchored at each shift. Those of routers that are asked directly are read
at any time, and of both arms by the same process at the same time: what is said of them is in seconds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.model.status import Shift

INGESTION_LAG = timedelta(seconds=1)
"""A scrape is stamped when it begins; by then Prometheus has stored it."""
SETTLES = timedelta(seconds=1)
"""After a shift, until each router has taken it and has answered what came before, where routers are asked directly."""
WARM_UP = timedelta(seconds=2)
"""The same of latency: the first requests over a connection, and of a process, pay for what later ones don't."""
WARM_UP_REQUESTS = 10
"""Requests of a candidate that are no news of its latency for the same reason, however long they take to come."""
JUST_BEFORE = timedelta(seconds=2)
"""A router that was asked last so long before a candidate's first traffic tells what stable did at about that time."""
READ_EVERY, READ_SOON = timedelta(seconds=1), timedelta(milliseconds=500)
"""Between two readings of routers that are asked directly; the second where it is urgent."""
RISING, FIRST_INCREMENTS = 1.0, 20
"""Evidence that the candidate is worse, as a logarithm, and increments since its first request."""


@dataclass(frozen=True)
class Segment:
    """A time of constant split. Counters are read at `start + k·step`; the first `delay_points` blocks aren't judged.

    Counters tell of a time that is up to a scrape interval in the past, so the blocks right after a shift still hold
    some of the split before it. `weight` is the candidate's percent, `mirror` that of which it gets copies; with
    `matched` nobody knows how much it gets on top of that.
    """

    start: datetime
    step: timedelta
    points: int
    delay_points: int
    weight: int = 0
    mirror: int = 0
    matched: bool = False

    @property
    def concurrent(self) -> bool:
        """Whether stable has a share as well."""
        return self.weight < 100

    def instant(self, index: int) -> datetime:
        """The time of a point, 0 ≤ index < points."""
        return self.start + index * self.step

    @property
    def blocks(self) -> "Segment":
        """The same time in blocks of a propagation delay: its points are where they end."""
        count = (self.points - 1) // self.delay_points + 1 if self.points else 0
        return replace(self, step=self.delay_points * self.step, points=count, delay_points=1)

    def parts(self, done: datetime | None, most: int) -> Iterator[tuple[int, int]]:
        """The points later than `done`, at most so many at once: the index of the first, and how many."""
        first = 0 if done is None else max(0, (done - self.start) // self.step + 1)
        for index in range(first, self.points, most):
            yield index, min(most, self.points - index)


def segment_at(grid: Sequence[Segment], at: datetime) -> Segment | None:
    """The segment in which a time lies; None before the first shift."""
    return next((segment for segment in reversed(grid) if segment.start <= at), None)


def segments(
    shifts: Sequence[Shift], step: timedelta, propagation_delay: timedelta, until: datetime
) -> tuple[Segment, ...]:
    """One segment per shift, each up to the next one; the last up to `until`."""
    ends = [shift.at for shift in shifts[1:]] + [until]
    blocks = delay_points(propagation_delay, step)
    return tuple(
        Segment(shift.at, step, max(0, (end - shift.at) // step + 1), blocks, shift.weight, shift.mirror, shift.matched)
        for shift, end in zip(shifts, ends, strict=False)
    )


def delay_points(propagation_delay: timedelta, step: timedelta) -> int:
    """The points within a propagation delay."""
    return math.ceil(propagation_delay / step)


def until_next_point(shift: datetime, step: timedelta, now: datetime) -> timedelta:
    """How long until the grid that began at `shift` has its next point."""
    return step - (now - shift) % step


def is_urgent(log_worse: float, increments: int) -> bool:
    """Whether routers are asked twice as often: a candidate is new, or may soon be shown worse. No bound depends on it.

    How long an increment is follows from the evidence before it, and an e-value holds for any such length.
    """
    return log_worse > RISING or increments < FIRST_INCREMENTS
