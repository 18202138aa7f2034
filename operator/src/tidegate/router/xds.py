"""Routes and endpoints become Envoy's resources: clusters, endpoints, routes, and the weights of splits. Pure.

All routes are one resource, and those of a thousand models take Envoy's main thread some 150 ms. So they say only which
revisions a model has; the weights are values of Envoy's runtime, in layers of a few models each, and a shift is one
small message.

Promise: the same routes and endpoints give the same bytes, in whatever order they come; a request that names a revision
reaches that revision or nobody; a revision's preview requests are never counted among its live ones.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from tidegate.resources.model_route import Backend, Route
from tidegate.resources.names import PREVIEW_SUFFIX, router_cluster
from tidegate.router import xds_pb2 as pb
from tidegate.router.objects import Answering, Endpoint, Service
from tidegate.router.resource_names import ROUTES_NAME
from tidegate.router.subscription import Resource

NO_MODEL = "no model at this host or path"
NO_REVISION = "no such revision of this model"
AMBIGUOUS = "models of this name are in more than one namespace: ask for NAME.NAMESPACE"
SERVED_BY = "x-tidegate-served-by"
TRAFFIC = "x-tidegate-traffic"
"""Tells the model server how a request came: `live`, drawn by weight, or `preview`. What a client says is lost."""

_TYPE = "type.googleapis.com/envoy."
CLUSTERS = _TYPE + "config.cluster.v3.Cluster"
ENDPOINTS = _TYPE + "config.endpoint.v3.ClusterLoadAssignment"
ROUTES = _TYPE + "config.route.v3.RouteConfiguration"
SPLITS = _TYPE + "service.runtime.v3.Runtime"
_HEADER_INPUT = _TYPE + "type.matcher.v3.HttpRequestHeaderMatchInput"
_ROUTE_LIST = _TYPE + "config.route.v3.RouteList"
WEIGHTS = "w"
"""The runtime's keys are this, a dot and the cluster's name."""
UNIT = 1_000_000
"""One percent. Envoy wants some weight in each entry of a route too, and takes it where the runtime has none: one."""
HOSTS_KEPT = 16_384
"""Encoded pods that are kept for the next change of their revision."""
ENTRIES_KEPT = 4096
"""Encoded entries of routes that are kept for the next change: all of a thousand models and what they were before."""


class ClusterKey(NamedTuple):
    """One revision of one ModelDeployment. It has two clusters of the same endpoints: live and preview."""

    namespace: str
    route: str
    revision: str

    @property
    def live(self) -> str:
        return router_cluster(self.namespace, self.route, self.revision)

    @property
    def preview(self) -> str:
        return self.live + PREVIEW_SUFFIX

    @property
    def service(self) -> Service:
        return Service(self.namespace, self.revision)


def cluster_keys(routes: Iterable[Route]) -> frozenset[ClusterKey]:
    """Every revision that can be reached, the ones with weight 0 too."""
    return frozenset(
        ClusterKey(route.namespace, route.name, backend.revision) for route in routes for backend in route.backends
    )


def read_cluster_name(name: str) -> ClusterKey | None:
    """The reverse of `ClusterKey.live`; None for any other cluster."""
    parts = name.split("/")
    return ClusterKey(*parts) if len(parts) == 3 else None


def cluster_resources(key: ClusterKey) -> tuple[Resource, Resource]:
    """The live and the preview cluster of a revision. They never change, so Envoy keeps what it counts of them.

    Both take their endpoints from one resource.
    """
    return _cluster(key.live, key.service), _cluster(key.preview, key.service)


def _cluster(name: str, service: Service) -> Resource:
    cluster = pb.Cluster()
    cluster.CopyFrom(_CLUSTER)
    cluster.name = name
    cluster.eds_cluster_config.service_name = assignment_name(service)
    return _resource(name, cluster.SerializeToString(deterministic=True))


def _template() -> pb.Cluster:
    # No outlier detection: with one or two pods per revision an ejection hides a model's errors from the judge or
    # turns them into "no healthy upstream". An unreachable pod is left out by the retry, and LEAST_REQUEST sends
    # little to a pod whose requests hang.
    http = pb.HttpProtocolOptions(
        # Model servers keep an idle connection for 75 s. Envoy gives it up first, so that no request is ever
        # written to a connection that the other side is just closing.
        common_http_protocol_options=pb.CommonHttpProtocolOptions(idle_timeout=pb.Duration(seconds=30)),
        explicit_http_config=pb.ExplicitHttpConfig(http_protocol_options=pb.Empty()),
    )
    limits = pb.Thresholds(
        max_connections=pb.UInt32(value=4096),
        max_pending_requests=pb.UInt32(value=4096),
        max_requests=pb.UInt32(value=4096),
        max_retries=pb.UInt32(value=1024),
    )
    source = pb.ConfigSource(
        ads=pb.Empty(),
        initial_fetch_timeout=pb.Duration(),  # none: the agent has an answer for every cluster that it names
        resource_api_version=pb.V3,
    )
    keepalive = pb.TcpKeepalive(keepalive_time=pb.UInt32(value=30), keepalive_interval=pb.UInt32(value=5))
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    return pb.Cluster(
        type=pb.EDS,
        eds_cluster_config=pb.EdsClusterConfig(eds_config=source),
        connect_timeout=pb.Duration(seconds=1),
        lb_policy=pb.LEAST_REQUEST,
        circuit_breakers=pb.CircuitBreakers(thresholds=[limits]),
        upstream_connection_options=pb.UpstreamConnectionOptions(tcp_keepalive=keepalive),
        typed_extension_protocol_options={
            f"envoy.{name}": pb.Any(type_url=_TYPE + name, value=http.SerializeToString())
        },
    )


_CLUSTER = _template()


def assignment_name(service: Service) -> str:
    """Under which a Service's endpoints go."""
    return f"{service.namespace}/{service.name}"


def endpoints_resource(service: Service, endpoints: Iterable[Endpoint]) -> Resource:
    """The endpoints of one Service."""
    # Messages that follow each other are one with the repeated fields of all: each pod is encoded once only.
    locality = pb.LocalityLbEndpoints.FromString(b"".join(map(_host, sorted(set(endpoints)))))
    assignment = pb.ClusterLoadAssignment(
        cluster_name=assignment_name(service), endpoints=[locality] if locality.lb_endpoints else []
    )
    return _resource(assignment.cluster_name, assignment.SerializeToString())


@lru_cache(maxsize=HOSTS_KEPT)
def _host(endpoint: Endpoint) -> bytes:
    """One pod's part: a locality with that pod alone."""
    address = pb.Address(socket_address=pb.SocketAddress(address=endpoint.address, port_value=endpoint.port))
    host = pb.LbEndpoint(endpoint=pb.Endpoint(address=address))
    return pb.LocalityLbEndpoints(lb_endpoints=[host]).SerializeToString()


def answerable(route: Route, services: Mapping[Service, Answering]) -> Route:
    """The route as far as somebody can answer: a revision without a ready pod gives its share to the others.

    Its requests would be lost otherwise: now, or as soon as the last of its pods that are ending has ended, which
    nobody hears of in time. Where no revision has a ready pod, those that are ending go on. The operator sees the
    same: it holds the rollout, or ends it if the pods crashed. By the preview header the revision can still be asked,
    and the answer says that nobody is there.
    """
    own = (Service(route.namespace, backend.revision) for backend in route.backends)
    found = {service: services[service] for service in own if service in services}
    answering = {service for service, each in found.items() if each.endpoints}
    staying = {service for service in answering if not found[service].leaving}
    return _among(route, staying) or _among(route, answering) or route


def _among(route: Route, services: Set[Service]) -> Route | None:
    """The route with the shares of these revisions alone; None where they have none."""
    backends = tuple(
        backend if Service(route.namespace, backend.revision) in services else backend._replace(weight=0)
        for backend in route.backends
    )
    return replace(route, backends=backends) if any(backend.weight for backend in backends) else None


def splits_resource(layer: str, weights: Mapping[str, int]) -> Resource:
    """One layer: percent by live cluster."""
    runtime = pb.Runtime(name=layer)
    runtime.layer.SetInParent()
    for cluster, percent in weights.items():
        runtime.layer.fields[f"{WEIGHTS}.{cluster}"].number_value = percent * UNIT
    return _resource(layer, runtime.SerializeToString(deterministic=True))


def shape_of(route: Route) -> Route:
    """What its routes say: all but the weights."""
    return replace(
        route, backends=tuple(Backend(revision, 0) for revision in sorted(each.revision for each in route.backends))
    )


def routes_resource(shapes: Iterable[Route]) -> Resource:
    """All routes: one virtual host for every model, and one for all other hosts that goes by path."""
    ordered = sorted(shapes, key=lambda route: (route.namespace, route.name))
    namespaces = Counter(route.name for route in ordered)
    ambiguous = sorted(name for name, number in namespaces.items() if number > 1)
    entries = [_entries_of(route, namespaces[route.name] == 1) for route in ordered]
    hosts = [*([_ambiguous(ambiguous)] if ambiguous else []), _paths([each.by_path for each in entries])]
    parts = [
        _COMMON,
        *(each.by_host for each in entries),
        pb.RouteConfiguration(virtual_hosts=hosts).SerializeToString(deterministic=True),
    ]
    return _resource(ROUTES_NAME, b"".join(parts))


@dataclass(frozen=True, slots=True)
class _Entries:
    """One model's part: a RouteConfiguration with its virtual host, and a Matcher with its paths."""

    by_host: bytes
    by_path: bytes


@lru_cache(maxsize=ENTRIES_KEPT)
def _entries_of(route: Route, with_name: bool) -> _Entries:
    host = pb.VirtualHost(
        name=f"{route.namespace}/{route.name}",
        domains=[*hosts(route), *([route.name] if with_name else [])],
        routes=_entries(route, pb.RouteMatch(prefix="/"), rewrite=False),
        retry_policy=_RETRY,
    )
    return _Entries(
        pb.RouteConfiguration(virtual_hosts=[host]).SerializeToString(),
        _matcher({_path(route): [*_entries_by_path(route), *_NO_MODEL]}).SerializeToString(),
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


def hosts(route: Route) -> list[str]:
    """The Host names of a model, without ports. In its own namespace a client may say the name alone.

    The router doesn't know where a client is, so that is answered only while one namespace has a model of that name.
    """
    short = f"{route.name}.{route.namespace}"
    return [short, f"{short}.svc", f"{short}.svc.cluster.local"]


def _ambiguous(names: list[str]) -> pb.VirtualHost:
    return pb.VirtualHost(name="ambiguous", domains=names, routes=[_not_found(pb.RouteMatch(prefix="/"), AMBIGUOUS)])


def _path(route: Route) -> str:
    return f"/{route.namespace}/{route.name}"


def _entries_by_path(route: Route) -> list[pb.Route]:
    """Of the requests whose path begins with the model's; a longer name may, too, and no model need have it."""
    path = _path(route)
    whole = pb.RouteMatch(path=path)
    if route.preview_header:
        # Nobody previews a model's front page; what names a revision must not reach another one, though.
        whole.headers.add(name=route.preview_header, present_match=True, invert_match=True)
    below = pb.RouteMatch(prefix=f"{path}/")
    return [*_entries(route, below, rewrite=True), _live(route, whole, rewrite=True)]


def _entries(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> list[pb.Route]:
    """Envoy takes the first entry that matches: a named revision, then an unknown one, then the split."""
    if not route.preview_header:
        return [_live(route, match, rewrite=rewrite)]
    header = route.preview_header
    previews = [_preview(route, backend, match, rewrite=rewrite) for backend in route.backends]
    unknown = _not_found(_with(match, pb.HeaderMatcher(name=header, present_match=True)), NO_REVISION)
    return [*previews, unknown, _live(route, match, rewrite=rewrite)]


def _preview(route: Route, backend: Backend, match: pb.RouteMatch, *, rewrite: bool) -> pb.Route:
    named = pb.HeaderMatcher(name=route.preview_header, string_match=pb.StringMatcher(exact=backend.revision))
    action = _action(route, rewrite)
    action.cluster = _key(route, backend).preview
    return pb.Route(
        match=_with(match, named),
        route=action,
        response_headers_to_add=[_served_by(backend)],
        request_headers_to_add=[_marked("preview")],
    )


def _with(match: pb.RouteMatch, header: pb.HeaderMatcher) -> pb.RouteMatch:
    return pb.RouteMatch(prefix=match.prefix, headers=[header])


def _live(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> pb.Route:
    action = _action(route, rewrite)
    action.weighted_clusters.runtime_key_prefix = WEIGHTS
    for backend in route.backends:
        action.weighted_clusters.clusters.add(
            name=_key(route, backend).live, weight=pb.UInt32(value=1), response_headers_to_add=[_served_by(backend)]
        )
    return pb.Route(match=match, route=action)


def _action(route: Route, rewrite: bool) -> pb.RouteAction:
    return pb.RouteAction(
        timeout=pb.Duration(seconds=route.timeout_seconds),
        # The listener's limit for silent streams is 5 minutes; a model may be given longer to answer.
        idle_timeout=pb.Duration(seconds=route.timeout_seconds + 10),
        prefix_rewrite="/" if rewrite else "",
    )


def _served_by(backend: Backend) -> pb.HeaderValueOption:
    """The model server says this itself; the router only fills in where it doesn't."""
    header = pb.HeaderValue(key=SERVED_BY, value=backend.revision)
    return pb.HeaderValueOption(header=header, append_action=pb.ADD_IF_ABSENT)


def _marked(traffic: str) -> pb.HeaderValueOption:
    header = pb.HeaderValue(key=TRAFFIC, value=traffic)
    return pb.HeaderValueOption(header=header, append_action=pb.OVERWRITE_IF_EXISTS_OR_ADD)


def _not_found(match: pb.RouteMatch, reason: str) -> pb.Route:
    # The listener turns every answer of Envoy's own into {"error": text}.
    body = pb.DataSource(inline_string=reason)
    return pb.Route(match=match, direct_response=pb.DirectResponse(status=404, body=body))


def _key(route: Route, backend: Backend) -> ClusterKey:
    return ClusterKey(route.namespace, route.name, backend.revision)


_NO_MODEL = [_not_found(pb.RouteMatch(prefix="/"), NO_MODEL)]

# A try on another pod of the same revision is safe only while the request can't have reached a model: plain `reset`
# is left out, because a request that kills its model server would then kill one pod after another. Other revisions
# are never tried: that would hide a candidate's errors from the judge.
_RETRY = pb.RetryPolicy(
    retry_on="connect-failure,refused-stream,reset-before-request",
    num_retries=pb.UInt32(value=2),
    retry_host_predicate=[
        pb.RetryHostPredicate(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=pb.Any(type_url=_TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        )
    ],
    # Each attempt is one random pick that may fall on a pod already tried: with two pods, half of them do. Five would
    # leave one retry in sixty on the dead pod, thirty none.
    host_selection_retry_max_attempts=30,
)

_COMMON = pb.RouteConfiguration(
    name=ROUTES_NAME,
    # The port is left out of the comparison only; the model server still sees the Host that the client sent.
    ignore_port_in_host_matching=True,
    request_headers_to_add=[_marked("live")],
    # An entry's own mark, preview, comes after this one and overwrites it.
    most_specific_header_mutations_wins=True,
).SerializeToString()


def _resource(name: str, body: bytes) -> Resource:
    return Resource(name, hashlib.blake2b(body, digest_size=8).hexdigest(), body)
