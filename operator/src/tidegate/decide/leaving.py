"""Revisions that stay listed at 0 after their last request was sent. Pure.

Some routers get to know a revision and its share separately: one that is taken out of the list while it has a share, or
put in with one, costs requests. There a revision is listed at 0 first, and at the end again.
"""

from collections.abc import Set
from datetime import timedelta

from tidegate.model.observation import Observation
from tidegate.model.traffic import TrafficSplit

LISTED_ON = timedelta(seconds=10)
"""From the last shift, when all routers have taken the route, until what is at 0 is left out."""


def still_listed(seen: Observation, split: TrafficSplit) -> Set[str]:
    """The revisions that a route with this split has to go on listing at 0."""
    if not seen.route.lists_first:
        return frozenset()
    had = {name for name, weight in seen.split or () if weight > 0}
    stay = frozenset() if _may_go(seen) else seen.route.leaving
    return (had | stay).difference(name for name, _ in split)


def _may_go(seen: Observation) -> bool:
    shifted_at = seen.recorded.shifted_at
    return seen.route_applied and (shifted_at is None or seen.now - shifted_at >= LISTED_ON)
