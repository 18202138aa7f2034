"""Carries out one Decision, in its order. Writes only; every write may be repeated."""

from functools import partial
from typing import assert_never

from tidegate.controller.config import missing_copies
from tidegate.controller.refusals import Attempts, Refusals, Write
from tidegate.decide.leaving import still_listed
from tidegate.kube.api import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    Manifest,
    Resource,
)
from tidegate.kube.cluster import Cluster
from tidegate.kube.config_reader import RESOURCES
from tidegate.model import actions
from tidegate.model.actions import Action
from tidegate.model.config import ConfigKind
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.revision import Snapshot
from tidegate.model.traffic import TrafficSplit, Writer
from tidegate.model.units import format_instant
from tidegate.resources.disruption_budget import budget_manifest
from tidegate.resources.names import ADMIN_PORT, PINNED, RESTARTED_AT, RETURNS_RULES, WRITTEN_BY
from tidegate.resources.ownership import Owner
from tidegate.resources.pod_config import copies
from tidegate.resources.revision import (
    controller_revision_manifest,
    deployment_manifest,
    pin_manifest,
    service_manifest,
)
from tidegate.settings import Settings
from tidegate.traffic_routing import backend_for
from tidegate.traffic_routing.backend import RouterBackend, RouteWrite


def act(
    cluster: Cluster,
    settings: Settings,
    manifest: Manifest,
    seen: Observation,
    decision: Decision,
    refusals: Refusals,
) -> None:
    """Does it, then says so.

    A write of pods and Services that the API server refuses is noted, and stops nothing: nothing rests on it in the
    same pass. Raises ClusterUnavailable where the route or the status isn't taken, or nobody answers, ObjectChanged or
    LeadershipLost, and ObjectGone where there is nothing left to do.
    """
    owner = Owner(seen.namespace, seen.name, manifest["metadata"]["uid"])
    attempts = Attempts(refusals, seen.namespace, seen.name, seen.generation, seen.now)
    for action in decision.actions:
        do = partial(_do, cluster, settings, owner, manifest, seen, action)
        essential, minor = isinstance(action, ESSENTIAL), isinstance(action, MINOR)
        attempts.attempt(_write(action, seen.name), do, essential=essential, minor=minor)
    for orphan in cluster.orphans(owner):
        attempts.attempt(("adopt", f"{orphan.resource.kind} {orphan.name}"), partial(cluster.adopt, orphan, owner))
    try:
        for event in decision.events:
            cluster.emit(manifest, event, seen.now)
        for given in decision.handled:
            # Last: what it did is recorded and told by now, and after a crash it is only taken away.
            annotation, value = given.control.annotation, given.value
            remove = partial(cluster.remove_annotation, seen.namespace, seen.name, annotation, value)
            attempts.attempt(("RemoveAnnotation", f"the annotation {annotation} of {seen.name}"), remove)
    finally:
        attempts.finish()


ESSENTIAL = (actions.ShiftTraffic, actions.RecordStatus)
"""What the writes after it rest on."""
MINOR = (actions.EnsureBudget, actions.DeleteBudget)
"""What nothing rests on, in this pass or any other."""


def _write(action: Action, name: str) -> Write:
    match action:
        case actions.EnsureBudget(revision=revision) | actions.DeleteBudget(revision=revision):
            return type(action).__name__, f"PodDisruptionBudget {revision}"
        case actions.OfRevision(revision=revision):
            return type(action).__name__, f"revision {revision}"
        case actions.EnsureClientServices():
            return type(action).__name__, f"Service {name}"
        case actions.ShiftTraffic():
            return type(action).__name__, f"the route of {name}"
        case actions.RecordStatus():
            return type(action).__name__, f"the status of {name}"
        case _ as unhandled:
            assert_never(unhandled)


def _do(
    cluster: Cluster, settings: Settings, owner: Owner, manifest: Manifest, seen: Observation, action: Action
) -> None:
    namespace, name = owner.namespace, owner.name
    match action:
        case actions.EnsureRevision(revision=revision, replicas=replicas):
            _ensure(cluster, settings, owner, seen, revision, replicas)
        case actions.EnsureClientServices():
            if seen.state(seen.desired).replicas is not None:  # else EnsureRevision has just asked
                cluster.confirm(*owner)
            for service in backend_for(seen.spec.router).client_services(owner, settings.router_service):
                cluster.repair(SERVICES, service)
        case actions.ScaleRevision() | actions.RestartRevision():
            _workload(cluster, namespace, action)
        case actions.PinModel(revision=revision, sha256=sha256, files_sha256=files):
            cluster.create(CONFIG_MAPS, pin_manifest(*owner, revision, sha256, files))
            cluster.annotate(namespace, revision, PINNED, sha256)
        case actions.ShiftTraffic(split=split):
            _shift(cluster, backend_for(seen.spec.router), owner, seen, split)
        case actions.RecordStatus(status=status):
            cluster.record_status(namespace, name, status.to_dict(), manifest["metadata"].get("resourceVersion", ""))
        case actions.DeleteWorkload(revision=revision):
            # The Deployment goes last: it is what shows, after a crash in between, that there is something to retire.
            cluster.delete(SERVICES, namespace, revision)
            cluster.delete(DEPLOYMENTS, namespace, revision)
        case actions.DeleteSnapshot(revision=revision):
            _delete_copies(cluster, settings, namespace, seen, revision)
            cluster.delete(CONFIG_MAPS, namespace, revision)
            cluster.delete(CONTROLLER_REVISIONS, namespace, revision)
        case actions.EnsureBudget() | actions.DeleteBudget():
            _budget(cluster, owner, action)
        case _ as unhandled:
            assert_never(unhandled)


def _delete_copies(cluster: Cluster, settings: Settings, namespace: str, seen: Observation, revision: str) -> None:
    snapshot = seen.state(revision).snapshot
    for copy in copies(revision, snapshot.server).values() if snapshot else ():
        # Where Secrets aren't followed any more, nothing may be done with them: these go with the ModelDeployment.
        if settings.follow_secrets or copy.kind is not ConfigKind.SECRET:
            cluster.delete(RESOURCES[copy.kind], namespace, copy.name)


def _workload(cluster: Cluster, namespace: str, action: actions.ScaleRevision | actions.RestartRevision) -> None:
    if isinstance(action, actions.ScaleRevision):
        cluster.scale(namespace, action.revision, action.replicas)
    else:
        cluster.annotate_pods(namespace, action.revision, RESTARTED_AT, format_instant(action.at))


def _budget(cluster: Cluster, owner: Owner, action: actions.EnsureBudget | actions.DeleteBudget) -> None:
    if isinstance(action, actions.EnsureBudget):
        cluster.repair(POD_DISRUPTION_BUDGETS, budget_manifest(*owner, action.revision))
    else:
        cluster.delete(POD_DISRUPTION_BUDGETS, owner.namespace, action.revision)


def _shift(cluster: Cluster, backend: RouterBackend, owner: Owner, seen: Observation, split: TrafficSplit) -> None:
    leaving, writer = still_listed(seen, split), cluster.writer
    for write in backend.writes(owner, split, seen.spec.route_settings, seen.route, leaving, writer):
        if isinstance(write, RouteWrite):
            cluster.apply(write.resource, signed(write.manifest, writer), write.version)
        else:
            # First the promise to give it back.
            cluster.hold(owner.namespace, owner.name, RETURNS_RULES)
            cluster.patch(*write)


def signed(manifest: Manifest, writer: Writer) -> Manifest:
    """The manifest with a note of who writes it."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), WRITTEN_BY: str(writer)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _ensure(
    cluster: Cluster, settings: Settings, owner: Owner, seen: Observation, revision: str, replicas: int
) -> None:
    if revision == seen.desired:  # never in the way of a rollback, which goes to what the spec doesn't ask for
        cluster.confirm(*owner)
    state = seen.state(revision)
    snapshot = state.snapshot
    if snapshot is None:
        if revision != seen.desired:
            # Its record was deleted by hand; from the present spec something else would come.
            return
        image = seen.spec.server.image or settings.server_image
        snapshot = Snapshot(seen.spec.model, seen.spec.server, image, ADMIN_PORT)
    copied: list[tuple[Resource, Manifest]] = []
    if state.snapshot is None or state.replicas is None or not state.config_kept:
        copied = list(missing_copies(cluster, settings, owner, seen, revision, snapshot))
    if state.snapshot is None:
        number = 1 + max((each.number for each in seen.revisions.values()), default=0)
        cluster.create(CONTROLLER_REVISIONS, controller_revision_manifest(*owner, revision, snapshot, number))
    for resource, copy in copied:
        cluster.create(resource, copy)
    if state.replicas is None or not state.reachable:
        cluster.repair(SERVICES, service_manifest(*owner, revision))
    if state.replicas is None:
        workload = deployment_manifest(
            *owner, revision, snapshot, replicas, settings.image_pull_policy, fixed_ids=settings.fixed_ids
        )
        cluster.create(DEPLOYMENTS, workload)
