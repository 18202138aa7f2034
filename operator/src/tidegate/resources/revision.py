"""A revision's manifests, and what can be read back from them and from its pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.model.delivery import Delivery
from tidegate.model.reasons import Reason
from tidegate.model.revision import PodFailure, RevisionState, Snapshot
from tidegate.model.units import parse_instant
from tidegate.resources import pod_template
from tidegate.resources.names import (
    COPY_OF,
    EVIDENCE_KEY,
    FILES_PIN_KEY,
    GROUP,
    GRPC_PORT,
    GRPC_PORT_NAME,
    PIN_KEY,
    PINNED,
    PORT_NAME,
    RECORD_KEY,
    RESTARTED_AT,
    SERVER_PORT,
    VERSION,
    checkpoint_name,
    labels,
    pod_selector,
    record_name,
    recorded_since,
)
from tidegate.resources.pod import identity_metadata, pod_spec
from tidegate.resources.pod_status import Pod, is_deleting, revision_of, worst

Manifest = dict[str, Any]


def owner(name: str, uid: str) -> list[Manifest]:
    """Makes Kubernetes delete a child with its ModelDeployment."""
    return [
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ModelDeployment",
            "name": name,
            "uid": uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def controller_revision_manifest(
    namespace: str, name: str, uid: str, revision: str, snapshot: Snapshot, number: int
) -> Manifest:
    """The immutable record of what a revision's pods are made of."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata_of(namespace, name, uid, revision),
        "revision": number,
        "data": snapshot.to_dict(),
    }


def service_manifest(namespace: str, name: str, uid: str, revision: str) -> Manifest:
    """The fixed address of a revision: the routers read its EndpointSlices."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(namespace, name, uid, revision),
        "spec": {
            "clusterIP": "None",
            "selector": pod_selector(name, revision),
            "ports": [
                {"name": PORT_NAME, "port": SERVER_PORT, "targetPort": SERVER_PORT, "protocol": "TCP"},
                {"name": GRPC_PORT_NAME, "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP"},
            ],
        },
    }


def pin_manifest(namespace: str, name: str, uid: str, revision: str, sha256: str, files: str | None) -> Manifest:
    """Holds a revision's later pods to the digests that its first pod found; `files` is None for a single file."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata_of(namespace, name, uid, revision),
        "immutable": True,
        "data": {PIN_KEY: sha256, **({FILES_PIN_KEY: files} if files else {})},
    }


def checkpoint_manifest(
    namespace: str, name: str, uid: str, revision: str, evidence: str, record: str | None
) -> Manifest:
    """What a restarted operator goes on from; of the candidate `revision`. Both are of one moment."""
    metadata = {**metadata_of(namespace, name, uid, revision), "name": checkpoint_name(revision)}
    data = {EVIDENCE_KEY: evidence, **({RECORD_KEY: record} if record else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def record_manifest(namespace: str, name: str, uid: str, revision: str, started_at: datetime, record: str) -> Manifest:
    """What the verdicts of a rollout that has ended were made from; of the candidate `revision`."""
    metadata = {**metadata_of(namespace, name, uid, revision), "name": record_name(revision, started_at)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {RECORD_KEY: record}}


def deployment_manifest(
    namespace: str,
    name: str,
    uid: str,
    revision: str,
    snapshot: Snapshot,
    replicas: int,
    pull_policy: str,
    *,
    fixed_ids: bool = True,
) -> Manifest:
    """A revision's pods: an init container that fetches and checks the model, and the server that alone stays."""
    identity_labels, identity_annotations = identity_metadata(snapshot.model)
    template = snapshot.server.pod_template
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(namespace, name, uid, revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": pod_selector(name, revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {**pod_template.labels(template), **labels(name, revision), **identity_labels},
                    "annotations": {
                        **pod_template.annotations(template),
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(snapshot.admin_port or SERVER_PORT),
                        "prometheus.io/path": "/metrics",
                        **identity_annotations,
                    },
                },
                "spec": pod_spec(namespace, name, revision, snapshot, pull_policy, fixed_ids=fixed_ids),
            },
        },
    }


def metadata_of(namespace: str, name: str, uid: str, revision: str) -> Manifest:
    """Of what a revision has under its own name."""
    return {
        "name": revision,
        "namespace": namespace,
        "labels": labels(name, revision),
        "ownerReferences": owner(name, uid),
    }


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """What is kept of a ControllerRevision."""

    revision: str | None
    deleting: bool
    number: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Workload:
    """What is kept of a revision's Deployment."""

    revision: str | None
    deleting: bool
    replicas: int
    """Pods that it wants."""
    ready: int
    pinned: str | None
    """The digest that its pods are held to."""
    failure: PodFailure | None = None
    """Why no pods are made for it, in the cluster's words."""
    scaled_by: str | None = None
    """Who set its pods' number by the scale subresource, which we don't use; None once the number is ours again."""
    restarted_at: datetime | None = None
    """When its pods were to be replaced last; None where nobody asked for that."""
    renewed: int = 0
    """Pods of its newest template; none before its controller has seen that."""
    mounts_image: bool = False
    """Whether its pods have an image as a volume."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is kept of a Service: where it leads, as far as that is ours to say."""

    name: str
    leads_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pin:
    """What is kept of a ConfigMap of ours: a revision's digests, a checkpoint, a record, or a copy of the user's."""

    revision: str | None
    """The revision that it pins; None where it pins none."""
    deleting: bool
    judged: str | None = None
    """The candidate whose checkpoint it is."""
    recorded: tuple[int, str] | None = None
    """When the rollout began whose record it is, in seconds since 1970, and its own name."""
    copy: str | None = None
    """Its own name, where it is a revision's copy of a ConfigMap."""


def parse_record(manifest: Manifest) -> RevisionRecord:
    """The inverse of `controller_revision_manifest`."""
    snapshot = Snapshot.parse(manifest["data"])
    return RevisionRecord(revision_by_name(manifest), is_deleting(manifest), int(manifest.get("revision", 0)), snapshot)


def parse_workload(manifest: Manifest) -> Workload:
    """What a Deployment wants and has."""
    replicas = int(manifest["spec"].get("replicas", 1))
    ready = int(manifest.get("status", {}).get("readyReplicas", 0))
    pinned = (manifest["metadata"].get("annotations") or {}).get(PINNED)
    failure = _refusal(manifest.get("status", {}).get("conditions", ()))
    revision, scaled_by = revision_by_name(manifest), _scaled_by(manifest["metadata"].get("managedFields") or ())
    return Workload(
        revision,
        is_deleting(manifest),
        replicas,
        min(ready, replicas),
        pinned,
        failure,
        scaled_by,
        _restarted_at(manifest),
        _renewed(manifest),
        any("image" in volume for volume in _pod_of(manifest).get("volumes") or ()),
    )


def _pod_of(manifest: Manifest) -> Mapping[str, Any]:
    return manifest["spec"].get("template", {}).get("spec") or {}


def _restarted_at(manifest: Manifest) -> datetime | None:
    annotations = (manifest["spec"].get("template", {}).get("metadata") or {}).get("annotations") or {}
    try:
        return parse_instant(annotations[RESTARTED_AT])
    except (KeyError, ValueError, TypeError):
        return None  # nobody asked, or somebody else has written something of that name: ours is written over it


def _renewed(manifest: Manifest) -> int:
    status = manifest.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= manifest["metadata"].get("generation", 0)
    return int(status.get("updatedReplicas", 0)) if is_seen else 0


def parse_service(manifest: Manifest) -> ServiceState:
    """The same of a Service that we would write and of the one that is there."""
    spec = manifest["spec"]
    selector = (f"{name}={value}" for name, value in sorted((spec.get("selector") or {}).items()))
    ports = (f"{port.get('name')}:{port['port']}" for port in spec.get("ports") or ())
    gone = ("about to go",) if is_deleting(manifest) else ()
    return ServiceState(manifest["metadata"]["name"], (*gone, spec.get("externalName") or "", *selector, *ports))


def parse_pin(manifest: Manifest) -> Pin:
    """Which revision a ConfigMap is for; its digests are the pods' business."""
    revision, name = revision_of(manifest), manifest["metadata"]["name"]
    is_checkpoint = revision is not None and name == checkpoint_name(revision)
    since = recorded_since(name, revision) if revision is not None else None
    judged, recorded = revision if is_checkpoint else None, None if since is None else (since, name)
    copy = name if COPY_OF in (manifest["metadata"].get("annotations") or {}) else None
    return Pin(revision_by_name(manifest), is_deleting(manifest), judged, recorded, copy)


def _scaled_by(managed_fields: Sequence[Mapping[str, Any]]) -> str | None:
    """Who owns the number of pods by a write of the scale subresource; another value of ours takes it back."""
    for entry in managed_fields:
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("subresource") == "scale" and "f:replicas" in fields:
            return str(entry.get("manager") or "an unnamed client")
    return None


def revision_by_name(manifest: Manifest) -> str | None:
    """The revision of an object that has its name, as ours have; a copy with our labels has a name of its own."""
    revision = revision_of(manifest)
    return revision if revision == manifest["metadata"]["name"] else None


def _refusal(conditions: Sequence[Mapping[str, str]]) -> PodFailure | None:
    """What a Deployment says where its pods can't be made, by a quota for example, or don't come."""
    for condition in conditions:
        said = condition.get("message", "no reason given")
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return PodFailure(Reason.REPLICA_FAILURE, f"its pods can't be made: {said}")
    for condition in conditions:
        if condition["type"] == "Progressing" and condition["status"] == "False":
            said = condition.get("message", "no reason given")
            return PodFailure(Reason.PROGRESS_DEADLINE_EXCEEDED, f"its Deployment doesn't get on: {said}")
    return None


def revision_state(
    revision: str,
    record: RevisionRecord | None,
    workload: Workload | None,
    pods: Sequence[Pod],
    *,
    reachable: bool = True,
    pin_kept: bool = True,
    config_kept: bool = True,
) -> RevisionState:
    """What the cluster has of a revision; any part may be missing."""
    differ = _files_differ(pods) or _volume_dropped(record, workload)
    return RevisionState(
        name=revision,
        number=record.number if record else 0,
        snapshot=record.snapshot if record else None,
        replicas=workload.replicas if workload else None,
        ready=workload.ready if workload else 0,
        facts=None if differ else next((pod.facts for pod in pods if pod.facts), None),
        crashes=tuple(sorted(pod.crashed_at for pod in pods if pod.crashed_at)),
        reachable=reachable,
        pin_kept=pin_kept,
        config_kept=config_kept,
        pinned=workload.pinned if workload else None,
        # A pod's own words say more than its Deployment's.
        failure=differ or worst(pod.failure for pod in pods) or (workload.failure if workload else None),
        nodes={pod.name: pod.node for pod in pods if pod.node},
        scaled_by=workload.scaled_by if workload else None,
        restarted_at=workload.restarted_at if workload else None,
        renewed=workload.renewed if workload else 0,
    )


def _volume_dropped(record: RevisionRecord | None, workload: Workload | None) -> PodFailure | None:
    """Where the API server has taken a Deployment without the volume that its model is in, which it says to nobody."""
    if record is None or workload is None or workload.mounts_image:
        return None
    if record.snapshot.model.delivery is not Delivery.IMAGE_VOLUME:
        return None
    message = (
        "the API server has left the image volume with its model out of its Deployment, as image volumes are off "
        "there; set spec.model.delivery to Fetch, or switch them on: Kubernetes has them on from 1.35, and from 1.33 "
        "with the feature gate ImageVolume"
    )
    return PodFailure(Reason.IMAGE_VOLUMES_OFF, message, permanent=True)


def _files_differ(pods: Sequence[Pod]) -> PodFailure | None:
    """Where pods that came before the digest was pinned have fetched something else than others."""
    found: dict[tuple[str, str | None], str] = {}
    for pod in sorted(pods, key=lambda each: each.name):
        if pod.facts:
            found.setdefault((pod.facts.sha256, pod.facts.files_sha256), pod.name)
    if len(found) < 2:
        return None
    (one, first), (other, second) = list(found.items())[:2]
    which = 0 if one[0] != other[0] else 1
    message = (
        f"its pods have fetched different files: {first} has the sha256 {one[which]}, {second} has {other[which]}; "
        "give each model a URI of its own, or set spec.model.sha256"
    )
    return PodFailure(Reason.FILES_DIFFER, message, permanent=True)
