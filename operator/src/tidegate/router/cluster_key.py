"""The revisions that can be reached, and the names of their clusters. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from tidegate.resources.model_route import Route
from tidegate.resources.names import GRPC_SUFFIX, PREVIEW_SUFFIX, router_cluster
from tidegate.router.objects import Service


class ClusterKey(NamedTuple):
    """One revision of one ModelDeployment, by HTTP or by gRPC. It has two clusters of the same endpoints."""

    namespace: str
    route: str
    revision: str
    grpc: bool = False

    @property
    def live(self) -> str:
        return router_cluster(self.namespace, self.route, self.revision) + self._protocol

    @property
    def preview(self) -> str:
        return self.live + PREVIEW_SUFFIX

    @property
    def service(self) -> Service:
        return Service(self.namespace, self.revision)

    @property
    def assignment(self) -> str:
        """The name of its endpoints."""
        return f"{self.namespace}/{self.revision}{self._protocol}"

    @property
    def _protocol(self) -> str:
        return GRPC_SUFFIX if self.grpc else ""


def cluster_keys(routes: Iterable[Route]) -> frozenset[ClusterKey]:
    """Every revision that can be reached, the ones with weight 0 too."""
    return frozenset(
        ClusterKey(route.namespace, route.name, backend.revision, grpc)
        for route in routes
        for backend in route.backends
        for grpc in protocols_of(route)
    )


def protocols_of(route: Route) -> tuple[bool, ...]:
    """By what its revisions are reached: whether it is gRPC."""
    return (False, True) if route.grpc else (False,)


def keys_by_service(keys: Iterable[ClusterKey]) -> dict[Service, list[ClusterKey]]:
    """Those that have the same pods, in order; of several routes with the same endpoints, one key of each name."""
    named = {key.assignment: key for key in sorted(keys, reverse=True)}
    found: dict[Service, list[ClusterKey]] = {}
    for _, key in sorted(named.items()):
        found.setdefault(key.service, []).append(key)
    return found


def read_cluster_name(name: str) -> ClusterKey | None:
    """The reverse of `ClusterKey.live`; None for any other cluster."""
    revision = name.removesuffix(GRPC_SUFFIX)
    parts = revision.split("/")
    return ClusterKey(parts[0], parts[1], parts[2], grpc=revision != name) if len(parts) == 3 else None
