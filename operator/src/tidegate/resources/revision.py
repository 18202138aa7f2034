"""A revision's manifests, and what can be read back from them and from its pods."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.model.revision import ModelFacts, RevisionState, Snapshot, Tensor, Trouble
from tidegate.resources.names import (
    FETCH,
    GROUP,
    MODEL_FOLDER,
    PINNED,
    PORT_NAME,
    REVISION,
    SERVE,
    SERVER_PORT,
    SERVER_UID,
    VERSION,
    labels,
    pod_selector,
)

Manifest = dict[str, Any]
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
GRACE_SECONDS = 60
PIN_KEY = "sha256"


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
            "ports": [{"name": PORT_NAME, "port": SERVER_PORT, "targetPort": SERVER_PORT, "protocol": "TCP"}],
        },
    }


def pin_manifest(namespace: str, name: str, uid: str, revision: str, sha256: str) -> Manifest:
    """Holds a revision's later pods to the digest that its first pod found."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(namespace, name, uid, revision),
        "immutable": True,
        "data": {PIN_KEY: sha256},
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
                        "prometheus.io/port": str(SERVER_PORT),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": _pod_spec(namespace, name, revision, snapshot, pull_policy),
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


def _pod_spec(namespace: str, name: str, revision: str, snapshot: Snapshot, pull_policy: str) -> Manifest:
    common: Manifest = {"image": snapshot.image, "imagePullPolicy": pull_policy, "securityContext": HARDENED}
    folder = {"name": "models", "mountPath": MODEL_FOLDER}
    scratch = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a volume in the pod, not a file of ours
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": SERVER_UID,
            "runAsGroup": SERVER_UID,
            "fsGroup": SERVER_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            {
                "name": FETCH,
                **common,
                "args": ["fetch"],
                "env": _fetch_env(revision, snapshot),
                "volumeMounts": [folder, scratch],
                "resources": dict(snapshot.server.resources),
            }
        ],
        "containers": [
            {
                "name": SERVE,
                **common,
                "args": ["serve"],
                "env": _serve_env(namespace, name, revision, snapshot),
                "ports": [{"name": PORT_NAME, "containerPort": SERVER_PORT}],
                "volumeMounts": [{**folder, "readOnly": True}, scratch],
                "resources": dict(snapshot.server.resources),
                "startupProbe": _probe("/v2/health/live", period=1, failures=300),
                "readinessProbe": _probe("/v2/health/ready", period=2, failures=3),
                "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
            }
        ],
        "volumes": [{"name": "models", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": pod_selector(name, revision)},
            }
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 5,
    }


def _fetch_env(revision: str, snapshot: Snapshot) -> list[Manifest]:
    env: list[Manifest] = [{"name": "TIDEGATE_MODEL_URI", "value": snapshot.model.uri}]
    if snapshot.model.sha256:
        return [*env, {"name": "TIDEGATE_MODEL_SHA256", "value": snapshot.model.sha256}]
    pin = {"name": revision, "key": PIN_KEY, "optional": True}
    return [*env, {"name": "TIDEGATE_MODEL_SHA256", "valueFrom": {"configMapKeyRef": pin}}]


def _serve_env(namespace: str, name: str, revision: str, snapshot: Snapshot) -> list[Manifest]:
    ours = {
        "TIDEGATE_MODEL_NAME": name,
        "TIDEGATE_MODEL_DEPLOYMENT": f"{namespace}/{name}",
        "TIDEGATE_REVISION": revision,
    }
    users = [(key, value) for key, value in snapshot.server.env if key not in ours]
    return [{"name": key, "value": value} for key, value in (*users, *ours.items())]


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
        trouble=_worst(read_trouble(pod) for pod in pods),
    )


def revision_of(manifest: Mapping[str, Any]) -> str | None:
    """The revision that an object belongs to, by its label."""
    revision = manifest["metadata"].get("labels", {}).get(REVISION)
    return str(revision) if revision else None


def _ready(deployment: Mapping[str, Any]) -> int:
    ready = int(deployment.get("status", {}).get("readyReplicas", 0))
    return min(ready, int(deployment["spec"].get("replicas", 1)))


def read_facts(pod: Mapping[str, Any]) -> ModelFacts | None:
    """What a pod's init container reported of the model; None while it hasn't."""
    for container in pod.get("status", {}).get("initContainerStatuses", ()):
        ended = container.get("state", {}).get("terminated")
        if container["name"] == FETCH and ended and ended.get("exitCode") == 0:
            report = _report(ended)
            if "sha256" in report:
                return ModelFacts(
                    report["sha256"], _tensors(report.get("inputs", ())), _tensors(report.get("outputs", ()))
                )
    return None


def _tensors(raw: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(item["name"], item["datatype"], tuple(item["shape"])) for item in raw)


def _report(ended: Mapping[str, Any]) -> dict[str, Any]:
    try:
        report = json.loads(ended.get("message", ""))
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def read_trouble(pod: Mapping[str, Any]) -> Trouble | None:
    """Why a pod isn't ready, as far as it says; None where all is well or it has only just begun."""
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        if trouble := _container_trouble(container):
            return trouble
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble("Unschedulable", f"no node takes its pod: {condition.get('message', 'no reason given')}")
    return None


def _container_trouble(container: Mapping[str, Any]) -> Trouble | None:
    waiting = container.get("state", {}).get("waiting", {})
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if ended and ended.get("exitCode", 0) != 0 and not container.get("ready"):
        return _ended_trouble(container["name"], ended)
    if waiting.get("reason") in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"}:
        detail = waiting.get("message", "no reason given")
        return Trouble(waiting["reason"], f"container {container['name']} can't start: {detail}")
    return None


def _ended_trouble(container: str, ended: Mapping[str, Any]) -> Trouble:
    report = _report(ended)
    if container == FETCH and "message" in report:
        permanent = bool(report.get("permanent"))
        return Trouble(str(report.get("reason", "FetchFailed")), str(report["message"]), permanent=permanent)
    said = ended.get("message", "").strip()
    last_line = f": {said.splitlines()[-1]}" if said else ""
    code = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") == "OOMKilled":
        code = "out of memory; raise spec.server.resources.limits.memory"
    return Trouble("ContainerFailed", f"container {container} ended with {code}{last_line}", crashed=container == SERVE)


def _worst(troubles: Any) -> Trouble | None:
    found = [trouble for trouble in troubles if trouble]
    return max(found, key=lambda trouble: (trouble.permanent, trouble.crashed), default=None)
