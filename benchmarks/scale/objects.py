"""What the benchmark writes into the cluster: ModelDeployments, their pods, and what a router routes by. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.informer.pods import managed_fields, pod_status, with_defaults
from tidegate.resources.names import FETCH, MODEL_DEPLOYMENT, REVISION, labels

Manifest = dict[str, Any]
NAMESPACES = 20
PODS = 5
"""Of each ModelDeployment."""
ROLLING = 50
"""ModelDeployments that roll at once."""
PODS_ROLLING = 20
"""Of each arm of a rollout."""
STEP = 50
"""Percent that the candidate has while its rollout is measured: both arms have all their pods then."""
UPSTREAM_NETWORK = 127


@dataclass(frozen=True, order=True)
class Name:
    """A ModelDeployment of the benchmark, by its number."""

    number: int

    @property
    def namespace(self) -> str:
        return f"team-{self.number % NAMESPACES}"

    @property
    def name(self) -> str:
        return f"model-{self.number}"

    @property
    def host(self) -> str:
        """Under which the router knows it."""
        return f"{self.name}.{self.namespace}"


def namespaces() -> list[Manifest]:
    """All of them, and Tidegate's own."""
    names = [*(f"team-{number}" for number in range(NAMESPACES)), "tidegate"]
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]


def model_deployment(name: Name, release: int, replicas: int) -> Manifest:
    """Another release is another model. Its rollout stays in its one step for as long as it is measured."""
    digest = hashlib.sha256(f"{name.number} {release}".encode()).hexdigest()
    step = {"weight": STEP, "minDuration": "30m"}
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name.name, "namespace": name.namespace},
        "spec": {
            "replicas": replicas,
            "model": {"uri": f"https://models.example.org/{name.name}/{release}.onnx", "sha256": digest},
            "strategy": {"canary": {"steps": [step]}},
        },
    }


def pod_of(deployment: Mapping[str, Any], number: int) -> Manifest:
    """A ready pod of a Deployment, as ReplicaSet controller, scheduler and kubelet together would have made it."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    seed = f"{metadata['namespace']}/{metadata['name']}/{number}"
    uid = _uid(seed)
    index = int(hashlib.sha256(seed.encode()).hexdigest()[:6], 16)
    spec = with_defaults(template["spec"], f"node-{index % 100}")
    replica_set = f"{metadata['name']}-{_hash(metadata['name'])[:10]}"
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "uid": _uid(replica_set)}
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{replica_set}-{_hash(seed)[:5]}",
            "generateName": f"{replica_set}-",
            "namespace": metadata["namespace"],
            "uid": uid,
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {**template["metadata"]["labels"], "pod-template-hash": _hash(metadata["name"])[:10]},
            "annotations": dict(template["metadata"].get("annotations") or {}),
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": spec,
        "status": pod_status(index, spec),
    }
    _report_digest(pod, deployment)
    pod["metadata"]["managedFields"] = managed_fields(pod)
    return pod


def _report_digest(pod: Manifest, deployment: Mapping[str, Any]) -> None:
    """The init container says the digest of the model that it was told to fetch: of one file, and of none beside it."""
    fetch = next(each for each in deployment["spec"]["template"]["spec"]["initContainers"] if each["name"] == FETCH)
    told = [each.get("value", "") for each in fetch.get("env", ()) if len(each.get("value", "")) == 64]
    for status in pod["status"]["initContainerStatuses"]:
        terminated = status["state"]["terminated"]
        report = json.loads(terminated["message"])
        del report["files_sha256"]
        terminated["message"] = json.dumps({**report, "sha256": told[0] if told else report["sha256"]})


def route(name: Name, weights: Mapping[str, int]) -> Manifest:
    """As the operator writes it."""
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": name.name, "namespace": name.namespace, "labels": labels(name.name)},
        "spec": {"backends": [{"revision": revision, "weight": weight} for revision, weight in weights.items()]},
    }


def endpoint_slice(name: Name, revision: str, addresses: list[str], port: int) -> Manifest:
    """As the EndpointSlice controller writes it for a revision's Service."""
    conditions = {"ready": True, "serving": True, "terminating": False}
    service = {"kubernetes.io/service-name": revision, "endpointslice.kubernetes.io/managed-by": "benchmark"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{revision}-abcde",
            "namespace": name.namespace,
            "uid": _uid(revision),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {**labels(name.name, revision), **service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": conditions,
                "nodeName": f"node-{number}",
                "targetRef": {"kind": "Pod", "namespace": name.namespace, "name": f"{revision}-{number}"},
            }
            for number, address in enumerate(addresses)
        ],
    }


def revision_of(name: Name, release: int) -> str:
    """A revision's name where the benchmark plays the operator."""
    return f"{name.name}-{_hash(f'{name.number} {release}')[:8]}"


def address(number: int) -> str:
    """A loopback address that is the pod's of this number; numbers up to 16 million differ."""
    return f"{UPSTREAM_NETWORK}.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def owner_of(child: Mapping[str, Any]) -> tuple[str, str]:
    """The ModelDeployment and the revision that a child belongs to."""
    found = child["metadata"].get("labels") or {}
    return found.get(MODEL_DEPLOYMENT, ""), found.get(REVISION, "")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _uid(text: str) -> str:
    digest = _hash(text)
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
