"""A revision's manifests, and what can be read back from them and from its pods."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.model.revision import RevisionState, Snapshot
from tidegate.resources.names import (
    FILES_PIN_KEY,
    GROUP,
    GRPC_PORT,
    GRPC_PORT_NAME,
    PIN_KEY,
    PINNED,
    PORT_NAME,
    REVISION,
    SERVER_PORT,
    VERSION,
    labels,
    pod_selector,
)
from tidegate.resources.pod import pod_spec
from tidegate.resources.pod_status import read_facts, read_failure, worst

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
        "metadata": _metadata(namespace, name, uid, revision),
        "revision": number,
        "data": snapshot.to_dict(),
    }


def service_manifest(namespace: str, name: str, uid: str, revision: str) -> Manifest:
    """The fixed address of a revision: the routers read its EndpointSlices."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(namespace, name, uid, revision),
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
        "metadata": _metadata(namespace, name, uid, revision),
        "immutable": True,
        "data": {PIN_KEY: sha256, **({FILES_PIN_KEY: files} if files else {})},
    }


def deployment_manifest(
    namespace: str, name: str, uid: str, revision: str, snapshot: Snapshot, replicas: int, pull_policy: str
) -> Manifest:
    """A revision's pods: an init container that fetches and checks the model, and the server that alone stays."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(namespace, name, uid, revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": pod_selector(name, revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": labels(name, revision),
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(snapshot.admin_port or SERVER_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": pod_spec(namespace, name, revision, snapshot, pull_policy),
            },
        },
    }


def _metadata(namespace: str, name: str, uid: str, revision: str) -> Manifest:
    return {
        "name": revision,
        "namespace": namespace,
        "labels": labels(name, revision),
        "ownerReferences": owner(name, uid),
    }


def revision_state(
    revision: str,
    controller_revision: Mapping[str, Any] | None,
    deployment: Mapping[str, Any] | None,
    pods: Sequence[Mapping[str, Any]],
) -> RevisionState:
    """What the cluster has of a revision; any part may be missing."""
    return RevisionState(
        name=revision,
        number=controller_revision.get("revision", 0) if controller_revision else 0,
        snapshot=Snapshot.parse(controller_revision["data"]) if controller_revision else None,
        replicas=deployment["spec"].get("replicas", 1) if deployment else None,
        ready=_ready(deployment) if deployment else 0,
        facts=next(filter(None, map(read_facts, pods)), None),
        pinned=deployment["metadata"].get("annotations", {}).get(PINNED) if deployment else None,
        failure=worst(read_failure(pod) for pod in pods),
        nodes={pod["metadata"]["name"]: node for pod in pods if (node := pod.get("spec", {}).get("nodeName"))},
    )


def revision_of(manifest: Mapping[str, Any]) -> str | None:
    """The revision that an object belongs to, by its label."""
    revision = manifest["metadata"].get("labels", {}).get(REVISION)
    return str(revision) if revision else None


def _ready(deployment: Mapping[str, Any]) -> int:
    ready = int(deployment.get("status", {}).get("readyReplicas", 0))
    return min(ready, int(deployment["spec"].get("replicas", 1)))
