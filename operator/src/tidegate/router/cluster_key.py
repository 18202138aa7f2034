"""The revisions that can be reached, and the names of their clusters. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from tidegate.resources.model_route import Route
from tidegate.resources.names import PREVIEW_SUFFIX, router_cluster
from tidegate.router.objects import Service


class ClusterKey(NamedTuple):
    """One revision of one ModelDeployment. It has two clusters of the same endpoints: live and preview."""

    namespace: str
    route: str
    revision: str

    @property
    def live(self) -> str:
        return router_cluster(self.namespace, self.route, self.revision)

    @property
    def preview(self) -> str:
        return self.live + PREVIEW_SUFFIX

    @property
    def service(self) -> Service:
        return Service(self.namespace, self.revision)


def cluster_keys(routes: Iterable[Route]) -> frozenset[ClusterKey]:
    """Every revision that can be reached, the ones with weight 0 too."""
    return frozenset(
        ClusterKey(route.namespace, route.name, backend.revision) for route in routes for backend in route.backends
    )


def read_cluster_name(name: str) -> ClusterKey | None:
    """The reverse of `ClusterKey.live`; None for any other cluster."""
    parts = name.split("/")
    return ClusterKey(*parts) if len(parts) == 3 else None
