"""The GRPCRoute beside an HTTPRoute of ours: one split in two objects, which are one route to whoever decides. Pure.

The HTTPRoute is the record of the split. Where the GRPCRoute says something else, or isn't there, the route's settings
aren't as they are wanted, and both are written again.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tidegate.model.gateway import ParentRef
from tidegate.model.traffic import RouteSettings, RouteState
from tidegate.resources.http_route import SeenRoute
from tidegate.traffic_routing.gateway_answers import answered, older_rival


class Beside(NamedTuple):
    """What was seen of a GRPCRoute, for its next write."""

    version: str
    """Its resourceVersion; empty where there is none."""


def with_grpc(
    http: RouteState, route: SeenRoute | None, parents: Sequence[ParentRef], everybody: Sequence[SeenRoute]
) -> RouteState:
    """The state of both. An edit of one of them is the split that is seen: so it is set right, and told, as any is."""
    if route is None:
        return replace(http, settings=None, seen_as=Beside(""))
    grpc = answered(RouteState(), route, parents)
    is_edited = bool(route.edited_by) and not http.edited_by
    agrees = http.split == route.split and http.leaving == route.leaving
    return replace(
        http,
        split=route.split if is_edited else http.split,
        settings=_settings(http, route) if agrees else None,
        applied_by=http.applied_by & grpc.applied_by,
        awaited=http.awaited | grpc.awaited,
        refused_by={**grpc.refused_by, **http.refused_by},
        edited_by=http.edited_by or route.edited_by,
        problem=http.problem or grpc.problem or older_rival(route, everybody),
        untold="; ".join(filter(None, (http.untold, grpc.untold))),
        unmarked=http.unmarked or ("" if route.marks else f"the {route.kind} {route.name}"),
        seen_as=Beside(route.version),
    )


def _settings(http: RouteState, route: SeenRoute) -> RouteSettings | None:
    gateway = http.settings.gateway if http.settings else None
    if http.settings is None or gateway is None or gateway.parents != route.gateway.parents:
        return None
    return replace(http.settings, grpc=True, gateway=replace(gateway, grpc_hostnames=route.gateway.hostnames))
