"""A VirtualService of Istio, written and read back side by side. Pure.

The destinations of an HTTP route are the only record of a split, as with the built-in router. They are revisions'
Services, so no DestinationRule has to name subsets. Istio leaves out whoever has weight 0 beside others.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.model.istio import MESH, Istio, qualified
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.lent_rule import RuleShape
from tidegate.resources.names import GRPC_PORT, SERVER_PORT, TRAFFIC_HEADER
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import Manifest
from tidegate.resources.seen_route import SeenObject, metadata_of_ours, object_fields, read_timeout, split_of

VIRTUAL_SERVICE = "VirtualService"
API_VERSION = "networking.istio.io/v1"
LIVE = {"request": {"set": {TRAFFIC_HEADER: "live"}}}
"""Headers of a route, never of a destination: model servers count as live only what a router has marked."""
RETRIES = {"attempts": 2, "retryOn": "connect-failure,refused-stream"}
"""Of requests that can't have reached a model, in the revision that Envoy drew. Where a route says nothing Istio
retries more: calls that ended with UNAVAILABLE or CANCELLED, and older releases any answer of 503."""
HTTP_ROUTE, GRPC_ROUTE = "http", "grpc"
"""Names of the routes that a VirtualService of ours has."""
CALLS = [{"headers": {"content-type": {"prefix": "application/grpc"}}}]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One of a VirtualService's HTTP routes, as far as it matters here."""

    name: str
    refs: Sequence[Manifest]
    """Its destinations, as the VirtualService has them."""
    timeout: timedelta | None
    retries: Mapping[str, Any] | None
    """None where it says nothing, and Istio's own default holds."""
    marks: bool
    """Whether it marks requests as live."""

    @property
    def backends(self) -> tuple[tuple[str, int], ...]:
        """By name and weight, in order."""
        return tuple((backend_name(each), int(each.get("weight", 0))) for each in weighted(self.refs))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenVirtualService(SeenObject):
    """What is kept of a VirtualService, anybody's."""

    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    """Each NAMESPACE/NAME, or `mesh`."""
    routes: tuple[HttpRoute, ...]
    errors: tuple[str, ...]
    """What Istio's analysis has against it, where that is switched on."""
    kind: str = VIRTUAL_SERVICE

    def route(self, name: str) -> HttpRoute | None:
        """Its first of that name."""
        return next((each for each in self.routes if each.name == name), None)

    @property
    def marks(self) -> bool:
        """Whether all its routes mark requests as live."""
        return all(each.marks for each in self.routes)

    @property
    def split(self) -> TrafficSplit | None:
        """Of ours; None where that can't be one."""
        route = self.route(HTTP_ROUTE)
        return split_of(route.backends, self.leaving) if route else None

    @property
    def settings(self) -> RouteSettings | None:
        """What else ours says of its requests; None where that isn't all as we write it."""
        http, grpc = self.route(HTTP_ROUTE), self.route(GRPC_ROUTE)
        if http is None or http.timeout is None or len(self.routes) != (2 if grpc else 1):
            return None
        if any(each.retries != RETRIES or each.backends != http.backends for each in self.routes):
            return None
        return RouteSettings("", http.timeout, grpc=grpc is not None, istio=Istio(self.hosts, self.gateways))


def virtual_service_manifest(
    namespace: str, name: str, uid: str, split: TrafficSplit, settings: RouteSettings, leaving: Collection[str]
) -> Manifest:
    """What `read_virtual_service` reads. `settings` have Istio's hosts, and a timeout in whole seconds."""
    istio = settings.istio or Istio()
    listed = (*split, *((revision, 0) for revision in sorted(leaving)))
    calls = [{**_route(GRPC_ROUTE, listed, settings, GRPC_PORT), "match": CALLS}] if settings.grpc else []
    return {
        "apiVersion": API_VERSION,
        "kind": VIRTUAL_SERVICE,
        "metadata": metadata_of_ours(name, Owner(namespace, name, uid), leaving),
        "spec": {
            "hosts": list(istio.hosts),
            "gateways": list(istio.gateways),
            "http": [*calls, _route(HTTP_ROUTE, listed, settings, SERVER_PORT)],
        },
    }


def _route(name: str, listed: Iterable[tuple[str, int]], settings: RouteSettings, port: int) -> Manifest:
    return {
        "name": name,
        "route": destinations(listed, port),
        "headers": LIVE,
        "timeout": f"{int(settings.timeout.total_seconds())}s",
        "retries": RETRIES,
    }


def destinations(split: Iterable[tuple[str, int]], port: int = SERVER_PORT) -> list[Manifest]:
    """Revisions' Services with their weights in percent. A short name is of the VirtualService's own namespace."""
    return [
        {"destination": {"host": revision, "port": {"number": port}}, "weight": weight} for revision, weight in split
    ]


def backend_name(destination: Manifest) -> str:
    """The host, with the subset where there is one: two of a host's are two backends."""
    of = destination["destination"]
    return f"{of['host']}/{of['subset']}" if of.get("subset") else str(of["host"])


def weighted(refs: Sequence[Manifest]) -> list[Manifest]:
    """Destinations with their weights: one alone has all requests, whatever it says."""
    return [{**refs[0], "weight": 100}] if len(refs) == 1 else list(refs)


VIRTUAL_SERVICE_ROUTE = RuleShape(
    kind=VIRTUAL_SERVICE,
    rules="http",
    backends="route",
    name=("destination", "host"),
    rule="HTTP route",
    section="spec.traffic.istio",
    field="spec.traffic.istio.virtualService",
    ours=destinations,
    named=backend_name,
    weighted=weighted,
)
"""How an HTTP route of a VirtualService is lent."""


def read_virtual_service(body: Mapping[str, Any]) -> SeenVirtualService:
    """Anybody's. Raises LookupError, TypeError, ValueError or AttributeError on one of another shape."""
    spec, namespace = body["spec"], body["metadata"]["namespace"]
    routes = tuple(map(_read_route, spec.get("http") or ()))
    ours = next((each.backends for each in routes if each.name == HTTP_ROUTE), ())
    messages = (body.get("status") or {}).get("validationMessages") or ()
    return SeenVirtualService(
        **object_fields(body, ours),
        hosts=tuple(spec.get("hosts") or ()),
        gateways=tuple(qualified(each, namespace) for each in spec.get("gateways") or (MESH,)),
        routes=routes,
        errors=tuple(_told(each) for each in messages if each.get("level") == "ERROR"),
    )


def _read_route(raw: Mapping[str, Any]) -> HttpRoute:
    request = (raw.get("headers") or {}).get("request") or {}
    written = {name.lower(): value for way in ("add", "set") for name, value in (request.get(way) or {}).items()}
    return HttpRoute(
        raw.get("name", ""),
        list(raw.get("route") or ()),
        read_timeout(raw["timeout"]) if "timeout" in raw else None,
        raw.get("retries"),
        written.get(TRAFFIC_HEADER) == "live",
    )


def _told(message: Mapping[str, Any]) -> str:
    kind = message.get("type") or {}
    return f"{kind.get('name', 'an error')} ({kind.get('code', 'no code')})"
