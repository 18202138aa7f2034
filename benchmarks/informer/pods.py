"""Pods as a cluster gives them: what the operator writes, and what API server, ReplicaSet and node add. Pure.

A ModelDeployment has two revisions of five pods each, so that pods share owners, revisions and nodes as they really do.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from tidegate.model.revision import Snapshot
from tidegate.model.spec import Model, Server
from tidegate.resources.names import FETCH, SERVE, labels
from tidegate.resources.pod import pod_spec

Manifest = dict[str, Any]
PODS_OF_A_REVISION, REVISIONS, PODS_OF_A_NODE = 5, 2, 30
AT = "2026-01-01T00:00:00Z"
SNAPSHOT = Snapshot(
    Model("s3://models/sentiment/7/", None, "models-reader", (("AWS_REGION", "eu-central-1"),)),
    Server(None, {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}, (("LOG_LEVEL", "info"),)),
    "ghcr.io/tidegate/server:0.1.0",
    8082,
)
PROBED = {"timeoutSeconds": 1, "successThreshold": 1}
TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]


def pods(number: int, version: int) -> Iterator[Manifest]:
    """As many pods, each in a version of its own from `version` on."""
    for index in range(number):
        yield pod(index, version + index)


def pod(index: int, version: int) -> Manifest:
    """The pod of this number; the same number always gives the same pod."""
    of_revision, of_deployment = index // PODS_OF_A_REVISION, index // (PODS_OF_A_REVISION * REVISIONS)
    name = f"sentiment-{of_deployment}"
    namespace, revision = f"team-{of_deployment % 20}", f"{name}-{_hash(of_revision)[:8]}"
    node = f"ip-10-0-{index // PODS_OF_A_NODE // 250}-{index // PODS_OF_A_NODE % 250}.eu-central-1.compute.internal"
    spec = with_defaults(pod_spec(namespace, name, revision, SNAPSHOT, "IfNotPresent"), node)
    template = {"pod-template-hash": _hash(of_revision)[:10], **labels(name, revision)}
    manifest: Manifest = {
        "metadata": {
            "name": f"{revision}-{_hash(of_revision)[:10]}-{_hash(index)[:5]}",
            "generateName": f"{revision}-{_hash(of_revision)[:10]}-",
            "namespace": namespace,
            "uid": _uid(index),
            "resourceVersion": str(version),
            "generation": 1,
            "creationTimestamp": AT,
            "labels": template,
            "annotations": {f"prometheus.io/{key}": value for key, value in _SCRAPED.items()},
            "ownerReferences": [_owner(f"{revision}-{_hash(of_revision)[:10]}", _uid(-1 - of_revision))],
        },
        "spec": spec,
        "status": pod_status(index, spec),
    }
    manifest["metadata"]["managedFields"] = managed_fields(manifest)
    return manifest


_SCRAPED = {"scrape": "true", "port": "8082", "path": "/metrics"}


def with_defaults(spec: Manifest, node: str) -> Manifest:
    """What admission and the scheduler fill in."""
    for container in (*spec["initContainers"], *spec["containers"]):
        container.update(terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe].update(PROBED)
    return {
        **spec,
        "nodeName": node,
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "tolerations": TOLERATIONS,
    }


def pod_status(index: int, spec: Manifest) -> Manifest:
    address = f"10.{index // 62500 % 250}.{index // 250 % 250}.{index % 250}"
    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "qosClass": "Burstable",
        "hostIP": "10.0.0.7",
        "hostIPs": [{"ip": "10.0.0.7"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": AT,
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": AT} for kind in types
        ],
        "initContainerStatuses": [_container(spec["initContainers"][0], FETCH, index, ended=True)],
        "containerStatuses": [_container(spec["containers"][0], SERVE, index, ended=False)],
    }


def _container(container: Manifest, name: str, index: int, *, ended: bool) -> Manifest:
    container_id = f"containerd://{hashlib.sha256(f'{name} {index}'.encode()).hexdigest()}"
    terminated = {
        "exitCode": 0,
        "reason": "Completed",
        "message": _report(),
        "startedAt": AT,
        "finishedAt": AT,
        "containerID": container_id,
    }
    return {
        "name": name,
        "image": container["image"],
        "imageID": f"ghcr.io/tidegate/server@sha256:{hashlib.sha256(b'image').hexdigest()}",
        "containerID": container_id,
        "ready": True,
        "started": not ended,
        "restartCount": 0,
        "lastState": {},
        "state": {"terminated": terminated} if ended else {"running": {"startedAt": AT}},
    }


def _report() -> str:
    """What the container that fetches says of a text model: its digests and its signature."""
    inputs = [{"name": name, "datatype": "INT64", "shape": [-1, -1]} for name in ("input_ids", "attention_mask")]
    outputs = [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}]
    digests = {"sha256": hashlib.sha256(b"model").hexdigest(), "files_sha256": hashlib.sha256(b"files").hexdigest()}
    return json.dumps({**digests, "inputs": inputs, "outputs": outputs})


def managed_fields(manifest: Manifest) -> list[Manifest]:
    """Who set which field, as the API server notes it."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    of_template = {
        "metadata": {key: metadata[key] for key in ("generateName", "labels", "annotations", "ownerReferences")},
        "spec": {key: value for key, value in spec.items() if key not in ("nodeName", "tolerations", "priority")},
    }
    status = {key: value for key, value in manifest["status"].items() if key not in ("phase", "qosClass")}
    return [
        _manager("kube-controller-manager", _fields(of_template)),
        {**_manager("kubelet", _fields({"status": status}, depth=4)), "subresource": "status"},
    ]


def _manager(name: str, fields: object) -> Manifest:
    return {
        "manager": name,
        "operation": "Update",
        "apiVersion": "v1",
        "time": AT,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _fields(value: object, depth: int = 9) -> Manifest:
    """Down to `depth`: below it a field is owned as a whole."""
    if depth == 0:
        return {}
    if isinstance(value, dict):
        return {f"f:{key}": _fields(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        keyed = [each for each in value if isinstance(each, dict)]
        return {f"k:{json.dumps(dict([*each.items()][:1]))}": {".": {}, **_fields(each, depth - 1)} for each in keyed}
    return {}


def _owner(name: str, uid: str) -> Manifest:
    known = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid}
    return {**known, "controller": True, "blockOwnerDeletion": True}


def _hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _uid(number: int) -> str:
    digest = _hash(number)
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
