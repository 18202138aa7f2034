"""What the router knows of the cluster beside its routes: endpoints, parsed once from EndpointSlices. Pure.

A malformed object raises `MalformedObject` with a sentence; whoever holds the objects skips that one and goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tidegate.errors import MalformedObject
from tidegate.resources.model_route import DNS_LABEL, mapping_at, text_at
from tidegate.resources.names import GRPC_PORT_NAME, PORT_NAME

SERVICE_LABEL = "kubernetes.io/service-name"


class Endpoint(NamedTuple):
    """Where one pod of a revision answers."""

    address: str
    port: int
    grpc_port: int = 0
    """0 where it doesn't answer by gRPC."""


class Service(NamedTuple):
    """A revision's Service: the key under which its endpoints are found."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Slice:
    """One EndpointSlice. `leaving` holds the pods that are ending but still answer."""

    service: Service
    ready: tuple[Endpoint, ...]
    leaving: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Answering:
    """Who answers for a Service, sorted and without doubles. `leaving`: all of them are of pods that are ending."""

    endpoints: tuple[Endpoint, ...] = ()
    leaving: bool = False


def read_slice(body: Mapping[str, Any]) -> Slice:
    """Parses an EndpointSlice. Ready is true or unset; leaving is serving, terminating and not ready."""
    metadata = mapping_at(body, "metadata")
    labels = metadata.get("labels") or {}
    name = labels.get(SERVICE_LABEL) if isinstance(labels, Mapping) else None
    if not name:
        raise MalformedObject(f"metadata.labels: no {SERVICE_LABEL}")
    service = Service(text_at(metadata, "metadata.namespace", DNS_LABEL), str(name))
    ports = body.get("ports") or []
    port, grpc_port = _port(ports, PORT_NAME), _port(ports, GRPC_PORT_NAME) or 0
    if port is None or body.get("addressType") == "FQDN":
        return Slice(service, (), ())
    ready: list[Endpoint] = []
    leaving: list[Endpoint] = []
    for item in body.get("endpoints") or []:
        conditions = item.get("conditions") or {}
        found = [Endpoint(address, port, grpc_port) for address in item.get("addresses") or []]
        if conditions.get("ready") is not False:
            ready += found
        elif conditions.get("serving") and conditions.get("terminating"):
            leaving += found
    return Slice(service, tuple(ready), tuple(leaving))


def _port(ports: Iterable[Mapping[str, Any]], name: str) -> int | None:
    numbers = [port.get("port") for port in ports if port.get("name") == name]
    return numbers[0] if numbers else None


def answering(slices: Iterable[Slice]) -> Answering:
    """Who answers for one Service by all of its slices.

    Pods that are ending are used only where no ready one is left: they answer until they are gone, and the
    alternative is a refused request.
    """
    listed = list(slices)
    ready = {endpoint for found in listed for endpoint in found.ready}
    leaving = {endpoint for found in listed for endpoint in found.leaving}
    return Answering(tuple(sorted(ready or leaving)), leaving=bool(leaving) and not ready)


def can_wait(told: Answering, found: Answering) -> bool:
    """Whether a Service goes on well for a moment by what was `told` of it before.

    Not where nobody of those answers any more, nor where it is news whether somebody does, or whether all are ending.
    """
    return told.leaving == found.leaving and not frozenset(told.endpoints).isdisjoint(found.endpoints)
