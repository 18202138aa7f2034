"""Counts by bucket. Plain numbers without a lock of their own: whoever holds several updates them together."""

from bisect import bisect_left
from collections.abc import Sequence

SMALLEST_EXPONENT = -16
"""27 µs: below it nothing of this server can be distinguished from the measuring."""


def latency_buckets() -> tuple[float, ...]:
    """Upper bounds in seconds: 0.0005 · 1.2**k, from 27 µs to the first one from 10 s on."""
    bounds = [0.0005 * 1.2**SMALLEST_EXPONENT]
    while bounds[-1] < 10:
        bounds.append(0.0005 * 1.2 ** (len(bounds) + SMALLEST_EXPONENT))
    return tuple(bounds)


class Histogram:
    """Counts of values by bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: inclusive upper bounds in ascending order; there's one more bucket above."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Counts `value` so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def __add__(self, other: "Histogram") -> "Histogram":
        """The sum of two with the same bounds."""
        both = Histogram(self.bounds)
        both.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        both.total = self.total + other.total
        return both

    def copy(self) -> "Histogram":
        """One that later observations don't change."""
        same = Histogram(self.bounds)
        same.counts = self.counts.copy()
        same.total = self.total
        return same

    @property
    def count(self) -> int:
        """All observations."""
        return sum(self.counts)
