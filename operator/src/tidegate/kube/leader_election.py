"""Leadership by a Lease, so that two operators never drive the same objects.

The holder renews every few seconds; whoever can't renew for a while stops working well before another may begin.
The same pod takes its Lease up again at once after a restart of its container.
"""

import logging
import threading
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import LEASES, KubernetesApi, Manifest

NAME = "tidegate-operator"
DURATION_SECONDS = 15
RENEW_SECONDS = 3.0
GIVE_UP_SECONDS = 10.0

log = logging.getLogger(__name__)


class LeaderElection:
    """Holds the Lease, or waits for it, in a thread of its own."""

    def __init__(self, api: KubernetesApi, namespace: str, identity: str) -> None:
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._renewed_at: float | None = None
        self._seen: tuple[str, float] = ("", monotonic())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begins to ask for the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """Gives the Lease back, so that another needn't wait for it to run out."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(GIVE_UP_SECONDS)  # a renewal that is under way would take up again what is given back
        if self.held():
            self._renewed_at = None
            try:
                self._api.merge(LEASES, self._namespace, NAME, {"spec": {"holderIdentity": ""}})
            except ClusterUnavailable as error:
                log.warning("the Lease couldn't be given back: %s", error)

    def held(self) -> bool:
        """Whether this process may write."""
        renewed = self._renewed_at
        return renewed is not None and monotonic() - renewed < GIVE_UP_SECONDS

    def _run(self) -> None:
        while not self._stopped.is_set():
            asked_at = monotonic()
            try:
                if self._take_or_renew() and not self._stopped.is_set():
                    if not self.held():
                        log.info("%s leads", self._identity)
                    self._renewed_at = asked_at
            except ClusterUnavailable as error:
                log.warning("the Lease couldn't be renewed: %s", error)
            self._stopped.wait(RENEW_SECONDS)

    def _take_or_renew(self) -> bool:
        lease = self._api.get(LEASES, self._namespace, NAME)
        if lease is None:
            return self._api.create(LEASES, self._manifest({})) is not None
        holder = lease["spec"].get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._ran_out(lease):
            return False
        try:
            self._api.replace(LEASES, self._manifest(lease))
        except ClusterUnavailable as error:
            if error.status == 409:
                return False
            raise
        return True

    def _ran_out(self, lease: Manifest) -> bool:
        """By our own clock from when we last saw it change: clocks of two nodes needn't agree."""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, monotonic())
        return monotonic() - self._seen[1] > DURATION_SECONDS

    def _manifest(self, lease: dict[str, Any]) -> Manifest:
        metadata: dict[str, Any] = {"name": NAME, "namespace": self._namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: TID251 - told to people, never compared
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "renewTime": now,
            },
        }
