"""An HTTPRoute of the Gateway API, and a GRPCRoute, written and read back side by side. Pure.

The list of a rule's backends is the only record of a split, as with the built-in router. Revisions that
nobody asks for any more may be in it at weight 0; an annotation names them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tidegate.model.gateway import GatewayApi, ParentRef
from tidegate.model.traffic import RouteSettings, TrafficSplit
from tidegate.resources.lent_rule import RuleShape
from tidegate.resources.names import GRPC_PORT, SERVER_PORT, TRAFFIC_HEADER
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import Manifest
from tidegate.resources.seen_route import SeenObject, metadata_of_ours, object_fields, read_timeout, split_of

HTTP, GRPC = "HTTPRoute", "GRPCRoute"
API_VERSION = "gateway.networking.k8s.io/v1"
GATEWAYS = "gateway.networking.k8s.io"
CROSSING = ("retry", "sessionPersistence")
"""Fields of a rule (experimental channel) by which a request goes elsewhere than its weights say."""
EVERY_PATH = [{"path": {"type": "PathPrefix", "value": "/"}}]
LIVE = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": TRAFFIC_HEADER, "value": "live"}]},
}
"""A filter of the rule, never of a backend: model servers count as live only what a router has marked."""


@dataclass(frozen=True, slots=True)
class Said:
    """One condition of a route, as the controller of a Gateway said it."""

    status: str
    """True, False or Unknown."""
    reason: str
    message: str
    generation: int
    """Of the route that it is about."""


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """What one controller says of a route on one Gateway."""

    parent: ParentRef
    controller: str
    conditions: Mapping[str, Said]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a route, as far as it matters here."""

    name: str
    refs: Sequence[Manifest]
    """Its backends, as the route has them."""
    timeout: timedelta | None
    crosses: tuple[str, ...] = ()
    """What of it sends requests to another revision than their weights say."""
    marks: bool = False
    """Whether it marks requests as live."""
    mirrors_part: bool = False
    """Whether it mirrors some of the requests, and not all of them."""

    @property
    def backends(self) -> tuple[tuple[str, int], ...]:
        """By name and weight, in order."""
        return tuple((each["name"], int(each.get("weight", 1))) for each in self.refs)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoute(SeenObject):
    """What is kept of an HTTPRoute, anybody's."""

    generation: int
    gateway: GatewayApi
    rules: tuple[Rule, ...]
    statuses: tuple[ParentStatus, ...]
    kind: str = HTTP

    @property
    def marks(self) -> bool:
        """Whether its first rule marks requests as live."""
        return bool(self.rules) and self.rules[0].marks

    @property
    def split(self) -> TrafficSplit | None:
        """Of its first rule; None where that can't be one."""
        return split_of(self.rules[0].backends, self.leaving) if self.rules else None

    @property
    def settings(self) -> RouteSettings | None:
        """What else it says of its requests; None where it states no timeout."""
        timeout = self.rules[0].timeout if self.rules else None
        return None if timeout is None else RouteSettings("", timeout, self.gateway)


def route_manifest(
    namespace: str, name: str, uid: str, split: TrafficSplit, settings: RouteSettings, leaving: Collection[str]
) -> Manifest:
    """What `read_route` reads. `settings` have Gateways, and a timeout in whole seconds."""
    gateway = settings.gateway or GatewayApi(())
    rule = {
        "matches": EVERY_PATH,
        "filters": [LIVE],
        "backendRefs": backend_refs(split, leaving),
        "timeouts": {"request": f"{int(settings.timeout.total_seconds())}s"},
    }
    metadata = metadata_of_ours(name, Owner(namespace, name, uid), leaving)
    return _manifest(HTTP, metadata, gateway.parents, gateway.hostnames, rule)


def grpc_route_name(name: str) -> str:
    """Of the GRPCRoute of a ModelDeployment. No Service, and so no ModelDeployment, can have a dot in its name.

    Contour 1.33.8 keeps what it says of routes by their names alone: of an HTTPRoute and a GRPCRoute of one name that
    change together, one has no answer for ever.
    """
    return f"{name}.grpc"


def grpc_route_manifest(
    namespace: str, name: str, uid: str, split: TrafficSplit, settings: RouteSettings, leaving: Collection[str]
) -> Manifest:
    """The same for calls by gRPC, which `read_grpc_route` reads. The Gateway API has no timeout for them."""
    gateway = settings.gateway or GatewayApi(())
    rule = {"filters": [LIVE], "backendRefs": backend_refs(split, leaving, GRPC_PORT)}
    metadata = metadata_of_ours(grpc_route_name(name), Owner(namespace, name, uid), leaving)
    return _manifest(GRPC, metadata, gateway.parents, gateway.grpc_hostnames, rule)


def _manifest(
    kind: str, metadata: Manifest, parents: Sequence[ParentRef], hostnames: Sequence[str], rule: Manifest
) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata,
        "spec": {
            "parentRefs": [_parent_ref(parent) for parent in parents],
            **({"hostnames": list(hostnames)} if hostnames else {}),
            "rules": [rule],
        },
    }


def backend_refs(
    split: Iterable[tuple[str, int]], leaving: Collection[str] = (), port: int = SERVER_PORT
) -> list[Manifest]:
    """Revisions' Services with their weights in percent, those that leave at 0."""
    weights = (*split, *((name, 0) for name in sorted(leaving)))
    return [
        {"group": "", "kind": "Service", "name": revision, "port": port, "weight": weight}
        for revision, weight in weights
    ]


HTTP_RULE = RuleShape(
    kind=HTTP,
    rules="rules",
    backends="backendRefs",
    name=("name",),
    rule="rule",
    section="spec.traffic.gatewayAPI",
    field="spec.traffic.gatewayAPI.routeRef",
    ours=backend_refs,
    named=lambda ref: str(ref["name"]),
    weighted=list,
)
"""How a rule of an HTTPRoute is lent."""


def _parent_ref(parent: ParentRef) -> Manifest:
    section = {"sectionName": parent.section} if parent.section else {}
    port = {"port": parent.port} if parent.port else {}
    return {"group": GATEWAYS, "kind": "Gateway", "namespace": parent.namespace, "name": parent.name, **section, **port}


def read_grpc_route(body: Mapping[str, Any]) -> SeenRoute:
    """Anybody's GRPCRoute; see `read_route`."""
    return replace(read_route(body), kind=GRPC)


def read_route(body: Mapping[str, Any]) -> SeenRoute:
    """Anybody's HTTPRoute. Raises LookupError, TypeError, ValueError or AttributeError on one of another shape."""
    metadata, spec = body["metadata"], body["spec"]
    namespace = metadata["namespace"]
    rules = tuple(map(_read_rule, spec.get("rules") or ()))
    return SeenRoute(
        **object_fields(body, rules[0].backends if rules else ()),
        generation=int(metadata.get("generation", 0)),
        gateway=GatewayApi(
            tuple(ParentRef.parse(each, namespace) for each in spec.get("parentRefs") or ()),
            tuple(spec.get("hostnames") or ()),
        ),
        rules=rules,
        statuses=tuple(_read_statuses(body.get("status") or {}, namespace)),
    )


def _read_rule(raw: Mapping[str, Any]) -> Rule:
    crosses = tuple(name for name in CROSSING if name in raw)
    timeout = (raw.get("timeouts") or {}).get("request")
    spent = None if timeout is None else read_timeout(timeout)
    filters = raw.get("filters") or ()
    marks, mirrors_part = any(map(_marks, filters)), any(map(_mirrors_part, filters))
    return Rule(raw.get("name", ""), list(raw.get("backendRefs") or ()), spent, crosses, marks, mirrors_part)


def _mirrors_part(raw: Mapping[str, Any]) -> bool:
    mirror = raw.get("requestMirror") or {}
    return mirror.get("percent", 100) != 100 or "fraction" in mirror


def _marks(raw: Mapping[str, Any]) -> bool:
    """Whether a filter marks requests as live."""
    modified = raw.get("requestHeaderModifier") or {}
    written = {each["name"].lower(): each["value"] for kind in ("add", "set") for each in modified.get(kind) or ()}
    return written.get(TRAFFIC_HEADER) == "live"


def _read_statuses(status: Mapping[str, Any], namespace: str) -> list[ParentStatus]:
    return [
        ParentStatus(
            ParentRef.parse(each["parentRef"], namespace),
            each.get("controllerName", ""),
            {said["type"]: _read_condition(said) for said in each.get("conditions") or ()},
        )
        for each in status.get("parents") or ()
    ]


def _read_condition(raw: Mapping[str, Any]) -> Said:
    generation = int(raw.get("observedGeneration", 0))
    return Said(raw["status"], raw.get("reason", ""), raw.get("message", ""), generation)
