"""What the router knows of the cluster: routes and endpoints, parsed once from Kubernetes objects. Pure.

A malformed object raises `MalformedObject` with a sentence; whoever holds the objects skips that one and goes on.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.errors import MalformedObject

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
SERVICE_LABEL = "kubernetes.io/service-name"
PORT_NAME = "http"
DEFAULT_PREVIEW_HEADER = "x-tidegate-revision"
DEFAULT_TIMEOUT_SECONDS = 60
MAX_BACKENDS = 8


@dataclass(frozen=True)
class Backend:
    """One revision and its share of the requests, in percent (0 to 100)."""

    revision: str
    weight: int


@dataclass(frozen=True)
class Route:
    """How the requests of one ModelDeployment are split. Weights add to 100."""

    namespace: str
    name: str
    preview_header: str
    timeout_seconds: int
    backends: tuple[Backend, ...]


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where one pod of a revision answers."""

    address: str
    port: int


@dataclass(frozen=True, order=True)
class Service:
    """A revision's Service: the key under which its endpoints are found."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Slice:
    """One EndpointSlice. `leaving` holds the pods that are ending but still answer."""

    service: Service
    ready: tuple[Endpoint, ...]
    leaving: tuple[Endpoint, ...]


def read_route(body: Mapping[str, Any]) -> Route:
    """Parses a ModelRoute. Raises MalformedObject."""
    metadata, spec = _mapping(body, "metadata"), _mapping(body, "spec")
    return Route(
        namespace=_text(metadata, "metadata.namespace", DNS_LABEL),
        name=_text(metadata, "metadata.name", DNS_LABEL),
        preview_header=_text(spec, "spec.previewHeader", HEADER_NAME, DEFAULT_PREVIEW_HEADER),
        timeout_seconds=_whole_number(spec, "spec.timeoutSeconds", 1, 3600, DEFAULT_TIMEOUT_SECONDS),
        backends=_read_backends(spec.get("backends")),
    )


def _read_backends(listed: object) -> tuple[Backend, ...]:
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_BACKENDS:
        raise MalformedObject(f"spec.backends: needs 1 to {MAX_BACKENDS} revisions")
    backends = tuple(_read_backend(item, f"spec.backends[{at}]") for at, item in enumerate(listed))
    if len({backend.revision for backend in backends}) < len(backends):
        raise MalformedObject("spec.backends: a revision is listed twice")
    total = sum(backend.weight for backend in backends)
    if total != 100:
        raise MalformedObject(f"spec.backends: the weights add to {total}, not 100")
    return backends


def _read_backend(item: object, where: str) -> Backend:
    if not isinstance(item, Mapping):
        raise MalformedObject(f"{where}: is not an object")
    return Backend(_text(item, f"{where}.revision", DNS_LABEL), _whole_number(item, f"{where}.weight", 0, 100))


def read_slice(body: Mapping[str, Any]) -> Slice:
    """Parses an EndpointSlice. Ready is true or unset; leaving is serving, terminating and not ready."""
    metadata = _mapping(body, "metadata")
    labels = metadata.get("labels") or {}
    name = labels.get(SERVICE_LABEL) if isinstance(labels, Mapping) else None
    if not name:
        raise MalformedObject(f"metadata.labels: no {SERVICE_LABEL}")
    service = Service(_text(metadata, "metadata.namespace", DNS_LABEL), str(name))
    port = _http_port(body.get("ports") or [])
    if port is None or body.get("addressType") == "FQDN":
        return Slice(service, (), ())
    ready: list[Endpoint] = []
    leaving: list[Endpoint] = []
    for item in body.get("endpoints") or []:
        conditions = item.get("conditions") or {}
        found = [Endpoint(address, port) for address in item.get("addresses") or []]
        if conditions.get("ready") is not False:
            ready += found
        elif conditions.get("serving") and conditions.get("terminating"):
            leaving += found
    return Slice(service, tuple(ready), tuple(leaving))


def _http_port(ports: Iterable[Mapping[str, Any]]) -> int | None:
    numbers = [port.get("port") for port in ports if port.get("name") == PORT_NAME]
    return numbers[0] if numbers else None


def endpoints_by_service(slices: Iterable[Slice]) -> dict[Service, tuple[Endpoint, ...]]:
    """Every Service's endpoints, sorted and without doubles.

    Pods that are ending are used only where no ready one is left: they answer until they are gone, and the
    alternative is a refused request.
    """
    ready: dict[Service, set[Endpoint]] = {}
    leaving: dict[Service, set[Endpoint]] = {}
    for found in slices:
        ready.setdefault(found.service, set()).update(found.ready)
        leaving.setdefault(found.service, set()).update(found.leaving)
    return {service: tuple(sorted(ready[service] or leaving[service])) for service in ready}


def _mapping(body: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = body.get(field)
    if not isinstance(value, Mapping):
        raise MalformedObject(f"{field}: is not an object")
    return value


def _text(body: Mapping[str, Any], field: str, pattern: re.Pattern[str], default: str | None = None) -> str:
    value = body.get(field.rpartition(".")[2], default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedObject(f"{field}: {value!r} doesn't match {pattern.pattern}")
    return value


def _whole_number(body: Mapping[str, Any], field: str, low: int, high: int, default: int | None = None) -> int:
    value = body.get(field.rpartition(".")[2], default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MalformedObject(f"{field}: {value!r} is not a whole number from {low} to {high}")
    return value
