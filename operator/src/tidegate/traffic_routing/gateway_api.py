"""The cluster's own Gateways: a route says how to split, and whoever implements the Gateway API carries it out.

The route is ours whole (with a GRPCRoute beside it where calls by gRPC are split too), or one rule of the user's is
lent to us: that one is written by JSON patches alone, and has what it had before when it is given back.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from tidegate.errors import RouterUnavailable
from tidegate.kube.api import GRPC_ROUTES, HTTP_ROUTES, Manifest
from tidegate.kube.informer import Kind
from tidegate.model.gateway import GatewayApi
from tidegate.model.traffic import Capabilities, RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.http_route import (
    SeenRoute,
    grpc_route_manifest,
    grpc_route_name,
    read_grpc_route,
    read_route,
    route_manifest,
)
from tidegate.resources.model_route import bounded
from tidegate.resources.ownership import Owner
from tidegate.resources.router_report import RouterReport
from tidegate.traffic_routing.backend import NOTHING_LENT, Followed, Returns, RoutePatch, RouteWrite
from tidegate.traffic_routing.gateway_answers import answered, older_rival
from tidegate.traffic_routing.gateway_grpc import Beside, with_grpc
from tidegate.traffic_routing.gateway_rule import read_lent, returned
from tidegate.traffic_routing.lent_rules import Lent, taken
from tidegate.traffic_routing.our_route import state_of

HTTP_ROUTE = Kind(HTTP_ROUTES, read_route, selector=None, optional=True)
GRPC_ROUTE = Kind(GRPC_ROUTES, read_grpc_route, selector=None, optional=True)


class GatewayApiRouter:
    """The RouterBackend of the Gateway API."""

    name = "GatewayAPI"
    kinds = (HTTP_ROUTE, GRPC_ROUTE)
    can = Capabilities(grpc=True)
    tells_counters = False

    def counted_by(self, route: RouteState) -> str:
        """The model servers, where the Gateway's own counters can't tell revisions apart."""
        return "Servers" if route.uncounted else self.name

    def settings(self, owner: Owner, wanted: RouteSettings) -> RouteSettings | None:
        """None for a rule of the user's, whose settings aren't ours."""
        gateway = (wanted.gateway or GatewayApi(())).within(owner.namespace)
        return None if gateway.route_ref else RouteSettings("", bounded(wanted).timeout, gateway, wanted.grpc)

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        for kind in (HTTP_ROUTE, *([GRPC_ROUTE] if wanted.grpc else [])):
            if why := followed.unfollowed(kind):
                raise RouterUnavailable(
                    f"spec.traffic.router is GatewayAPI, and {kind.resource.kind}s can't be followed here ({why}): "
                    "install the Gateway API's CRDs and set the chart's gatewayAPI.enabled, or set "
                    "spec.traffic.router to Builtin"
                )
        gateway = (wanted.gateway or GatewayApi(())).within(owner.namespace)
        if gateway.route_ref:
            return read_lent(owner, gateway.route_ref, followed.everybody(HTTP_ROUTE))
        route = _named(owner.name, followed.own(HTTP_ROUTE))
        grpc = _named(grpc_route_name(owner.name), followed.own(GRPC_ROUTE))
        if route is None:
            return RouteState(lists_first=True, seen_as=Beside(grpc.version if grpc else ""))
        state = answered(state_of(route), route, gateway.parents)
        state = replace(state, problem=state.problem or older_rival(route, followed.everybody(HTTP_ROUTE)))
        return with_grpc(state, grpc, gateway.parents, followed.everybody(GRPC_ROUTE)) if wanted.grpc else state

    def writes(
        self,
        owner: Owner,
        split: TrafficSplit,
        wanted: RouteSettings,
        seen: RouteState,
        leaving: Collection[str],
        writer: Writer,
    ) -> Sequence[RouteWrite | RoutePatch]:
        if isinstance(seen.seen_as, Lent):
            return taken(owner, seen.seen_as, split, leaving, writer)
        settings = self.settings(owner, wanted)
        if settings is None:
            return ()  # there is no such rule, or it is lent to somebody else: the route's state says so
        manifest = route_manifest(*owner, split, settings, leaving)
        http = RouteWrite(HTTP_ROUTES, manifest, seen.version)
        if not settings.grpc:
            return (http,)
        version = seen.seen_as.version if isinstance(seen.seen_as, Beside) else ""
        return (http, RouteWrite(GRPC_ROUTES, grpc_route_manifest(*owner, split, settings, leaving), version))

    def returns(self, owner: Owner, wanted: RouteSettings | None, followed: Followed) -> Returns:
        if followed.unfollowed(HTTP_ROUTE):
            return NOTHING_LENT
        kept = wanted.gateway.route_ref if wanted and wanted.gateway else None
        return returned(owner, kept, followed.everybody(HTTP_ROUTE))

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        """None: clients ask a Gateway by the hostname."""
        return ()


def _named(name: str, routes: Iterable[SeenRoute]) -> SeenRoute | None:
    return next((each for each in routes if each.name == name), None)
