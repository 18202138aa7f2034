"""What a trial needs to know of a Gateway that runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.gateways.daemon import Daemon

NAMESPACE = "gateways"
ALL_NAMESPACES = {"namespaces": {"from": "All"}}

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Gateway:
    """`implementation` with its version, for people; `name` is the Gateway's, in NAMESPACE.

    Requests go to `port` of this machine; `stats_port` is where Prometheus reads its Envoy.
    """

    implementation: str
    name: str
    port: int
    stats_port: int
    controller: Daemon

    @property
    def parent_ref(self) -> Mapping[str, str]:
        """For routes and models of any namespace."""
        return {"name": self.name, "namespace": NAMESPACE}


def gateway_class(name: str, controller: str, parameters: Mapping[str, str] | None = None) -> Manifest:
    """Of one controller."""
    spec: Manifest = {"controllerName": controller}
    if parameters:
        spec["parametersRef"] = dict(parameters)
    metadata = {"name": name}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": metadata, "spec": spec}


def gateway(name: str, port: int) -> Manifest:
    """With one listener for plain HTTP, which takes routes of every namespace; of the class of its name."""
    listener = {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": ALL_NAMESPACES}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": name, "listeners": [listener]},
    }


def namespace(name: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
