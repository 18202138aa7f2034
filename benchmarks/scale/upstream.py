"""All pods of all models at once: an Envoy that answers at every loopback address and says at which it was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.programs import free_ports, running, wait_until
from benchmarks.scale.http import ask
from tidegate.router.envoy import find_envoy

ASKED_AT = "x-asked-at"
"""The header of each answer: the address that was asked."""
_TYPE = "type.googleapis.com/envoy."


@contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """Its port, on every address of 127.0.0.0/8."""
    (port,) = free_ports(1)
    config = folder / "upstream.json"
    config.write_text(json.dumps(_config(port)))
    command = [find_envoy(), "--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"]
    with running([*command, "--log-level", "critical"], folder, "upstream") as process:
        wait_until(lambda: ask("127.0.0.1", port, {}) is not None, "the upstream answers", 20, process)
        yield port


def _config(port: int) -> dict[str, Any]:
    said = {"header": {"key": ASKED_AT, "value": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"}}
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    host = {"name": "all", "domains": ["*"], "routes": [answer], "response_headers_to_add": [said]}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": _TYPE + "extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "upstream",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [router],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": "upstream",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    return {"static_resources": {"listeners": [listener]}}
