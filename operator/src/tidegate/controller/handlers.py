"""kopf's part: it watches the ModelDeployments and runs the process. Decides nothing, writes nothing."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import uniform
from typing import Any, Protocol

import kopf

from tidegate.controller.operator_metrics import OperatorMetrics
from tidegate.controller.workqueue import WorkQueue
from tidegate.kube.cluster import KubernetesCluster
from tidegate.kube.leader_election import LeaderElection
from tidegate.kube.sampling_key import SamplingKey
from tidegate.model.reasons import Phase
from tidegate.settings import Settings

RESYNC_SECONDS = 600
FIRST_LOOKS_SECONDS = 10.0
"""After a start, in which what is live and settled is looked at: whatever else there is comes first."""
LISTED_AT_ONCE = 100
SILENCE_SECONDS = 900
OVERDUE_SECONDS = 120
LEASE_SILENCE_SECONDS = 300

log = logging.getLogger(__name__)


class Poller(Protocol):
    """Whoever asks the routers for their counters."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Parts:
    """The shells that handlers wire together."""

    settings: Settings
    cluster: KubernetesCluster
    workqueue: WorkQueue
    leader_election: LeaderElection
    operator_metrics: OperatorMetrics
    sampling_key: SamplingKey
    poller: Poller


class NoDiffs(kopf.DiffBaseStorage):
    """kopf copies each object that it sees, to tell a later one's differences; nobody here asks for them."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Keeps nothing."""


class NoProgress(kopf.StatusProgressStorage):
    """kopf's handlers that go on another time note how far they are; ours only listen."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def register(registry: kopf.OperatorRegistry, parts: Parts) -> None:
    """Adds our handlers to a registry of kopf's."""

    @kopf.on.startup(registry=registry)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.watching.server_timeout = 240
        settings.watching.client_timeout = 270
        settings.watching.connect_timeout = 10
        settings.watching.chunk_size = LISTED_AT_ONCE
        settings.networking.request_timeout = 30
        settings.persistence.diffbase_storage = NoDiffs()
        settings.persistence.progress_storage = NoProgress()
        parts.operator_metrics.serve(parts.settings.metrics_port)
        parts.cluster.start()
        parts.leader_election.start()
        parts.sampling_key.start()
        parts.poller.start()
        parts.workqueue.start()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        # By the client's own log-in, which takes the API server's address from the pod's environment: no DNS needed.
        return kopf.login_via_client(**kwargs)

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        parts.poller.stop()
        await asyncio.to_thread(parts.workqueue.stop, 10)
        await asyncio.to_thread(parts.leader_election.stop)

    @kopf.on.event("tidegate.dev", "v1alpha1", "modeldeployments", registry=registry)
    async def seen(event: kopf.RawEvent, name: str, namespace: str | None, **_: Any) -> None:
        manifest = dict(event["object"])
        if parts.cluster.seen(manifest, deleted=event["type"] == "DELETED"):
            may_wait = event["type"] is None and is_settled(manifest)
            parts.workqueue.enqueue(namespace or "", name, uniform(0.0, FIRST_LOOKS_SECONDS) if may_wait else 0.0)

    @kopf.on.probe(registry=registry, id="alive")
    async def alive(**_: Any) -> str:
        for informer in parts.cluster.informers():
            # A restart doesn't help where what isn't needed may not be read.
            is_silent = informer.kind.needed and informer.silent_seconds() > SILENCE_SECONDS
            if is_silent or not informer.alive:
                raise RuntimeError(f"{informer.kind.resource.plural} aren't followed any more")
        election = parts.leader_election
        if not election.alive or election.silent_seconds() > LEASE_SILENCE_SECONDS:
            raise RuntimeError("the leader's Lease isn't asked for any more")
        if election.held() and parts.workqueue.overdue_seconds() > OVERDUE_SECONDS:
            raise RuntimeError("the workqueue is stuck")
        return "yes"


def is_settled(manifest: Mapping[str, Any]) -> bool:
    """Whether a ModelDeployment that is found by listing was live, and what it asks for is what it was given."""
    status = manifest.get("status") or {}
    is_known = status.get("observedGeneration") == manifest["metadata"].get("generation")
    return is_known and status.get("phase") == Phase.LIVE


def is_urgent(manifest: Mapping[str, Any] | None) -> bool:
    """Whether two revisions may have traffic: a look at this one may be the one that rolls back."""
    status = (manifest or {}).get("status") or {}
    return bool(status.get("rollout") and status.get("stable"))


def resync(parts: Parts) -> None:
    """Enqueues everything, evenly until the next time, whether or not anything said that it changed."""
    manifests = parts.cluster.model_deployments()
    for index, manifest in enumerate(manifests):
        metadata = manifest["metadata"]
        after = RESYNC_SECONDS * index / len(manifests)
        parts.workqueue.enqueue(metadata["namespace"], metadata["name"], after)
