"""The demo's Prometheus as manifests. Pure.

It finds pods by the annotations `prometheus.io/scrape`, `prometheus.io/port` and `prometheus.io/path`, and gives each
series the pod's namespace, name and labels.
"""

import hashlib
from typing import Any

import yaml

NAMESPACE = "monitoring"
NAME = "prometheus"
PORT = 9090
UPSTREAM_IMAGE = "docker.io/prom/prometheus:v3.16.0"
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "tidegate-demo"}

Manifest = dict[str, Any]


def manifests(config: str, image: str, image_digest: str = "") -> list[Manifest]:
    """Everything that Prometheus needs, in the order to apply; `config` is its own configuration file.

    `image_digest` tells two contents of one image name apart; another one starts a new pod, as another config does.
    """
    content = hashlib.sha256(f"{config}{image_digest}".encode()).hexdigest()[:16]
    return [namespace(), *access(), config_map(config), deployment(image, content), service()]


def scrape_config(scrape_interval: float) -> str:
    """Prometheus' own configuration file."""
    interval = f"{round(scrape_interval * 1000)}ms"
    pods = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            # Every declared port of a pod is a target of its own; the annotation names the one to keep.
            _keep_if("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
            _keep_if("__meta_kubernetes_pod_phase", "Running"),
            _replace("__meta_kubernetes_pod_annotation_prometheus_io_path", "__metrics_path__"),
            {
                "source_labels": ["__meta_kubernetes_pod_ip", "__meta_kubernetes_pod_annotation_prometheus_io_port"],
                "separator": ":",
                "target_label": "__address__",
            },
            _replace("__meta_kubernetes_namespace", "namespace"),
            _replace("__meta_kubernetes_pod_name", "pod"),
            {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(.+)"},
        ],
    }
    document = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "30s"},
        "scrape_configs": [pods],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _keep_if(label: str, value: str) -> Manifest:
    return {"action": "keep", "source_labels": [label], "regex": value}


def _replace(label: str, target: str) -> Manifest:
    return {"source_labels": [label], "regex": "(.+)", "target_label": target}


def namespace() -> Manifest:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}


def access() -> list[Manifest]:
    """What Prometheus may do: look for pods, in every namespace."""
    role = f"tidegate-demo-{NAME}"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    rbac = "rbac.authorization.k8s.io"
    cluster_wide = {"name": role, "labels": LABELS}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata()},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": cluster_wide, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": cluster_wide,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
    ]


def config_map(config: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(), "data": {"prometheus.yml": config}}


def service() -> Manifest:
    ports = [{"name": "http", "port": PORT, "targetPort": "http"}]
    spec = {"selector": LABELS, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(), "spec": spec}


def deployment(image: str, content: str) -> Manifest:
    """One replica with six hours of samples in an emptyDir; another `content` starts a new pod."""
    annotations = {"tidegate.dev/demo-content": content}
    template = {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": _pod(image)}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": LABELS},
        "template": template,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(), "spec": spec}


def _pod(image: str) -> Manifest:
    nobody = {"runAsNonRoot": True, "runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534}
    return {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {**nobody, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(image)],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "samples", "emptyDir": {"sizeLimit": "2Gi"}},
        ],
    }


def _container(image: str) -> Manifest:
    return {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/samples",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address=0.0.0.0:{PORT}",
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus", "readOnly": True},
            {"name": "samples", "mountPath": "/samples"},
        ],
    }


def _metadata() -> Manifest:
    return {"name": NAME, "namespace": NAMESPACE, "labels": LABELS}
