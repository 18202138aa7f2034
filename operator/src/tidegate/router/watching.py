"""Follows one kind of object in one scope: list, watch from there, list again when the server has forgotten.

An API server that is away changes nothing: the store keeps what it has, and the watch is tried again.
"""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.router.kube import Body, Kube, KubeError
from tidegate.router.store import Kind, Store

logger = logging.getLogger(__name__)

WATCH_SECONDS = 60
"""The server ends a watch after this long: opening it again shows that it is alive."""
RETRY_SECONDS = (0.5, 15.0)
"""The first and the longest wait after a failure; the real one is random below it."""
GONE = 410


@dataclass(frozen=True)
class Source:
    """What to follow. An empty `namespace` means all of them."""

    kind: Kind
    namespace: str

    @property
    def path(self) -> str:
        """The collection's path on the API server."""
        group, plural = {
            Kind.ROUTES: ("/apis/tidegate.dev/v1alpha1", "modelroutes"),
            Kind.SLICES: ("/apis/discovery.k8s.io/v1", "endpointslices"),
        }[self.kind]
        return f"{group}/namespaces/{self.namespace}/{plural}" if self.namespace else f"{group}/{plural}"

    @property
    def query(self) -> dict[str, str]:
        """Only the endpoints of Tidegate's own Services; every ModelRoute."""
        return {"labelSelector": "app.kubernetes.io/managed-by=tidegate"} if self.kind is Kind.SLICES else {}


class Watcher:
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
            except KubeError as error:
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
        """One list if needed, and one watch. Raises KubeError."""
        if self._version is None:
            listed = self._kube.list(self.source.path, self.source.query)
            self._store.replace(self.source.kind, self.source.namespace, listed.get("items") or [])
            self._version = str(listed["metadata"]["resourceVersion"])
            self.last_heard = self._clock()
        query = {**self.source.query, "resourceVersion": self._version}
        for event in self._kube.watch(self.source.path, query, WATCH_SECONDS):
            if self._stop.is_set():
                return
            self._take(event)
        # The server ended the watch in good order.
        self.last_heard = self._clock()

    def _take(self, event: Body) -> None:
        kind, body = event["type"], event["object"]
        if kind == "ERROR":
            raise KubeError(f"watch {self.source.path}: {body.get('message')}", body.get("code"))
        if kind in ("ADDED", "MODIFIED"):
            self._store.put(self.source.kind, body)
        elif kind == "DELETED":
            self._store.drop(self.source.kind, body)
        self._version = str(body["metadata"]["resourceVersion"])
        self.last_heard = self._clock()
