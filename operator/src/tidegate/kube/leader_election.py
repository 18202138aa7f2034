"""Leadership by a Lease, so that two operators of one release never drive the same objects.

The holder renews every few seconds; whoever can't renew for a while stops working well before another may begin.
The same pod takes its Lease up again at once after a restart of its container. Every leader has a higher epoch than
the one before (`leaseTransitions` of the Lease), by which what it writes is known.
"""

import logging
import threading
from datetime import UTC, datetime
from random import uniform
from time import monotonic
from typing import Any

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import LEASES, KubernetesApi, Manifest
from tidegate.model.back_off import doubled
from tidegate.model.traffic import Writer

DURATION_SECONDS = 15
RENEW_SECONDS = 3.0
GIVE_UP_SECONDS = 10.0
LONGEST_PAUSE = 15.0
"""From one question to the next, where none is answered."""

log = logging.getLogger(__name__)


class LeaderElection:
    """Holds the Lease, or waits for it, in a thread of its own."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str, identity: str) -> None:
        self._api = api
        self._namespace, self._name = namespace, name
        self._identity = identity
        self._epoch = -1  # none yet: what is found in a Lease is another's, also under our own name
        self._renewed_at: float | None = None
        self._answered_at = monotonic()
        self._failures = 0
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
                self._api.merge(LEASES, self._namespace, self._name, {"spec": {"holderIdentity": ""}})
            except ClusterUnavailable as error:
                log.warning("the Lease couldn't be given back: %s", error)

    def held(self) -> bool:
        """Whether this process may write."""
        renewed = self._renewed_at
        return renewed is not None and monotonic() - renewed < GIVE_UP_SECONDS

    @property
    def writer(self) -> Writer:
        """As whom this process writes, while it leads."""
        return Writer(f"{self._namespace}/{self._name}", self._epoch)

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or wasn't to run yet: without it nobody would ask for the Lease any more."""
        return self._thread.is_alive() or self._thread.ident is None or self._stopped.is_set()

    def silent_seconds(self) -> float:
        """Seconds since the API server last answered: as long as it doesn't, this process can't come to lead."""
        return monotonic() - self._answered_at

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.ask_once()
            self._stopped.wait(self._pause())

    def ask_once(self) -> None:
        """Takes the Lease, renews it, or sees that another has it. Whatever goes wrong is logged."""
        asked_at = monotonic()
        try:
            leads = self._take_or_renew()
        except ClusterUnavailable as error:
            log.warning("the Lease %s couldn't be renewed: %s", self._name, error)
            self._failures += 1
            return
        except Exception:
            log.exception("the Lease %s couldn't be renewed", self._name)
            self._failures += 1
            return
        self._answered_at, self._failures = monotonic(), 0
        if leads and not self._stopped.is_set():
            if not self.held():
                log.info("%s leads, as leader number %d by this Lease", self._identity, self._epoch)
            self._renewed_at = asked_at

    def _pause(self) -> float:
        """As usual while it is held: it may run out before another answer would."""
        if not self._failures or self.held():
            return RENEW_SECONDS
        return doubled(RENEW_SECONDS, self._failures - 1, LONGEST_PAUSE) * uniform(0.8, 1.2)

    def _take_or_renew(self) -> bool:
        lease = self._api.get(LEASES, self._namespace, self._name)
        if lease is None:
            # Higher than any before, also where somebody deleted a Lease that had been taken over often.
            epoch = int(_now().timestamp()) // 60
            return self._taken(epoch, self._api.create(LEASES, self._manifest({}, epoch)) is not None)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._ran_out(lease):
            return False
        counted = spec.get("leaseTransitions") or 0
        renews = holder == self._identity and counted == self._epoch
        epoch = counted if renews else max(counted, self._epoch) + 1
        return self._taken(epoch, self._replaced(lease, epoch))

    def _replaced(self, lease: Manifest, epoch: int) -> bool:
        try:
            self._api.replace(LEASES, self._manifest(lease, epoch))
        except ClusterUnavailable as error:
            if error.status == 409:
                return False
            raise
        return True

    def _taken(self, epoch: int, taken: bool) -> bool:
        if taken:
            self._epoch = epoch
        return taken

    def _ran_out(self, lease: Manifest) -> bool:
        """By our own clock from when we last saw it change: clocks of two nodes needn't agree."""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, monotonic())
        return monotonic() - self._seen[1] > DURATION_SECONDS

    def _manifest(self, lease: dict[str, Any], epoch: int) -> Manifest:
        metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "leaseTransitions": epoch,
                "renewTime": _now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - told to people, never compared with another's clock
