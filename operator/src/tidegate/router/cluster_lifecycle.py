"""Which clusters Envoy must know beyond those that routes name. Pure.

Times are seconds of one steady clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tidegate.resources.model_route import LONGEST_TIMEOUT_SECONDS, Route
from tidegate.router.cluster_key import ClusterKey, cluster_keys

DRAIN_SECONDS = 30.0
"""How long a cluster outlives the last route that named it at least, so that its requests can end."""
COUNTS_SECONDS = 600.0
"""How long it stays with what Envoy has counted of it, for the same revision to come back.

A model that is made anew, or a release that is undone, would otherwise begin to count from nothing under old names, and
whoever reads that looks back for five minutes and can't always tell it from somebody else's counters.
"""
MOST_KEPT = 200
"""Revisions that are kept for their counts alone, the latest to leave: each takes some 100 KiB of Envoy's memory."""
GRACE_SECONDS = 10.0
"""Beyond the longest time that one of its requests may take."""
UNKNOWN_SECONDS = float(LONGEST_TIMEOUT_SECONDS) + GRACE_SECONDS
"""For a cluster of an agent that ran here before: its requests may have been given the longest time that there is."""


@dataclass(frozen=True)
class DrainingCluster:
    """A cluster no route names any more. `since` is None until Envoy has confirmed the routes without it."""

    key: ClusterKey
    since: float | None = None
    seconds: float = UNKNOWN_SECONDS
    """How long requests may be under way from then on."""

    @property
    def ends_at(self) -> float | None:
        """When it goes, unless others need its place before; None while nobody knows."""
        return None if self.since is None else self.since + max(self.seconds, COUNTS_SECONDS)

    def is_drained(self, now: float) -> bool:
        """True when no request of this cluster can still be under way, as far as we wait for any."""
        return self.since is not None and now - self.since >= self.seconds

    def is_over(self, now: float) -> bool:
        """True when nobody needs what was counted of it any more, either."""
        return self.ends_at is not None and now >= self.ends_at


def draining_clusters(
    known: Iterable[ClusterKey],
    leaving: Iterable[DrainingCluster],
    routed: Collection[ClusterKey],
    now: float,
    timeouts: Mapping[ClusterKey, float] = MappingProxyType({}),
) -> tuple[DrainingCluster, ...]:
    """The clusters to keep although no route names them. One that is routed again is no departure.

    `timeouts`: how long a request to each may take, as its last route had it.
    """
    gone = {key: DrainingCluster(key, seconds=_seconds(timeouts.get(key))) for key in known if key not in routed}
    gone |= {draining.key: draining for draining in leaving if draining.key not in routed}
    over = {each.key for each in gone.values() if each.is_over(now)} | _too_many(gone.values(), now)
    return tuple(gone[key] for key in sorted(gone) if key not in over)


def _too_many(leaving: Iterable[DrainingCluster], now: float) -> set[ClusterKey]:
    drained = sorted((each for each in leaving if each.is_drained(now)), key=lambda each: each.since or 0.0)
    return {each.key for each in drained[:-MOST_KEPT]}


def _seconds(timeout: float | None) -> float:
    return UNKNOWN_SECONDS if timeout is None else max(DRAIN_SECONDS, timeout + GRACE_SECONDS)


def timeouts_of(routes: Iterable[Route]) -> dict[ClusterKey, float]:
    """How long a request to each cluster may take."""
    return {key: float(route.timeout_seconds) for route in routes for key in cluster_keys([route])}


def confirmed(leaving: Iterable[DrainingCluster], now: float) -> tuple[DrainingCluster, ...]:
    """Envoy's routes name none of these now: their time runs."""
    return tuple(replace(one, since=now) if one.since is None else one for one in leaving)


def next_end(leaving: Iterable[DrainingCluster]) -> float | None:
    """When the first departure is over, or None when nothing waits for that."""
    return min((one.ends_at for one in leaving if one.ends_at is not None), default=None)
