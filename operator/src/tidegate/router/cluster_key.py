"""The revisions that can be reached, and the names of their clusters. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tidegate.resources.model_route import Route
from tidegate.resources.names import GRPC_SUFFIX, MATCH_SUFFIX, MIRROR_SUFFIX, PREVIEW_SUFFIX, router_cluster
from tidegate.router.objects import Service

SUFFIXES = ("", MIRROR_SUFFIX, MATCH_SUFFIX)


class ClusterKey(NamedTuple):
    """One revision of one ModelDeployment, by HTTP or by gRPC. It has two clusters of the same endpoints.

    With a `suffix` it is one of its own for something else that is counted apart, and comes and goes by itself.
    """

    namespace: str
    route: str
    revision: str
    grpc: bool = False
    suffix: str = ""

    @property
    def live(self) -> str:
        return router_cluster(self.namespace, self.route, self.revision) + self._protocol

    @property
    def preview(self) -> str:
        return self.live + PREVIEW_SUFFIX

    @property
    def clusters(self) -> tuple[str, ...]:
        """The names of all its clusters."""
        return (self.live + self.suffix,) if self.suffix else (self.live, self.preview)

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
    """Every revision that can be reached, the ones with weight 0 too; those that get copies or a group once more."""
    return frozenset(key for route in routes for key in _keys(route))


def _keys(route: Route) -> Iterator[ClusterKey]:
    for backend in route.backends:
        for grpc in protocols_of(route):
            yield ClusterKey(route.namespace, route.name, backend.revision, grpc)
    if route.mirror:
        yield ClusterKey(route.namespace, route.name, route.mirror.revision, suffix=MIRROR_SUFFIX)
    if route.matched:
        yield ClusterKey(route.namespace, route.name, route.matched.revision, suffix=MATCH_SUFFIX)


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
    """Whose cluster a name is; None where it is nobody's."""
    parts = name.removesuffix(PREVIEW_SUFFIX).split("/", 3)
    rest = "".join(f"/{each}" for each in parts[3:])
    if len(parts) < 3 or rest not in (*SUFFIXES, GRPC_SUFFIX):
        return None
    namespace, route, revision = parts[:3]
    grpc = rest == GRPC_SUFFIX
    return ClusterKey(namespace, route, revision, grpc, "" if grpc else rest)
