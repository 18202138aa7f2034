"""istiod as a process beside a real API server, and plain Envoys that take their configuration from it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from benchmarks.programs import free_ports, running, wait_until
from tests.gateways.go_modules import program
from tidegate.router.envoy import find_envoy

SYSTEM = "istio-system"
STARTS_WITHIN_SECONDS = 180.0
WITHOUT_ISTIOS_OWN_FILTERS = {
    # These are of Istio's own proxy, which isn't built here: an Envoy of its makers refuses a listener that has one.
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
}
ALONE = {
    "PILOT_CERT_PROVIDER": "none",
    "ENABLE_CA_SERVER": "false",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
    "POD_NAMESPACE": SYSTEM,
    "POD_NAME": "istiod-1",
    "CLUSTER_ID": "Kubernetes",
}


@dataclass(frozen=True)
class Istiod:
    """Where its xDS is told, without TLS."""

    xds: int
    log: Path


@contextmanager
def istiod(kubeconfig: Path, folder: Path) -> Iterator[Istiod]:
    """Runs while inside; it follows the API server of the kubeconfig."""
    xds, http, monitoring = free_ports(3)
    mesh = folder / "mesh.yaml"
    # No provider of metrics: istio_requests_total is a filter of Istio's own proxy.
    # No TLS between proxies: their certificates would come from the agent of Istio's own proxy.
    settings = {"trustDomain": "cluster.local", "accessLogFile": "", "enableAutoMtls": False}
    mesh.write_text(yaml.safe_dump(settings))
    command = [
        *(str(program("istiod")), "discovery", f"--kubeconfig={kubeconfig}", f"--meshConfig={mesh}"),
        *(f"--grpcAddr=127.0.0.1:{xds}", f"--httpAddr=127.0.0.1:{http}", "--httpsAddr=", "--secureGRPCAddr="),
        *(f"--monitoringAddr=127.0.0.1:{monitoring}", "--ctrlz_port=0", "--log_output_level=default:warn"),
    ]
    with running(command, folder, "istiod", {**WITHOUT_ISTIOS_OWN_FILTERS, **ALONE}) as process:
        log = folder / "istiod.log"
        ready = f"http://127.0.0.1:{http}/ready"
        wait_until(lambda: _answers(ready), "istiod is ready", STARTS_WITHIN_SECONDS, process, log)
        yield Istiod(xds, log)


@dataclass(frozen=True)
class Proxy:
    """A plain Envoy that istiod configures."""

    admin: int

    def config(self, kind: str) -> list[Mapping[str, Any]]:
        """What it has taken of one kind of resource: `Cluster`, `RouteConfiguration`, `Listener`."""
        dumps = requests.get(f"http://127.0.0.1:{self.admin}/config_dump", timeout=60).json()["configs"]
        return [found for dump in dumps for found in _resources(dump) if found["@type"].endswith(f".{kind}")]

    def stat(self, name: str) -> int:
        """A counter of Envoy's."""
        asked = {"filter": f"^{name}$", "format": "json"}
        stats = requests.get(f"http://127.0.0.1:{self.admin}/stats", params=asked, timeout=60).json()["stats"]
        found = [each for each in stats if "value" in each]
        return int(found[0]["value"]) if found else 0


@contextmanager
def proxy(of: Istiod, folder: Path, node: str, namespace: str, labels: Mapping[str, str]) -> Iterator[Proxy]:
    """`node` is `router` for a Gateway's, `sidecar` for one beside a client."""
    (admin,) = free_ports(1)
    name = f"{node}-of-{namespace}"
    bootstrap = {
        "node": {
            "id": f"{node}~127.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local",
            "cluster": name,
            "metadata": {
                "LABELS": dict(labels),
                "NAMESPACE": namespace,
                "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.31.0",
                "GENERATOR": "",
            },
        },
        "admin": {"address": _address(admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            **({"lds_config": {"ads": {}, "resource_api_version": "V3"}} if node == "router" else {}),
        },
        "static_resources": {"clusters": [_xds(of.xds)]},
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(bootstrap))
    command = [find_envoy(), "-c", str(file), "--concurrency", "1", "--base-id", str(admin % 60_000), "-l", "warn"]
    with running(command, folder, name) as process:
        found = Proxy(admin)
        ready = f"http://127.0.0.1:{admin}/ready"
        wait_until(lambda: _answers(ready), f"{name} is ready", STARTS_WITHIN_SECONDS, process, folder / f"{name}.log")
        yield found


def _xds(port: int) -> Mapping[str, Any]:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {
        "@type": f"type.googleapis.com/{options}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {options: http2},
        "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> Mapping[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _resources(dump: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in dump.get("dynamic_active_clusters", ()):
        yield each["cluster"]
    for each in dump.get("dynamic_route_configs", ()):
        yield each["route_config"]
    for each in dump.get("dynamic_listeners", ()):
        if "active_state" in each:
            yield each["active_state"]["listener"]


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=30).ok
    except requests.RequestException:
        return False
