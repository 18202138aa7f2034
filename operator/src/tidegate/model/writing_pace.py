"""How often numbers that only count on are written, so that many rollouts together write no more than a few. Pure."""

from datetime import timedelta

EACH = timedelta(seconds=30)
"""The shortest time from one write of a rollout's numbers to the next: each goes to whoever watches."""
TOGETHER = timedelta(seconds=1.2)
"""The shortest time from one to the next of all rollouts together."""
LONGEST = timedelta(minutes=5)
"""So long nobody waits, however many there are."""


def numbers_each(rollouts: int) -> timedelta:
    """The time from one write of a rollout's numbers to the next, where so many are under way."""
    return min(LONGEST, max(EACH, rollouts * TOGETHER))
