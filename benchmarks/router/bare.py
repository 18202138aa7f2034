"""An Envoy with one listener, one route and one cluster: what of a router's cost is Envoy's own on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.programs import free_ports, running, wait_until
from benchmarks.scale.http import ask
from tidegate.router.envoy import find_envoy

_TYPE = "type.googleapis.com/envoy.extensions.filters."


@dataclass(frozen=True)
class BareEnvoy:
    """One that sends all requests on."""

    port: int
    pid: int


@contextmanager
def bare_envoy(folder: Path, upstream: int, concurrency: int) -> Iterator[BareEnvoy]:
    """Before the upstream at that port of this machine, with as many workers as the router. Raises BenchmarkError."""
    (port,) = free_ports(1)
    config = folder / "bare.json"
    config.write_text(json.dumps(_config(port, upstream)))
    command = [find_envoy(), "--config-path", str(config), "--concurrency", str(concurrency), "--disable-hot-restart"]
    with running([*command, "--log-level", "critical"], folder, "bare") as process:
        wait_until(lambda: ask("127.0.0.1", port, {}) is not None, "a bare Envoy answers", 20, process)
        yield BareEnvoy(port, process.pid)


def _config(port: int, upstream: int) -> dict[str, Any]:
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]}
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _TYPE + "http.router.v3.Router"}}
    manager = {
        "@type": _TYPE + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "bare", "address": _address(port), "filter_chains": [{"filters": filters}]}
    pods = {
        "cluster_name": "upstream",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
    }
    cluster = {"name": "upstream", "type": "STATIC", "load_assignment": pods}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
