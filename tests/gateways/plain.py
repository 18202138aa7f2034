"""Models without Tidegate's operator: a Deployment and a Service each, and an HTTPRoute that somebody edits. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.gateways.gateway import Manifest
from tidegate.resources.names import SERVER_UID
from tidegate.resources.pod import HARDENED

PORT = 80
SERVES_ON, ADMIN = 8080, 8082
MODELS = {"name": "models", "mountPath": "/models"}
SCRATCH = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - in the pod


def deployment(namespace: str, name: str, image: str, model: Mapping[str, str]) -> Manifest:
    """Two pods that serve `model` (uri and sha256), which name themselves NAME-VERSION in their answers."""
    version = model["uri"].rpartition("-")[2].removesuffix(".onnx")
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(image, model, f"{name}-{version}")},
        },
    }


def _pod(image: str, model: Mapping[str, str], revision: str) -> Manifest:
    common = {"image": image, "imagePullPolicy": "IfNotPresent", "securityContext": HARDENED}
    ready = {"httpGet": {"path": "/v2/health/ready", "port": ADMIN}, "periodSeconds": 2, "timeoutSeconds": 5}
    fetch = {
        **common,
        "name": "fetch",
        "args": ["fetch"],
        "env": _env(TIDEGATE_MODEL_URI=model["uri"], TIDEGATE_MODEL_SHA256=model["sha256"]),
        "volumeMounts": [MODELS, SCRATCH],
    }
    serve = {
        **common,
        "name": "serve",
        "args": ["serve"],
        "env": _env(TIDEGATE_MODEL_NAME="digits", TIDEGATE_REVISION=revision),
        "ports": [{"name": "http", "containerPort": SERVES_ON}],
        "readinessProbe": ready,
        "volumeMounts": [{**MODELS, "readOnly": True}, SCRATCH],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": SERVER_UID,
            "runAsGroup": SERVER_UID,
            "fsGroup": SERVER_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [fetch],
        "containers": [serve],
        "volumes": [{"name": volume["name"], "emptyDir": {}} for volume in (MODELS, SCRATCH)],
    }


def _env(**values: str) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]


def service(namespace: str, name: str) -> Manifest:
    """Of the Deployment of that name."""
    ports = [{"name": "http", "port": PORT, "targetPort": SERVES_ON}]
    spec: Manifest = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def route(
    namespace: str, hostname: str, parent: Mapping[str, str], weights: Sequence[tuple[str, int]]
) -> dict[str, Any]:
    """One rule whose requests go to these Services, by their weights."""
    refs = [{"name": name, "port": PORT, "weight": weight} for name, weight in weights]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {"parentRefs": [dict(parent)], "hostnames": [hostname], "rules": [{"backendRefs": refs}]},
    }
