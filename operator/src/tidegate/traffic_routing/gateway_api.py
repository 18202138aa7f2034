"""The cluster's own Gateways: an HTTPRoute says how to split, and whoever implements the Gateway API carries it out."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tidegate.errors import RouterUnavailable
from tidegate.kube.api import HTTP_ROUTES, Manifest
from tidegate.kube.informer import Kind
from tidegate.model.gateway import GatewayApi, ParentRef
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import Capabilities, RouteSettings, RouteState, TrafficSplit
from tidegate.resources.http_route import ParentStatus, Said, SeenRoute, read_route, route_manifest
from tidegate.resources.model_route import bounded
from tidegate.resources.ownership import Owner
from tidegate.resources.router_report import RouterReport
from tidegate.traffic_routing.backend import Followed, RouteWrite
from tidegate.traffic_routing.gateway_profiles import profile_of

HTTP_ROUTE = Kind(HTTP_ROUTES, read_route, selector=None, optional=True)
NEEDED = ("Accepted", "ResolvedRefs")
"""Conditions that a controller has to give a route before it is worth looking whether requests go by it."""
KNOWN_REFUSALS = {
    "NoMatchingListenerHostname": "no listener of it takes the hostname; name one of its hostnames in "
    "spec.traffic.gatewayAPI.hostnames",
    "NotAllowedByListeners": "its listeners take no routes from this namespace; allow it in their "
    "allowedRoutes.namespaces",
    "NoMatchingParent": "it has no such listener; set sectionName and port to one that it has",
}
"""What to do, by the reason of Accepted=False."""


class GatewayApiRouter:
    """The RouterBackend of the Gateway API."""

    name = "GatewayAPI"
    kinds = (HTTP_ROUTE,)
    can = Capabilities()
    requests_source = "GatewayAPI"
    tells_counters = False

    def settings(self, owner: Owner, wanted: RouteSettings) -> RouteSettings:
        gateway = (wanted.gateway or GatewayApi(())).within(owner.namespace)
        return RouteSettings("", bounded(wanted).timeout, gateway)

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        if why := followed.unfollowed(HTTP_ROUTE):
            raise RouterUnavailable(
                f"spec.traffic.router is GatewayAPI, and HTTPRoutes can't be followed here ({why}): install the "
                "Gateway API's CRDs and set the chart's gatewayAPI.enabled, or set spec.traffic.router to Builtin"
            )
        route = next((each for each in followed.own(HTTP_ROUTE) if each.name == owner.name), None)
        if route is None:
            return RouteState(lists_first=True)
        state = _state(route, self.settings(owner, wanted).gateway or route.gateway)
        if state.problem is None and (rival := _older_rival(route, followed.everybody(HTTP_ROUTE))):
            return replace(state, problem=rival)
        return state

    def writes(
        self, owner: Owner, split: TrafficSplit, wanted: RouteSettings, seen: RouteState, leaving: Collection[str]
    ) -> Sequence[RouteWrite]:
        settings = self.settings(owner, wanted)
        manifest = route_manifest(owner.namespace, owner.name, owner.uid, split, settings, leaving)
        return (RouteWrite(HTTP_ROUTES, manifest, seen.version),)

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        """None: clients ask a Gateway by the hostname."""
        return ()


@dataclass(frozen=True)
class _Answer:
    """What one Gateway makes of a route. `refusal` and `waits` are sentences; at most one of them isn't empty."""

    parent: ParentRef
    controller: str = ""
    refusal: str = ""
    waits: str = ""


def _state(route: SeenRoute, wanted: GatewayApi) -> RouteState:
    answers = [_answer(route, parent) for parent in wanted.parents]
    refused = {each.parent.told: each.refusal for each in answers if each.refusal}
    waits = [each.waits for each in answers if each.waits]
    uncounted = [profile_of(each.controller).uncounted for each in answers if each.controller]
    return RouteState(
        route.split,
        route.settings,
        applied_by=frozenset(each.parent.told for each in answers if not (each.refusal or each.waits)),
        awaited=frozenset(each.parent.told for each in answers if each.refusal or each.waits),
        refused_by=refused,
        version=route.version,
        writer=route.writer,
        edited_by=route.edited_by,
        lists_first=True,
        leaving=route.leaving,
        problem=StatusMessage(Reason.ROUTE_REFUSED, "; ".join(refused.values())) if refused else None,
        untold="; ".join(waits),
        uncounted=next(filter(None, uncounted), ""),
    )


def _answer(route: SeenRoute, parent: ParentRef) -> _Answer:
    of_route = f"the HTTPRoute {route.name}"
    said = next((each for each in route.statuses if each.parent == parent), None)
    if said is None:
        why = f"{parent.told} has said nothing of {of_route}; is there such a Gateway, and does its controller run?"
        return _Answer(parent, waits=why)
    current = {name: each for name, each in said.conditions.items() if each.generation >= route.generation}
    for name in NEEDED:
        if name not in current or current[name].status == "Unknown":
            why = f"{parent.told} hasn't looked at {of_route} since it was written; does its controller run?"
            return _Answer(parent, said.controller, waits=why)
        if current[name].status != "True":
            return _Answer(parent, said.controller, refusal=_refusal(said, name, current[name]))
    return _Answer(parent, said.controller)


def _refusal(said: ParentStatus, name: str, condition: Said) -> str:
    by = f"{said.parent.told} refuses the route ({name}: {condition.reason})"
    if advice := KNOWN_REFUSALS.get(condition.reason):
        return f"{by}: {advice}"
    return f"{by}: {condition.message or 'it gives no message'}"


def _older_rival(ours: SeenRoute, routes: Sequence[SeenRoute]) -> StatusMessage | None:
    """Whoever has the same host on the same Gateway and is older: by the Gateway API's rules it gets the requests."""
    for theirs in sorted(routes, key=_age):
        if _age(theirs) >= _age(ours) or not theirs.belongs_to:
            continue
        if host := next(_shared_hosts(ours, theirs), None):
            parent = next(each for each in ours.gateway.parents if each in theirs.gateway.parents)
            message = (
                f"{host} on {parent.told} is the ModelDeployment {theirs.namespace}/{theirs.belongs_to}'s, which had "
                "it first and gets its requests; give each a hostname of its own"
            )
            return StatusMessage(Reason.HOSTNAME_TAKEN, message)
    return None


def _age(route: SeenRoute) -> tuple[str, str, str]:
    return route.created_at, route.namespace, route.name


def _shared_hosts(one: SeenRoute, other: SeenRoute) -> Iterator[str]:
    if not set(one.gateway.parents) & set(other.gateway.parents):
        return
    every = ("every hostname",)
    others = set(other.gateway.hostnames or every)
    yield from (host for host in one.gateway.hostnames or every if host in others)
