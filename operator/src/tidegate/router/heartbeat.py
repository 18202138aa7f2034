"""Says that this router lives, and which routes its Envoy works with. Never in the way of routing."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import LEASES, Manifest, Resource
from tidegate.resources.router_report import Applied, RouterIdentity, report_manifest

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
GATHER_SECONDS = 0.1
"""The least time from one report to the next, however fast routes change."""


class Leases(Protocol):
    """The API server, as far as a report needs it. Raises ClusterUnavailable."""

    def apply(self, resource: Resource, manifest: Mapping[str, Any], *, manager: str) -> Manifest: ...
    def delete(self, resource: Resource, namespace: str, name: str) -> None: ...


class Heartbeat:
    """`applied` returns at once; `run` sends from a thread of its own, the newest versions only."""

    def __init__(
        self, kube: Leases, router: RouterIdentity, stop: threading.Event, now: Callable[[], datetime]
    ) -> None:
        self._kube, self._router, self._stop, self._now = kube, router, stop, now
        self._applied = Applied()
        self._certificate = ""
        self._changed = threading.Event()

    def applied(self, applied: Applied) -> None:
        """Envoy works with this, since now."""
        if applied != self._applied:
            self._applied = applied
            self._changed.set()

    def certificate(self, problem: str) -> None:
        """Why the TLS Secret can't be served, since now; empty where it can."""
        self._certificate = problem
        self._changed.set()

    def wake(self) -> None:
        """Lets `run` see at once that it was stopped."""
        self._changed.set()

    def run(self) -> None:
        """Renews until stopped; what fails is tried again a little later."""
        while not self._stop.is_set():
            self._changed.clear()
            again_at = monotonic() + GATHER_SECONDS
            self._changed.wait(RENEW_SECONDS if self._send() else RETRY_SECONDS)
            self._stop.wait(again_at - monotonic())

    def _send(self) -> bool:
        try:
            applied = replace(self._applied, certificate=self._certificate)
            manifest = report_manifest(self._router, applied, self._now())
            self._kube.apply(LEASES, manifest, manager=self._router.pod)
        except ClusterUnavailable as error:
            logger.warning("cannot report what is applied: %s", error)
            return False
        except Exception:
            logger.exception("cannot report what is applied")
            return False
        return True

    def withdraw(self) -> None:
        """This router is about to end: nobody needs to wait for it."""
        try:
            self._kube.delete(LEASES, self._router.namespace, self._router.pod)
        except ClusterUnavailable as error:
            logger.warning("the Lease couldn't be taken back, and will run out: %s", error)
