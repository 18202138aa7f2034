"""Which clusters Envoy must know beyond those that routes name, and which get an endpoints file of their own. Pure.

Times are seconds of one steady clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tidegate.resources.model_route import Route
from tidegate.router.objects import Endpoint, Service
from tidegate.router.xds import ClusterKey, cluster_keys

DRAIN_SECONDS = 30.0
"""How long a cluster outlives the last route that named it, so that its requests can end."""


@dataclass(frozen=True)
class RoutingSnapshot:
    """What should be routed: complete, or not here at all."""

    routes: tuple[Route, ...]
    versions: Mapping[str, int]
    """By namespace that is followed, or '' for all: `routes` has every ModelRoute up to this resourceVersion."""
    endpoints: Mapping[Service, tuple[Endpoint, ...]]


@dataclass(frozen=True)
class DrainingCluster:
    """A cluster no route names any more. `since` is None until Envoy has confirmed the routes without it."""

    key: ClusterKey
    since: float | None = None

    def is_over(self, now: float) -> bool:
        """True when no request of this cluster can still be under way, as far as we wait for any."""
        return self.since is not None and now - self.since >= DRAIN_SECONDS


def draining_clusters(
    known: Iterable[ClusterKey], leaving: Iterable[DrainingCluster], routed: Collection[ClusterKey], now: float
) -> tuple[DrainingCluster, ...]:
    """The clusters to keep although no route names them. One that is routed again is no departure."""
    gone = {key: DrainingCluster(key) for key in known if key not in routed}
    gone |= {draining.key: draining for draining in leaving if draining.key not in routed}
    return tuple(gone[key] for key in sorted(gone) if not gone[key].is_over(now))


def confirmed(leaving: Iterable[DrainingCluster], now: float) -> tuple[DrainingCluster, ...]:
    """Envoy's routes name none of these now: their time runs."""
    return tuple(DrainingCluster(one.key, now) if one.since is None else one for one in leaving)


def next_end(leaving: Iterable[DrainingCluster]) -> float | None:
    """When the first departure is over, or None when nothing waits for that."""
    ends = [one.since + DRAIN_SECONDS for one in leaving if one.since is not None]
    return min(ends, default=None)


def choose_eds_clusters(
    before: Collection[ClusterKey], known: Collection[ClusterKey], routes: Iterable[Route], limit: int
) -> frozenset[ClusterKey]:
    """At most `limit` clusters that get an endpoints file of their own, so that their counts survive.

    Clusters of a split come first, because the judge reads them; then those that have a file already, because moving
    a cluster between the two forms costs the very counts this is about; then the rest, by name.
    """
    split = cluster_keys(route for route in routes if len(route.backends) > 1)
    ordered = sorted(known, key=lambda key: (key not in split, key not in before, key))
    return frozenset(ordered[:limit])
