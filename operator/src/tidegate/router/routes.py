"""All models' routes as one resource of Envoy's: a virtual host for each, and one that goes by path. Pure.

Those of a thousand models take Envoy's main thread some 150 ms. So they say only which revisions a model has; the
weights are values of Envoy's runtime, in layers of a few models each, and a shift is one small message.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from tidegate.resources.model_route import Backend, Route
from tidegate.router import xds_pb2 as pb
from tidegate.router.guards import retry_policy
from tidegate.router.resource_names import ROUTES_NAME
from tidegate.router.route_entries import entries_by_host, entries_by_path, guards_of, marked, not_found, path_of
from tidegate.router.subscription import Resource
from tidegate.router.xds import TYPE, resource

CLUSTER_DOMAIN = "cluster.local"
"""That of most clusters."""
NO_MODEL = "no model at this host or path"
AMBIGUOUS = "models of this name are in more than one namespace: ask for NAME.NAMESPACE"
ENTRIES_KEPT = 4096
"""Encoded entries of routes that are kept for the next change: all of a thousand models and what they were before."""
_HEADER_INPUT = TYPE + "type.matcher.v3.HttpRequestHeaderMatchInput"
_ROUTE_LIST = TYPE + "config.route.v3.RouteList"


def shape_of(route: Route) -> Route:
    """What its routes say: all but the weights."""
    revisions = sorted(each.revision for each in route.backends)
    return replace(route, backends=tuple(Backend(revision, 0) for revision in revisions), matched_weight=0)


def routes_resource(shapes: Iterable[Route], domain: str = CLUSTER_DOMAIN) -> Resource:
    """All routes: one virtual host for every model, and one for all other hosts that goes by path.

    `domain`: that of the cluster, with which the full names of Services end.
    """
    ordered = sorted(shapes, key=lambda route: (route.namespace, route.name))
    namespaces = Counter(route.name for route in ordered)
    ambiguous = sorted(name for name, number in namespaces.items() if number > 1)
    models = [_entries_of(route, namespaces[route.name] == 1, domain) for route in ordered]
    hosts = [*([_ambiguous(ambiguous)] if ambiguous else []), _paths([each.by_path for each in models])]
    parts = [
        _COMMON,
        *(each.by_host for each in models),
        pb.RouteConfiguration(virtual_hosts=hosts).SerializeToString(deterministic=True),
    ]
    return resource(ROUTES_NAME, b"".join(parts))


@dataclass(frozen=True, slots=True)
class _Entries:
    """One model's part: a RouteConfiguration with its virtual host, and a Matcher with its paths."""

    by_host: bytes
    by_path: bytes


@lru_cache(maxsize=ENTRIES_KEPT)
def _entries_of(route: Route, with_name: bool, domain: str) -> _Entries:
    host = pb.VirtualHost(
        name=f"{route.namespace}/{route.name}",
        domains=[*hosts(route, domain), *([route.name] if with_name else [])],
        routes=entries_by_host(route),
        retry_policy=_RETRY,
        typed_per_filter_config=guards_of(route),
    )
    return _Entries(
        pb.RouteConfiguration(virtual_hosts=[host]).SerializeToString(),
        _matcher({path_of(route): [*entries_by_path(route), *_NO_MODEL]}).SerializeToString(),
    )


def _paths(by_path: list[bytes]) -> pb.VirtualHost:
    """For all hosts that no model has. Envoy finds the longest path that a request's begins with in one step.

    One by one, the last of a thousand models would cost each of its requests some 500 µs of Envoy's CPU.
    """
    host = pb.VirtualHost(name="paths", domains=["*"], retry_policy=_RETRY)
    if not by_path:
        host.routes.extend(_NO_MODEL)
        return host
    # Messages that follow each other are one with the fields of all: each model is encoded once only.
    host.matcher.MergeFromString(b"".join(by_path))
    path = pb.AnyHeaderInput(type_url=_HEADER_INPUT, value=pb.HeaderInput(header_name=":path"))
    host.matcher.matcher_tree.input.CopyFrom(pb.MatchInput(name="path", typed_config=path))
    host.matcher.on_no_match.CopyFrom(_on_match(_NO_MODEL))
    return host


def _matcher(by_prefix: Mapping[str, Iterable[pb.Route]]) -> pb.Matcher:
    tree = pb.MatchMap(map={prefix: _on_match(routes) for prefix, routes in by_prefix.items()})
    return pb.Matcher(matcher_tree=pb.MatcherTree(prefix_match_map=tree))


def _on_match(routes: Iterable[pb.Route]) -> pb.OnMatch:
    """Envoy takes the first that matches."""
    listed = pb.AnyRouteList(type_url=_ROUTE_LIST, value=pb.RouteList(routes=routes))
    return pb.OnMatch(action=pb.MatchAction(name="routes", typed_config=listed))


def hosts(route: Route, domain: str = CLUSTER_DOMAIN) -> list[str]:
    """The Host names of a model, without ports. In its own namespace a client may say the name alone.

    The router doesn't know where a client is, so that is answered only while one namespace has a model of that name.
    """
    short = f"{route.name}.{route.namespace}"
    return [short, f"{short}.svc", f"{short}.svc.{domain}"]


def _ambiguous(names: list[str]) -> pb.VirtualHost:
    return pb.VirtualHost(name="ambiguous", domains=names, routes=[not_found(pb.RouteMatch(prefix="/"), AMBIGUOUS)])


_NO_MODEL = [not_found(pb.RouteMatch(prefix="/"), NO_MODEL)]

_RETRY = retry_policy()

_COMMON = pb.RouteConfiguration(
    name=ROUTES_NAME,
    # The port is left out of the comparison only; the model server still sees the Host that the client sent.
    ignore_port_in_host_matching=True,
    request_headers_to_add=[marked("live")],
    # An entry's own mark, preview, comes after this one and overwrites it.
    most_specific_header_mutations_wins=True,
).SerializeToString()
