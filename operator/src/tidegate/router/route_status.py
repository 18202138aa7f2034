"""Tells each ModelRoute which of its generations this router has applied. Never in the way of routing."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_ROUTES, Manifest, Resource
from tidegate.kube.informer import Key

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
MAX_WITHDRAWALS_SECONDS = 3.0


class Applies(Protocol):
    """The API server, as far as a report needs it. Raises ClusterUnavailable."""

    def apply(
        self, resource: Resource, manifest: Mapping[str, Any], *, manager: str, status: bool = False
    ) -> Manifest: ...


def report(name: Key, router: str, generation: int, at: datetime) -> Manifest:
    """What is applied to a ModelRoute's status. `at` is aware, in UTC."""
    entry = {"name": router, "observedGeneration": generation, "appliedAt": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**_object(name), "status": {"routers": [entry]}}


def withdrawal(name: Key) -> Manifest:
    """Applied by the same field manager, this takes the router's entry away.

    The empty list is needed: without it the last entry would leave a status of null, which the schema refuses.
    """
    return {**_object(name), "status": {"routers": []}}


def _object(name: Key) -> Manifest:
    return {
        "apiVersion": MODEL_ROUTES.api_version,
        "kind": MODEL_ROUTES.kind,
        "metadata": {"namespace": name[0], "name": name[1]},
    }


class RouteStatusWriter:
    """`applied` returns at once; `run` sends from a thread of its own, the newest generation of each route only."""

    def __init__(self, kube: Applies, router: str, stop: threading.Event, now: Callable[[], datetime]) -> None:
        self._kube, self._router, self._stop, self._now = kube, router, stop, now
        self._wanted: dict[Key, tuple[int, datetime]] = {}
        self._sent: dict[Key, int] = {}
        self._changed = threading.Condition()

    def applied(self, generations: Mapping[Key, int]) -> None:
        """Envoy routes by exactly these generations since now."""
        with self._changed:
            at = self._now()
            fresh = {name: (number, at) for name, number in generations.items() if self._is_news(name, number)}
            self._wanted = {name: one for name, one in self._wanted.items() if name in generations} | fresh
            self._sent = {name: number for name, number in self._sent.items() if name in generations}
            if fresh:
                self._changed.notify_all()

    def _is_news(self, name: Key, generation: int) -> bool:
        wanted = self._wanted.get(name)
        return self._sent.get(name) != generation if wanted is None else wanted[0] != generation

    def run(self) -> None:
        """Sends until stopped. What fails is tried again, unless a newer generation has come meanwhile."""
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: bool(self._wanted) or self._stop.is_set(), RETRY_SECONDS)
                wanted = dict(self._wanted)
            failed = [name for name, one in wanted.items() if not self._send(name, *one)]
            if failed:
                self._stop.wait(RETRY_SECONDS)

    def _send(self, name: Key, generation: int, at: datetime) -> bool:
        try:
            status = report(name, self._router, generation, at)
            self._kube.apply(MODEL_ROUTES, status, manager=self._router, status=True)
        except ClusterUnavailable as error:
            if error.status != 404:
                logger.warning("cannot report generation %d of ModelRoute %s/%s: %s", generation, *name, error)
                return False
        with self._changed:
            self._sent[name] = generation
            if self._wanted.get(name) == (generation, at):
                del self._wanted[name]
        return True

    def withdraw(self, clock: Callable[[], float]) -> None:
        """Takes this router's entries away, for as many routes as a few seconds allow: it is about to end."""
        deadline = clock() + MAX_WITHDRAWALS_SECONDS
        for name in list(self._sent):
            if clock() > deadline:
                return
            try:
                self._kube.apply(MODEL_ROUTES, withdrawal(name), manager=self._router, status=True)
            except ClusterUnavailable as error:
                if error.status != 404:
                    logger.warning("cannot take back the report to ModelRoute %s/%s: %s", *name, error)
                    return
