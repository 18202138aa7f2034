"""Follows one kind of object in one scope: list, watch from there, list again when the server has forgotten.

An API server that is away changes nothing: the store keeps what it has, and the watch is tried again.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import ENDPOINT_SLICES, MODEL_ROUTES, Manifest, Resource
from tidegate.resources.names import SELECTOR
from tidegate.router.store import Kind, Store

logger = logging.getLogger(__name__)

WATCH_SECONDS = 60
"""The server ends a watch after this long: opening it again shows that it is alive."""
RETRY_SECONDS = (0.5, 15.0)
"""The first and the longest wait after a failure; the real one is random below it."""
GONE = 410


class Kube(Protocol):
    """The API server, as far as the agent needs it. Raises ClusterUnavailable."""

    def list(self, resource: Resource, namespace: str | None, selector: str | None) -> Manifest: ...
    def watch(
        self, resource: Resource, namespace: str | None, selector: str | None, version: str, *, seconds: int
    ) -> Iterator[Manifest]: ...
    def apply(
        self, resource: Resource, manifest: Mapping[str, Any], *, manager: str, status: bool = False
    ) -> Manifest: ...


@dataclass(frozen=True)
class Source:
    """What to follow. An empty `namespace` means all of them."""

    kind: Kind
    namespace: str

    @property
    def resource(self) -> Resource:
        """Where its objects are found."""
        return MODEL_ROUTES if self.kind is Kind.ROUTES else ENDPOINT_SLICES

    @property
    def selector(self) -> str | None:
        """Only the endpoints of Tidegate's own Services; every ModelRoute."""
        return SELECTOR if self.kind is Kind.SLICES else None


class DecisionListener:
    """Runs in a thread of its own until `stop` is set."""

    def __init__(
        self, source: Source, kube: Kube, store: Store, stop: threading.Event, clock: Callable[[], float]
    ) -> None:
        self.source = source
        self._kube, self._store, self._stop, self._clock = kube, store, stop, clock
        self._version: str | None = None
        self.last_heard = clock()
        """When the API server last showed that it still tells us what happens."""

    def run(self) -> None:
        """List and watch, for ever."""
        wait = RETRY_SECONDS[0]
        while not self._stop.is_set():
            try:
                self.follow_once()
                wait = RETRY_SECONDS[0]
            except ClusterUnavailable as error:
                if error.status == GONE:
                    self._version = None
                    continue
                logger.warning("%s in %r: %s", self.source.kind.value, self.source.namespace or "all namespaces", error)
                self._stop.wait(random.uniform(wait / 2, wait))
                wait = min(wait * 2, RETRY_SECONDS[1])
            except Exception:
                # An object of an unforeseen shape: start over from a list, the others must go on.
                logger.exception("%s can't be followed", self.source.kind.value)
                self._version = None
                self._stop.wait(RETRY_SECONDS[1])

    def follow_once(self) -> None:
        """One list if needed, and one watch. Raises ClusterUnavailable."""
        where = (self.source.resource, self.source.namespace or None, self.source.selector)
        if self._version is None:
            listed = self._kube.list(*where)
            self._store.replace(self.source.kind, self.source.namespace, listed.get("items") or [])
            self._version = str(listed["metadata"]["resourceVersion"])
            self.last_heard = self._clock()
        for event in self._kube.watch(*where, self._version, seconds=WATCH_SECONDS):
            if self._stop.is_set():
                return
            self._take(event)
        # The server ended the watch in good order.
        self.last_heard = self._clock()

    def _take(self, event: Manifest) -> None:
        kind, body = event["type"], event["object"]
        if kind == "ERROR":
            raise ClusterUnavailable(
                f"the watch of {self.source.resource.plural} broke: {body.get('message')}", body.get("code")
            )
        if kind in ("ADDED", "MODIFIED"):
            self._store.put(self.source.kind, body)
        elif kind == "DELETED":
            self._store.drop(self.source.kind, body)
        self._version = str(body["metadata"]["resourceVersion"])
        self.last_heard = self._clock()
