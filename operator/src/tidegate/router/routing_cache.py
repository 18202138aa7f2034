"""What the router follows of the cluster, put together: complete, or not here at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.kube.api import ENDPOINT_SLICES, MODEL_ROUTES, KubernetesApi
from tidegate.kube.informer import Informer, Item, Kind
from tidegate.resources.model_route import Route, read_route
from tidegate.resources.router_report import EVERY_NAMESPACE
from tidegate.router.cluster_lifecycle import RoutingSnapshot
from tidegate.router.objects import endpoints_by_service, leaving_services, read_slice

SILENCE_SECONDS = 300.0
"""A watch that says nothing for this long is dead: the server ends and reopens it every minute."""


def _route_and_version(body: Mapping[str, Any]) -> tuple[Route, int]:
    version = str(body["metadata"].get("resourceVersion", ""))
    return read_route(body), int(version) if version.isdecimal() else 0


ROUTE = Kind(MODEL_ROUTES, _route_and_version, selector=None)
"""Every ModelRoute, whoever made it."""
SLICE = Kind(ENDPOINT_SLICES, read_slice)
"""Only the endpoints of Tidegate's own Services."""


class RoutingCache:
    """Follows routes and endpoints in each of `namespaces` (None: in all of them).

    `changed` is called from the threads that follow, and only when there is something else to route.
    """

    def __init__(self, api: KubernetesApi, namespaces: Sequence[str | None], changed: Callable[[], None]) -> None:
        def news(_: Sequence[Item[Any]]) -> None:
            changed()

        self._routes = [Informer(api, ROUTE, news, namespace=namespace) for namespace in namespaces]
        self._slices = [Informer(api, SLICE, news, namespace=namespace) for namespace in namespaces]

    @property
    def informers(self) -> Sequence[Informer[Any]]:
        """All of them, routes first."""
        return (*self._routes, *self._slices)

    def start(self) -> None:
        """Begins to follow, in threads."""
        for informer in self.informers:
            informer.start()

    def stop(self) -> None:
        """Ends each thread with the next thing that the server says."""
        for informer in self.informers:
            informer.stop()

    def snapshot(self) -> RoutingSnapshot | None:
        """Everything, or None while a first list is still missing: half of it would take endpoints away."""
        if not all(informer.complete for informer in self.informers):
            return None
        found = {informer.namespace or EVERY_NAMESPACE: informer.store.all() for informer in self._routes}
        routes = [route for listed in found.values() for route, _ in listed]
        slices = [each for informer in self._slices for each in informer.store.all()]
        return RoutingSnapshot(
            routes=tuple(sorted(routes, key=lambda route: (route.namespace, route.name))),
            # Changes come in the order of their versions: whoever has the newest has all before it.
            versions={where: max((version for _, version in listed), default=0) for where, listed in found.items()},
            endpoints=endpoints_by_service(slices),
            leaving=leaving_services(slices),
        )

    def is_healthy(self) -> bool:
        """False when a thread has died, or has heard nothing for long."""
        return all(each.alive and each.silent_seconds() < SILENCE_SECONDS for each in self.informers)

    def report(self) -> str:
        """A line for each kind and namespace: how long ago the API server last said anything of it."""
        return "".join(
            f"{each.kind.resource.kind} in {each.namespace or 'all namespaces'}: "
            f"last event {each.silent_seconds():.0f} s ago{'' if each.alive else ', not followed any more'}\n"
            for each in self.informers
        )
