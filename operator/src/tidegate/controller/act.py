"""Carries out one Decision, in its order. Writes only; every write may be repeated."""

from typing import assert_never

from tidegate.kube.api import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    SERVICES,
    Manifest,
)
from tidegate.kube.cluster import Cluster
from tidegate.model import actions
from tidegate.model.actions import Action
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.revision import Snapshot
from tidegate.model.traffic import TrafficSplit, Writer
from tidegate.resources.names import ADMIN_PORT, PINNED, WRITTEN_BY
from tidegate.resources.revision import (
    controller_revision_manifest,
    deployment_manifest,
    pin_manifest,
    service_manifest,
)
from tidegate.settings import Settings
from tidegate.traffic_routing import backend_for
from tidegate.traffic_routing.backend import RouteOwner, RouterBackend


def act(cluster: Cluster, settings: Settings, manifest: Manifest, seen: Observation, decision: Decision) -> None:
    """Does it, then says so. The first write that fails ends it, and the next pass does the rest.

    Raises ClusterUnavailable, ObjectChanged or LeadershipLost, or ObjectGone where there is nothing left to do.
    """
    for action in decision.actions:
        _do(cluster, settings, manifest, seen, action)
    for event in decision.events:
        cluster.emit(manifest, event, seen.now)


def _do(cluster: Cluster, settings: Settings, manifest: Manifest, seen: Observation, action: Action) -> None:
    namespace, name, uid = seen.namespace, seen.name, manifest["metadata"]["uid"]
    match action:
        case actions.EnsureRevision(revision=revision, replicas=replicas):
            _ensure(cluster, settings, uid, seen, revision, replicas)
        case actions.ScaleRevision(revision=revision, replicas=replicas):
            cluster.scale(namespace, revision, replicas)
        case actions.PinModel(revision=revision, sha256=sha256, files_sha256=files):
            cluster.create(CONFIG_MAPS, pin_manifest(namespace, name, uid, revision, sha256, files))
            cluster.annotate(namespace, revision, PINNED, sha256)
        case actions.ShiftTraffic(split=split):
            _shift(cluster, backend_for(seen.spec.router), RouteOwner(namespace, name, uid), seen, split)
        case actions.RecordStatus(status=status):
            cluster.record_status(namespace, name, status.to_dict(), manifest["metadata"].get("resourceVersion", ""))
        case actions.DeleteWorkload(revision=revision):
            # The Deployment goes last: it is what shows, after a crash in between, that there is something to retire.
            cluster.delete(SERVICES, namespace, revision)
            cluster.delete(DEPLOYMENTS, namespace, revision)
        case actions.DeleteSnapshot(revision=revision):
            cluster.delete(CONFIG_MAPS, namespace, revision)
            cluster.delete(CONTROLLER_REVISIONS, namespace, revision)
        case _ as unhandled:
            assert_never(unhandled)


def _shift(cluster: Cluster, backend: RouterBackend, owner: RouteOwner, seen: Observation, split: TrafficSplit) -> None:
    for write in backend.writes(owner, split, seen.spec.route_settings, seen.route):
        cluster.apply(write.resource, signed(write.manifest, cluster.writer), write.version)


def signed(manifest: Manifest, writer: Writer) -> Manifest:
    """The manifest with a note of who writes it."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), WRITTEN_BY: str(writer)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _ensure(cluster: Cluster, settings: Settings, uid: str, seen: Observation, revision: str, replicas: int) -> None:
    namespace, name = seen.namespace, seen.name
    if revision == seen.desired:  # never in the way of a rollback, which goes to what the spec doesn't ask for
        cluster.confirm(namespace, name, uid)
    snapshot = seen.state(revision).snapshot
    if snapshot is None:
        if revision != seen.desired:
            # Its record was deleted by hand; from the present spec something else would come.
            return
        image = seen.spec.server.image or settings.server_image
        snapshot = Snapshot(seen.spec.model, seen.spec.server, image, ADMIN_PORT)
        number = 1 + max((state.number for state in seen.revisions.values()), default=0)
        record = controller_revision_manifest(namespace, name, uid, revision, snapshot, number)
        cluster.create(CONTROLLER_REVISIONS, record)
    owner = RouteOwner(namespace, name, uid)
    for service in backend_for(seen.spec.router).client_services(owner, settings.router_service):
        cluster.create(SERVICES, service)
    cluster.create(SERVICES, service_manifest(namespace, name, uid, revision))
    pull_policy = settings.image_pull_policy
    workload = deployment_manifest(namespace, name, uid, revision, snapshot, replicas, pull_policy)
    cluster.create(DEPLOYMENTS, workload)
