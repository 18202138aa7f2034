"""The state of a VirtualService as a model's router: of ours, and of one HTTP route that is lent to a model. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from tidegate.model.istio import MESH, VirtualServiceRef
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import RouteState
from tidegate.resources.ownership import Owner
from tidegate.resources.seen_route import older_ones
from tidegate.resources.virtual_service import (
    RETRIES,
    VIRTUAL_SERVICE_ROUTE,
    HttpRoute,
    SeenVirtualService,
)
from tidegate.traffic_routing import lent_rules
from tidegate.traffic_routing.backend import Returns
from tidegate.traffic_routing.our_route import state_of

ISTIOD = "istiod"
"""Who is said to have taken a VirtualService: it tells nobody, so whatever is written counts as taken."""


def read_ours(ours: SeenVirtualService, everybody: Collection[SeenVirtualService]) -> RouteState:
    """The state of a VirtualService that Tidegate writes."""
    return _told(replace(state_of(ours), problem=_older_rival(ours, everybody)), ours)


def read_lent(owner: Owner, ref: VirtualServiceRef, everybody: Collection[SeenVirtualService]) -> RouteState:
    """The state of the route that a ModelDeployment names; without a split where it can't have it."""
    found = lent_rules.find(owner, ref.name, ref.route, _rules(everybody), VIRTUAL_SERVICE_ROUTE)
    if isinstance(found, str):
        return lent_rules.refused(found)
    theirs = found.route
    if MESH in theirs.gateways:
        return lent_rules.refused(
            f"the VirtualService {owner.namespace}/{ref.name} is for sidecars too (the gateway {MESH}, which is meant "
            "where none is named), and these can't tell revisions apart, whose Services have no address of their own; "
            "name Istio's Gateways alone in its gateways"
        )
    route = theirs.routes[found.at]
    where = f"the HTTP route {route.name} of the VirtualService {theirs.name}"
    if not route.refs:
        return lent_rules.refused(
            f"{where} has no destinations: it redirects, delegates or answers by itself; name another one in "
            "spec.traffic.istio.virtualService"
        )
    state = replace(
        lent_rules.state_of(found),
        cautions=tuple(_cautions(where, route)),
        unmarked="" if route.marks else where,
    )
    return _told(state, theirs)


def returned(owner: Owner, kept: VirtualServiceRef | None, everybody: Collection[SeenVirtualService]) -> Returns:
    """What gives back all routes but the one that is `kept`."""
    return lent_rules.returns(lent_rules.lent_to(owner, _rules(everybody), VIRTUAL_SERVICE_ROUTE, kept))


def _rules(everybody: Collection[SeenVirtualService]) -> list[tuple[SeenVirtualService, Sequence[HttpRoute]]]:
    return [(each, each.routes) for each in everybody]


def _told(state: RouteState, seen: SeenVirtualService) -> RouteState:
    """With what Istio's analysis says, where somebody has switched that on."""
    if not seen.errors:
        return replace(state, applied_by=frozenset({ISTIOD}))
    message = (
        f"Istio's analysis has this against the VirtualService {seen.name}: {', '.join(seen.errors)}; its "
        "documentation says what to change for each code"
    )
    return replace(
        state,
        awaited=frozenset({ISTIOD}),
        problem=state.problem or StatusMessage(Reason.ROUTE_REFUSED, message),
        untold=message,
    )


def _cautions(where: str, route: HttpRoute) -> Iterator[StatusMessage]:
    retries = route.retries
    if retries is None or (retries.get("attempts", 0) > 0 and retries.get("retryOn") != RETRIES["retryOn"]):
        what = "says nothing of retries, so Istio tries" if retries is None else "tries"
        message = (
            f"{where} {what} again what a revision has answered with a failure, which hides a part of a candidate's "
            f"failures; set its retries to attempts: 0, or retryOn to {RETRIES['retryOn']}"
        )
        yield StatusMessage(Reason.RETRIES_HIDE_FAILURES, message)


def _older_rival(ours: SeenVirtualService, everybody: Collection[SeenVirtualService]) -> StatusMessage | None:
    """Whoever has the same host on the same Gateway and is older: Istio takes its routes first."""
    for theirs in older_ones(ours, everybody):
        gateway = next((each for each in ours.gateways if each in theirs.gateways), None)
        host = next((each for each in ours.hosts if each in theirs.hosts), None)
        if gateway and host:
            message = (
                f"{host} on Istio's Gateway {gateway} is the ModelDeployment {theirs.namespace}/{theirs.belongs_to}'s, "
                "which had it first and gets its requests; give each a host of its own"
            )
            return StatusMessage(Reason.HOSTNAME_TAKEN, message)
    return None
