"""An Envoy of one listener that does the same with every request: what stands before and behind the router."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.programs import free_ports, running, wait_until
from benchmarks.scale.http import ask
from tidegate.router.envoy import find_envoy

_TYPE = "type.googleapis.com/envoy.extensions.filters."
STARTS_WITHIN_SECONDS = 20
HERE = "127.0.0.1"


@dataclass(frozen=True)
class PlainEnvoy:
    """One that answers."""

    port: int
    pid: int


@contextmanager
def plain_envoy(
    folder: Path,
    name: str,
    does: Mapping[str, Any],
    clusters: Mapping[str, int] | None = None,
    *,
    address: str = HERE,
    concurrency: int = 1,
) -> Iterator[PlainEnvoy]:
    """`does` is what its virtual host has besides name and domains; each of its `clusters` is a port of this machine.

    Raises BenchmarkError.
    """
    (port,) = free_ports(1)
    listener = _listener(name, _address(port, address), {"name": "all", "domains": ["*"], **does})
    listed = [_cluster(cluster, of) for cluster, of in (clusters or {}).items()]
    config = folder / f"{name}.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": listed}}))
    command = [find_envoy(), "--config-path", str(config), "--concurrency", str(concurrency), "--disable-hot-restart"]
    with running([*command, "--log-level", "critical"], folder, name) as process:
        wait_until(lambda: ask(HERE, port, {}) is not None, f"{name} answers", STARTS_WITHIN_SECONDS, process)
        yield PlainEnvoy(port, process.pid)


def _listener(name: str, address: dict[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _TYPE + "http.router.v3.Router"}}
    manager = {
        "@type": _TYPE + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {"name": name, "address": address, "filter_chains": [{"filters": filters}]}


def _cluster(name: str, port: int) -> dict[str, Any]:
    hosts = [{"endpoint": {"address": _address(port, HERE)}}]
    pods = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    return {"name": name, "type": "STATIC", "load_assignment": pods}


def _address(port: int, address: str) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
