"""Prometheus as companies have it: found by PodMonitors, in pairs, or behind remote write."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.disturbed.servers import delayed, in_turn, listening
from tidegate_demo.cluster import prometheus
from tidegate_demo.cluster.contexts import DemoCluster, ensure_prometheus, ensure_prometheus_with, prometheus_image
from tidegate_demo.kubectl import Kubectl

STORE = "prometheus-store"
POD_MONITORS: Mapping[str, tuple[str, str, str]] = {
    "monitoring/tidegate-router": ("app_kubernetes_io_component", "router", "metrics"),
    "monitoring/tidegate-models": ("app_kubernetes_io_name", "model-server", "admin"),
}
"""Their namespaces and names; the label and value of the pods they select, and the name of the port."""
PATHS = {"metrics": "/stats/prometheus", "admin": "/metrics"}


@dataclass(frozen=True)
class Monitoring:
    """Sets up a Prometheus and gives its URL for pods. `host` is this machine's address, as pods reach it."""

    cluster: DemoCluster
    kubectl: Kubectl
    host: str

    def usual(self, scrape_seconds: float = 2.0) -> str:
        """The demo's own."""
        return ensure_prometheus(self.cluster, scrape_seconds)

    def by_pod_monitors(self, scrape_seconds: float = 2.0) -> str:
        """Scrapes what two PodMonitors select, with the labels that the Prometheus Operator gives."""
        return ensure_prometheus_with(self.cluster, with_jobs(scrape_seconds, map(pod_monitor_job, POD_MONITORS)))

    @contextmanager
    def pair(self, scrape_seconds: float) -> Iterator[str]:
        """Two replicas that scrape at different instants, behind one address that asks them in turn."""
        config = prometheus.scrape_config(scrape_seconds)
        self._apply(prometheus.manifests(config, *prometheus_image(self.cluster)), replicas=2)
        path = "jsonpath={.items[*].status.podIP}"
        addresses = self._run("get", "pods", "--selector", f"app.kubernetes.io/name={prometheus.NAME}", "-o", path)
        upstreams = [f"http://{address}:{prometheus.PORT}" for address in addresses.split()]
        assert len(upstreams) == 2, addresses
        with listening(self.host, in_turn(upstreams)) as address:
            yield f"http://{address}"

    @contextmanager
    def behind_remote_write(self, lag_seconds: float, scrape_seconds: float = 2.0) -> Iterator[str]:
        """A store that learns every sample by remote write, so much later."""
        self._apply(store(prometheus_image(self.cluster)[0]), name=STORE)
        of_the_store = ("--selector", f"app.kubernetes.io/name={STORE}")
        address = self._run("get", "pods", *of_the_store, "-o", "jsonpath={.items[0].status.podIP}")
        url = f"http://{address}:{prometheus.PORT}"
        with delayed(lag_seconds, lambda: url) as handle, listening(self.host, handle) as late:
            config = yaml.safe_load(prometheus.scrape_config(scrape_seconds))
            queue = {"max_shards": 1, "batch_send_deadline": "1s"}
            config["remote_write"] = [{"url": f"http://{late}/api/v1/write", "queue_config": queue}]
            ensure_prometheus_with(self.cluster, yaml.safe_dump(config, sort_keys=False))
            try:
                yield url
            finally:
                self._run("delete", "deployment", STORE, "--wait=false")

    def _apply(self, manifests: list[dict[str, Any]], *, name: str = prometheus.NAME, replicas: int = 1) -> None:
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                manifest["spec"]["replicas"] = replicas
        self.kubectl.run("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(manifests))
        self._run("rollout", "status", f"deployment/{name}", "--timeout=90s")

    def _run(self, *arguments: str) -> str:
        return self.kubectl.run("--namespace", prometheus.NAMESPACE, *arguments)


def with_jobs(scrape_seconds: float, jobs: Iterable[dict[str, Any]]) -> str:
    """Prometheus' configuration file with these jobs alone."""
    config = yaml.safe_load(prometheus.scrape_config(scrape_seconds))
    config["scrape_configs"] = list(jobs)
    return yaml.safe_dump(config, sort_keys=False)


def pod_monitor_job(name: str) -> dict[str, Any]:
    """What the Prometheus Operator makes of one of the PodMonitors."""
    label, value, port = POD_MONITORS[name]
    meta = "__meta_kubernetes_pod"
    return {
        "job_name": f"podMonitor/{name}/0",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "metrics_path": PATHS[port],
        "relabel_configs": [
            {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"},
            {"action": "drop", "source_labels": [f"{meta}_phase"], "regex": "(Failed|Succeeded)"},
            {"action": "keep", "source_labels": [f"{meta}_label_{label}"], "regex": value},
            {"action": "keep", "source_labels": [f"{meta}_container_port_name"], "regex": port},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{meta}_container_name"], "target_label": "container"},
            {"source_labels": [f"{meta}_name"], "target_label": "pod"},
            {"target_label": "job", "replacement": name},
            {"target_label": "endpoint", "replacement": port},
        ],
    }


def store(image: str) -> list[dict[str, Any]]:
    """A Prometheus that scrapes nothing and takes what others write to it."""
    config, deployment = prometheus.config_map("{}"), prometheus.deployment(image, STORE)
    labels = {**prometheus.LABELS, "app.kubernetes.io/name": STORE}
    for manifest in (config, deployment):
        manifest["metadata"] = {"name": STORE, "namespace": prometheus.NAMESPACE, "labels": labels}
    template = deployment["spec"]["template"]
    deployment["spec"]["selector"] = {"matchLabels": labels}
    template["metadata"]["labels"] = labels
    template["spec"]["volumes"][0]["configMap"] = {"name": STORE}
    template["spec"]["containers"][0]["args"].append("--web.enable-remote-write-receiver")
    return [config, deployment]
