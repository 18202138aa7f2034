"""How long to wait before a next try: twice as long after each one that failed, up to a bound. Pure."""

from datetime import timedelta
from typing import TypeVar

Pause = TypeVar("Pause", float, timedelta)

MOST_DOUBLINGS = 16
"""What fails each second for hours would otherwise come to a number that no float holds."""


def doubled(first: Pause, times: int, longest: Pause) -> Pause:
    """The `first` pause, doubled so many times, but no more than the `longest`, which is below 65,536 first ones."""
    return min(first * 2.0 ** min(times, MOST_DOUBLINGS), longest)
