"""Routes and endpoints become Envoy's resources: clusters (CDS), their endpoints (EDS) and routes (RDS). Pure.

Promise: the same routes and endpoints give the same bytes, in whatever order they come; a request that names a revision
reaches that revision or nobody; a revision's preview requests are never counted among its live ones.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from tidegate.resources.model_route import Backend, Route
from tidegate.router.objects import Endpoint, Service

Json = dict[str, Any]

ROUTES_NAME = "tidegate"
NO_MODEL = "no model at this host or path"
NO_REVISION = "no such revision of this model"
AMBIGUOUS = "models of this name are in more than one namespace: ask for NAME.NAMESPACE"
SERVED_BY = "x-tidegate-served-by"
TRAFFIC = "x-tidegate-traffic"
"""Tells the model server how a request came: `live`, drawn by weight, or `preview`. What a client says is lost."""

CLUSTERS_FILE = "clusters.json"
ROUTES_FILE = "routes.json"
ENDPOINTS_PREFIX = "endpoints."

_TYPE = "type.googleapis.com/envoy."

# A try on another pod of the same revision is safe only while the request can't have reached a model: plain `reset`
# is left out, because a request that kills its model server would then kill one pod after another. Other revisions
# are never tried: that would hide a candidate's errors from the judge.
_RETRY: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": _TYPE + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }
    ],
    # Each attempt is one random pick that may fall on a pod already tried: with two pods, half of them do. Five would
    # leave one retry in sixty on the dead pod, thirty none.
    "host_selection_retry_max_attempts": 30,
}

_PROTOCOL: Json = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
        # Model servers keep an idle connection for 75 s. Envoy gives it up first, so that no request is ever
        # written to a connection that the other side is just closing.
        "common_http_protocol_options": {"idle_timeout": "30s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
}

_LIMITS: Json = {
    "thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096, "max_retries": 1024}]
}


@dataclass(frozen=True, order=True)
class ClusterKey:
    """One revision of one ModelDeployment. It has two clusters of the same endpoints: live and preview."""

    namespace: str
    route: str
    revision: str

    @property
    def live(self) -> str:
        return f"{self.namespace}/{self.route}/{self.revision}"

    @property
    def preview(self) -> str:
        return f"{self.live}/preview"

    @property
    def service(self) -> Service:
        return Service(self.namespace, self.revision)


def cluster_keys(routes: Iterable[Route]) -> frozenset[ClusterKey]:
    """Every revision that can be reached, the ones with weight 0 too."""
    return frozenset(
        ClusterKey(route.namespace, route.name, backend.revision) for route in routes for backend in route.backends
    )


def endpoints_file(service: Service) -> str:
    """The file of a Service's endpoints. Neither name has a dot, so no two Services share a file."""
    return f"{ENDPOINTS_PREFIX}{service.namespace}.{service.name}.json"


def clusters_response(
    keys: Iterable[ClusterKey],
    watched: Collection[ClusterKey],
    endpoints: Mapping[Service, Collection[Endpoint]],
    directory: str,
) -> Json:
    """The CDS file: a live and a preview cluster for every key.

    The live clusters of `watched` take their endpoints from a file of their own in `directory`; all others carry them
    here. Envoy rebuilds a cluster that changes here and forgets its counts by response code, while a cluster with a
    file of its own keeps them. But every such file costs Envoy one inotify instance, and Envoy aborts when the kernel
    has no more (128 per user by default): so they are for as many live clusters as is safe, and never for previews.
    """
    ordered = sorted(set(keys))
    return _response(
        cluster
        for key in ordered
        for cluster in (
            _watched(key, directory) if key in watched else _inline(key.live, endpoints.get(key.service, ())),
            _inline(key.preview, endpoints.get(key.service, ())),
        )
    )


def _watched(key: ClusterKey, directory: str) -> Json:
    # The directory is not watched as a whole: the rename of one file is then read by its own cluster only.
    source: Json = {
        "resource_api_version": "V3",
        "path_config_source": {"path": f"{directory}/{endpoints_file(key.service)}"},
    }
    endpoints: Json = {"service_name": _assignment_name(key.service), "eds_config": source}
    return {**_cluster(key.live), "type": "EDS", "eds_cluster_config": endpoints}


def _inline(name: str, endpoints: Iterable[Endpoint]) -> Json:
    assignment = {"cluster_name": name, "endpoints": _localities(endpoints)}
    return {**_cluster(name), "type": "STATIC", "load_assignment": assignment}


def _cluster(name: str) -> Json:
    # No outlier detection: with one or two pods per revision an ejection hides a model's errors from the judge or
    # turns them into "no healthy upstream". An unreachable pod is left out by the retry, and LEAST_REQUEST sends
    # little to a pod whose requests hang.
    return {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": name,
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": _LIMITS,
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 5}},
        "typed_extension_protocol_options": _PROTOCOL,
    }


def endpoints_response(service: Service, endpoints: Iterable[Endpoint]) -> Json:
    """The EDS file of one Service."""
    assignment: Json = {
        "@type": _TYPE + "config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": _assignment_name(service),
        "endpoints": _localities(endpoints),
    }
    return _response([assignment])


def _localities(endpoints: Iterable[Endpoint]) -> list[Json]:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": host.address, "port_value": host.port}}}}
        for host in sorted(set(endpoints))
    ]
    return [{"lb_endpoints": hosts}] if hosts else []


def _assignment_name(service: Service) -> str:
    return f"{service.namespace}/{service.name}"


def answerable(
    routes: Iterable[Route], endpoints: Mapping[Service, Collection[Endpoint]], leaving: Set[Service] = frozenset()
) -> list[Route]:
    """The routes as far as somebody can answer: a revision without a ready pod gives its share to the others.

    Its requests would be lost otherwise: now, or as soon as the last of its pods that are ending (`leaving`) has ended,
    which nobody hears of in time. Where no revision has a ready pod, those that are ending go on. The operator sees the
    same: it holds the rollout, or ends it if the pods crashed. By the preview header the revision can still be asked,
    and the answer says that nobody is there.
    """
    answering = {service for service, found in endpoints.items() if found}
    return [_among(route, answering - leaving) or _among(route, answering) or route for route in routes]


def _among(route: Route, services: Set[Service]) -> Route | None:
    """The route with the shares of these revisions alone; None where they have none."""
    backends = tuple(
        backend if Service(route.namespace, backend.revision) in services else backend._replace(weight=0)
        for backend in route.backends
    )
    return replace(route, backends=backends) if any(backend.weight for backend in backends) else None


def routes_response(routes: Iterable[Route]) -> Json:
    """The RDS file: one virtual host for every model, and one for all other hosts that goes by path."""
    ordered = sorted(routes, key=lambda route: (route.namespace, route.name))
    by_path = [entry for route in ordered for entry in _entries_by_path(route)]
    namespaces = Counter(route.name for route in ordered)
    ambiguous = sorted(name for name, number in namespaces.items() if number > 1)
    configuration: Json = {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        # The port is left out of the comparison only; the model server still sees the Host that the client sent.
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            *(_virtual_host(route, with_name=namespaces[route.name] == 1) for route in ordered),
            *([_ambiguous(ambiguous)] if ambiguous else []),
            {"name": "paths", "domains": ["*"], "routes": [*by_path, _not_found({"prefix": "/"}, NO_MODEL)]},
        ],
    }
    return _response([configuration])


def hosts(route: Route) -> list[str]:
    """The Host names of a model, without ports. In its own namespace a client may say the name alone.

    The router doesn't know where a client is, so that is answered only while one namespace has a model of that name.
    """
    short = f"{route.name}.{route.namespace}"
    return [short, f"{short}.svc", f"{short}.svc.cluster.local"]


def _ambiguous(names: list[str]) -> Json:
    return {"name": "ambiguous", "domains": names, "routes": [_not_found({"prefix": "/"}, AMBIGUOUS)]}


def _virtual_host(route: Route, *, with_name: bool) -> Json:
    return {
        "name": f"{route.namespace}/{route.name}",
        "domains": [*hosts(route), *([route.name] if with_name else [])],
        "routes": _entries(route, {"prefix": "/"}, rewrite=False),
    }


def _entries_by_path(route: Route) -> list[Json]:
    whole: Json = {"path": f"/{route.namespace}/{route.name}"}
    if route.preview_header:
        # Nobody previews a model's front page; what names a revision must not reach another one, though.
        whole["headers"] = [{"name": route.preview_header, "present_match": True, "invert_match": True}]
    return [*_entries(route, {"prefix": f"{whole['path']}/"}, rewrite=True), _live(route, whole, rewrite=True)]


def _entries(route: Route, match: Json, *, rewrite: bool) -> list[Json]:
    """Envoy takes the first entry that matches: a named revision, then an unknown one, then the split."""
    if not route.preview_header:
        return [_live(route, match, rewrite=rewrite)]
    header = route.preview_header
    previews = [
        {
            "match": {**match, "headers": [{"name": header, "string_match": {"exact": backend.revision}}]},
            "route": {"cluster": _key(route, backend).preview, **_action(route, rewrite)},
            **_served_by(backend),
            **_marked("preview"),
        }
        for backend in sorted(route.backends, key=lambda backend: backend.revision)
    ]
    unknown = _not_found({**match, "headers": [{"name": header, "present_match": True}]}, NO_REVISION)
    return [*previews, unknown, _live(route, match, rewrite=rewrite)]


def _live(route: Route, match: Json, *, rewrite: bool) -> Json:
    return {"match": match, "route": {**_split(route), **_action(route, rewrite)}, **_marked("live")}


def _marked(traffic: str) -> Json:
    mark = {"header": {"key": TRAFFIC, "value": traffic}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {"request_headers_to_add": [mark]}


def longest_timeout(response: Mapping[str, Any]) -> float:
    """Seconds that a request may take at most by an RDS file; 0 where it routes nothing."""
    entries = (
        entry
        for configuration in response.get("resources", ())
        for host in configuration["virtual_hosts"]
        for entry in host["routes"]
    )
    return max((float(entry["route"]["timeout"].rstrip("s")) for entry in entries if "route" in entry), default=0.0)


def _split(route: Route) -> Json:
    shares = [
        {"name": _key(route, backend).live, "weight": backend.weight, **_served_by(backend)}
        for backend in sorted(route.backends, key=lambda backend: backend.revision)
        if backend.weight > 0
    ]
    return {"weighted_clusters": {"clusters": shares}}


def _action(route: Route, rewrite: bool) -> Json:
    action: Json = {
        "timeout": f"{route.timeout_seconds}s",
        # The listener's limit for silent streams is 5 minutes; a model may be given longer to answer.
        "idle_timeout": f"{route.timeout_seconds + 10}s",
        "retry_policy": _RETRY,
    }
    return {**action, "prefix_rewrite": "/"} if rewrite else action


def _served_by(backend: Backend) -> Json:
    """The model server says this itself; the router only fills in where it doesn't."""
    added = {"header": {"key": SERVED_BY, "value": backend.revision}, "append_action": "ADD_IF_ABSENT"}
    return {"response_headers_to_add": [added]}


def _not_found(match: Json, reason: str) -> Json:
    # The listener turns every answer of Envoy's own into {"error": text}.
    return {"match": match, "direct_response": {"status": 404, "body": {"inline_string": reason}}}


def _key(route: Route, backend: Backend) -> ClusterKey:
    return ClusterKey(route.namespace, route.name, backend.revision)


def _response(resources: Iterable[Json]) -> Json:
    listed = list(resources)
    digest = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    return {"version_info": digest[:16], "resources": listed}


def version_of(response: Mapping[str, Any]) -> str:
    """The content hash by which Envoy reports that it took a file."""
    return str(response["version_info"])


@dataclass(frozen=True)
class KnownClusters:
    """What a CDS file holds: its keys, and those of them whose live cluster has an endpoints file of its own."""

    keys: frozenset[ClusterKey] = frozenset()
    watched: frozenset[ClusterKey] = frozenset()


def read_clusters(response: Mapping[str, Any]) -> KnownClusters:
    """The reverse of `clusters_response`."""
    live = {
        ClusterKey(*parts): resource["type"]
        for resource in response["resources"]
        if len(parts := resource["name"].split("/")) == 3
    }
    return KnownClusters(frozenset(live), frozenset(key for key, kind in live.items() if kind == "EDS"))
