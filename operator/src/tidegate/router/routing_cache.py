"""What the router follows of the cluster, put together: complete, or not here at all, and then by what is news."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from tidegate.kube.api import ENDPOINT_SLICES, MODEL_ROUTES, KubernetesApi, Resource
from tidegate.kube.informer import Informer, Item, Key, Kind, version_of
from tidegate.resources.model_route import Route, read_route
from tidegate.resources.router_report import EVERY_NAMESPACE
from tidegate.router.objects import Answering, Service, Slice, answering, can_wait, read_slice
from tidegate.router.routing_table import NOBODY, Versioned

SILENCE_SECONDS = 300.0
"""A watch that says nothing for this long is dead: the server ends and reopens it every minute."""


def _route_and_version(body: Mapping[str, Any]) -> tuple[Route, int]:
    return read_route(body), version_of(body["metadata"])


ROUTE = Kind(MODEL_ROUTES, _route_and_version, selector=None)
"""Every ModelRoute, whoever made it."""
SLICE = Kind(ENDPOINT_SLICES, read_slice)
"""Only the endpoints of Tidegate's own Services."""


class Changed(Protocol):
    """Is told that there is something else to route. `at_once`: it must not wait for more of the same."""

    def __call__(self, *, at_once: bool) -> None: ...


@dataclass(frozen=True)
class Changes:
    """What is news since the last time. `routes`: all that there are, by the namespace that is followed, or None."""

    routes: Mapping[str, Collection[Versioned]] | None
    services: Mapping[Service, Answering]


class RoutingCache:
    """Follows routes and endpoints in each of `namespaces` (None: in all of them).

    `changed` is called from the threads that follow, and only when there is something else to route. Pods that come and
    go can wait as long as some of those that were taken last still answer.
    """

    def __init__(self, api: KubernetesApi, namespaces: Sequence[str | None], changed: Changed) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._routes_changed = False
        self._unheard: set[tuple[Resource, str | None]] = {
            (kind.resource, namespace) for kind in (ROUTE, SLICE) for namespace in namespaces
        }
        """Whose first list isn't entered here yet. The stores may have it already."""
        self._by_service: dict[Service, dict[Key, Slice]] = {}
        self._services_of: dict[Key, Service] = {}
        self._taken: dict[Service, Answering] = {}
        """Who answered for each Service that has slices, by what was taken last."""
        self._services_changed: dict[Service, Answering] = {}
        self._routes = [
            Informer(api, ROUTE, partial(self._hear_routes, namespace), namespace=namespace) for namespace in namespaces
        ]
        self._slices = [
            Informer(api, SLICE, partial(self._hear_slices, namespace), namespace=namespace) for namespace in namespaces
        ]

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

    def _hear_routes(self, namespace: str | None, _: Sequence[Item[Any]]) -> None:
        with self._lock:
            self._unheard.discard((MODEL_ROUTES, namespace))
            self._routes_changed = True
        self._changed(at_once=True)

    def _hear_slices(self, namespace: str | None, news: Sequence[Item[Slice]]) -> None:
        with self._lock:
            self._unheard.discard((ENDPOINT_SLICES, namespace))
            concerned = {service for key in {item.key for item in news} for service in self._enter(key)}
            waits = [self._compare(service) for service in concerned]
        self._changed(at_once=not all(waits))

    def _enter(self, key: Key) -> Iterator[Service]:
        """What is news may be of an object that is gone, or already another: the stores know what is."""
        current = next((found for each in self._slices if (found := each.store.get(*key))), None)
        before = self._services_of.pop(key, None)
        if before:
            del self._by_service[before][key]
            yield before
        if current:
            self._services_of[key] = current.service
            self._by_service.setdefault(current.service, {})[key] = current
            yield current.service

    def _compare(self, service: Service) -> bool:
        """Notes who answers now. Whether that can wait."""
        told, found = self._taken.get(service, NOBODY), answering(self._by_service[service].values())
        self._services_changed[service] = found
        return found == told or can_wait(told, found)

    def take(self) -> Changes | None:
        """What is news, or None while a first list is still missing: half of it would take endpoints away."""
        with self._lock:
            if self._unheard:
                return None
            routes_changed, self._routes_changed = self._routes_changed, False
            services, self._services_changed = self._services_changed, {}
            self._taken |= services
            for service in [service for service in services if not self._by_service[service]]:
                del self._by_service[service], self._taken[service]
        if not routes_changed:
            return Changes(None, services)
        return Changes({each.namespace or EVERY_NAMESPACE: each.store.all() for each in self._routes}, services)

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
