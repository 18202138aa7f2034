"""What Gateways make of a route, as its status says. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tidegate.model.gateway import ParentRef
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import RouteState
from tidegate.resources.http_route import ParentStatus, Said, SeenRoute
from tidegate.resources.seen_route import older_ones
from tidegate.traffic_routing.gateway_profiles import profile_of

NEEDED = ("Accepted", "ResolvedRefs")
"""Conditions that a controller has to give a route before it is worth looking whether requests go by it."""
KNOWN_REFUSALS = {
    "NoMatchingListenerHostname": "no listener of it takes the hostname; name one of its hostnames in "
    "spec.traffic.gatewayAPI.hostnames",
    "NotAllowedByListeners": "its listeners take no routes from this namespace; allow it in their "
    "allowedRoutes.namespaces",
    "RefNotPermitted": "a backend of the route is in another namespace, which grants it to nobody here; create a "
    "ReferenceGrant there, or take that backend out of the route",
    "BackendNotFound": "a backend of the route isn't there; create that Service, or take it out of the route",
    "InvalidKind": "a backend of the route is of a kind that it can't send requests to; take it out of the route",
    "NoMatchingParent": "it has no such listener; set sectionName and port to one that it has",
}
"""What to do, by the reason of Accepted=False or ResolvedRefs=False."""


@dataclass(frozen=True)
class Answer:
    """What one Gateway makes of a route. `refusal` and `waits` are sentences; at most one of them isn't empty."""

    parent: ParentRef
    controller: str = ""
    refusal: str = ""
    waits: str = ""


def answered(state: RouteState, route: SeenRoute, parents: Sequence[ParentRef]) -> RouteState:
    """The route's state with who has taken it, and who won't."""
    answers = [_answer(route, parent) for parent in parents]
    refused = {each.parent.told: each.refusal for each in answers if each.refusal}
    uncounted = [profile_of(each.controller).uncounted for each in answers if each.controller]
    return replace(
        state,
        applied_by=frozenset(each.parent.told for each in answers if not (each.refusal or each.waits)),
        awaited=frozenset(each.parent.told for each in answers if each.refusal or each.waits),
        refused_by=refused,
        problem=StatusMessage(Reason.ROUTE_REFUSED, "; ".join(refused.values())) if refused else None,
        untold="; ".join(each.waits for each in answers if each.waits),
        uncounted=next(filter(None, uncounted), ""),
    )


def _answer(route: SeenRoute, parent: ParentRef) -> Answer:
    of_route = f"the {route.kind} {route.name}"
    said = next((each for each in route.statuses if each.parent == parent), None)
    if said is None:
        why = f"{parent.told} has said nothing of {of_route}; is there such a Gateway, and does its controller run?"
        return Answer(parent, waits=why)
    current = {name: each for name, each in said.conditions.items() if each.generation >= route.generation}
    for name in NEEDED:
        if name not in current or current[name].status == "Unknown":
            why = f"{parent.told} hasn't looked at {of_route} since it was written; does its controller run?"
            return Answer(parent, said.controller, waits=why)
        if current[name].status != "True":
            return Answer(parent, said.controller, refusal=_refusal(said, name, current[name]))
    return Answer(parent, said.controller)


def _refusal(said: ParentStatus, name: str, condition: Said) -> str:
    by = f"{said.parent.told} refuses the route ({name}: {condition.reason})"
    if advice := KNOWN_REFUSALS.get(condition.reason):
        which = f" ({condition.message})" if name == "ResolvedRefs" and condition.message else ""
        return f"{by}: {advice}{which}"
    return f"{by}: {condition.message or 'it gives no message'}"


def older_rival(ours: SeenRoute, routes: Sequence[SeenRoute]) -> StatusMessage | None:
    """Whoever has the same host on the same Gateway and is older: by the Gateway API's rules it gets the requests."""
    for theirs in older_ones(ours, routes):
        if host := next(_shared_hosts(ours, theirs), None):
            parent = next(each for each in ours.gateway.parents if each in theirs.gateway.parents)
            message = (
                f"{host} on {parent.told} is the ModelDeployment {theirs.namespace}/{theirs.belongs_to}'s, which had "
                "it first and gets its requests; give each a hostname of its own"
            )
            return StatusMessage(Reason.HOSTNAME_TAKEN, message)
    return None


def _shared_hosts(one: SeenRoute, other: SeenRoute) -> Iterator[str]:
    if not set(one.gateway.parents) & set(other.gateway.parents):
        return
    every = ("every hostname",)
    others = set(other.gateway.hostnames or every)
    yield from (host for host in one.gateway.hostnames or every if host in others)
