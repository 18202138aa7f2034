"""One model's entries in Envoy's routes: who is asked by name, and the split of the rest. Pure.

Promise: a request that names a revision reaches that revision or nobody.
"""

from collections.abc import Iterator

from tidegate.model.matching import Condition
from tidegate.model.traffic import Matched, Mirror, Sticky
from tidegate.resources.model_route import Backend, Route
from tidegate.resources.names import MATCH_SUFFIX, MIRROR_SUFFIX, TRAFFIC_HEADER
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_key import ClusterKey
from tidegate.router.guards import rate_limit, retry_policy
from tidegate.router.resource_names import GRPC_STATS, RATE_LIMIT, SLICES, WEIGHTS
from tidegate.router.slices import cells
from tidegate.router.xds import TYPE

NO_REVISION = "no such revision of this model"
SERVED_BY = "x-tidegate-served-by"
REQUEST_ID = "x-request-id"
"""Envoy gives one to each request that has none."""
LARGEST_COPIED = 1_000_000
"""Bytes of a request's body; Envoy's buffers hold 1 MiB."""


def path_of(route: Route) -> str:
    """Where a model is reached under any host."""
    return f"/{route.namespace}/{route.name}"


def entries_by_path(route: Route) -> list[pb.Route]:
    """Of the requests whose path begins with the model's; a longer name may, too, and no model need have it."""
    path = path_of(route)
    whole = pb.RouteMatch(path=path)
    if route.preview_header:
        # Nobody previews a model's front page; what names a revision must not reach another one, though.
        whole.headers.add(name=route.preview_header, present_match=True, invert_match=True)
    below = pb.RouteMatch(prefix=f"{path}/")
    found = [*entries(route, below, rewrite=True), *_drawn(route, whole, rewrite=True)]
    for each in found:
        if each.HasField("route"):
            for name, config in guards_of(route).items():
                each.typed_per_filter_config[name].CopyFrom(config)
    return found


def guards_of(route: Route) -> dict[str, pb.Any]:
    """The listener's filters that are on for all requests of this model."""
    limit = route.policy.rate_limit
    return {
        **({RATE_LIMIT: rate_limit(limit, path_of(route)[1:])} if limit else {}),
        **({SLICES: cells(route.slices)} if route.slices else {}),
    }


def entries_by_host(route: Route) -> list[pb.Route]:
    """Of the requests whose Host is the model's. Calls by gRPC are reached by it alone: their paths are given."""
    calls = entries(route, pb.RouteMatch(prefix="/", grpc=pb.Empty()), rewrite=False) if route.grpc else []
    return [*calls, *entries(route, pb.RouteMatch(prefix="/"), rewrite=False)]


def entries(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> list[pb.Route]:
    """Envoy takes the first entry that matches: a named revision, then an unknown one, then the split."""
    if not route.preview_header:
        return _drawn(route, match, rewrite=rewrite)
    header = route.preview_header
    previews = [_preview(route, backend, match, rewrite=rewrite) for backend in route.backends]
    unknown = not_found(_with(match, pb.HeaderMatcher(name=header, present_match=True)), NO_REVISION)
    return [*previews, unknown, *_drawn(route, match, rewrite=rewrite)]


def _preview(route: Route, backend: Backend, match: pb.RouteMatch, *, rewrite: bool) -> pb.Route:
    named = pb.HeaderMatcher(name=route.preview_header, string_match=pb.StringMatcher(exact=backend.revision))
    action = _action(route, rewrite)
    action.cluster = _key(route, backend, match).preview
    return pb.Route(
        match=_with(match, named),
        route=action,
        typed_per_filter_config=_filters(match),
        response_headers_to_add=[_served_by(backend)],
        request_headers_to_add=[marked("preview")],
    )


def _with(match: pb.RouteMatch, header: pb.HeaderMatcher) -> pb.RouteMatch:
    found = pb.RouteMatch(headers=[header])
    found.MergeFrom(match)
    return found


def _drawn(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> list[pb.Route]:
    """The split of those that name nobody; before it those of a group, and those that may be copied."""
    lives = _kept_apart(route, match, rewrite=rewrite)
    if match.HasField("grpc"):
        return lives
    chosen = _chosen(route, route.matched, match, rewrite=rewrite) if route.matched else ()
    copied = [each for live in lives for each in _copied(route, route.mirror, live)] if route.mirror else []
    return [*chosen, *copied, *lives]


def _kept_apart(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> list[pb.Route]:
    """The split; where users are known by a cookie, first of those who have it, then of those who get it now.

    Who has none is drawn by the request's id, and is given that id for a cookie: so the next request is drawn alike.
    """
    live = _live(route, match, rewrite=rewrite)
    sticky = route.sticky
    if sticky is None:
        return [live]
    if sticky.header:
        return [_by(live, pb.HashPolicy(header=pb.HashHeader(header_name=sticky.header)))]
    has_it = _by(live, pb.HashPolicy(cookie=pb.HashCookie(name=sticky.cookie)))
    has_it.match.cookies.add(name=sticky.cookie, string_match=_ANYTHING)
    gets_it = _by(live, pb.HashPolicy(header=pb.HashHeader(header_name=REQUEST_ID)))
    gets_it.response_headers_to_add.append(_given(sticky))
    return [has_it, gets_it]


def _by(live: pb.Route, policy: pb.HashPolicy) -> pb.Route:
    """The split by a digest: Envoy takes its remainder in place of chance, so a weight that grows takes nobody away.

    A request without what is digested is drawn by chance.
    """
    found = pb.Route()
    found.CopyFrom(live)
    found.route.hash_policy.append(policy)
    found.route.weighted_clusters.use_hash_policy.value = True
    return found


def _given(sticky: Sticky) -> pb.HeaderValueOption:
    lasts = f"; Max-Age={int(sticky.ttl.total_seconds())}" if sticky.ttl else ""
    value = f"{sticky.cookie}=%REQ({REQUEST_ID})%; Path=/; HttpOnly; SameSite=Lax{lasts}"
    return pb.HeaderValueOption(
        header=pb.HeaderValue(key="set-cookie", value=value), append_action=pb.APPEND_IF_EXISTS_OR_ADD
    )


def _chosen(route: Route, matched: Matched, match: pb.RouteMatch, *, rewrite: bool) -> Iterator[pb.Route]:
    """A group's requests, one entry for each of its rules. While nobody answers there, they are as all others."""
    key = ClusterKey(route.namespace, route.name, matched.revision, suffix=MATCH_SUFFIX)
    (cluster,) = key.clusters
    for rule in matched.rules:
        action = _action(route, rewrite)
        action.cluster = cluster
        found = pb.RouteMatch()
        found.CopyFrom(match)
        found.runtime_fraction.CopyFrom(
            pb.RuntimeFractionalPercent(default_value=pb.FractionalPercent(), runtime_key=f"{WEIGHTS}.{cluster}")
        )
        for each in rule:
            _add(found, each)
        yield pb.Route(match=found, route=action, response_headers_to_add=[_served_by(Backend(matched.revision, 0))])


def _add(match: pb.RouteMatch, condition: Condition) -> None:
    expression = pb.RegexMatcher(regex=condition.value) if condition.way == "regex" else None
    plain = {condition.way: condition.value} if expression is None else {}
    value = pb.StringMatcher(**plain, safe_regex=expression)
    if condition.place == "headers":
        match.headers.add(name=condition.name, string_match=value)
    elif condition.place == "cookies":
        match.cookies.add(name=condition.name, string_match=value)
    else:
        match.query_parameters.add(name=condition.name, string_match=value)


def _live(route: Route, match: pb.RouteMatch, *, rewrite: bool) -> pb.Route:
    action = _action(route, rewrite)
    action.weighted_clusters.runtime_key_prefix = WEIGHTS
    for backend in route.backends:
        name = _key(route, backend, match).live
        action.weighted_clusters.clusters.add(
            name=name, weight=pb.UInt32(value=1), response_headers_to_add=[_served_by(backend)]
        )
    return pb.Route(match=match, route=action, typed_per_filter_config=_filters(match))


def _copied(route: Route, mirror: Mirror, live: pb.Route) -> Iterator[pb.Route]:
    """The same with copies of so many percent. Envoy drops what is answered to these.

    Envoy sends a body to both as it comes, and waits while either doesn't take it. So only what fits into its buffers
    is copied: who sends a small body, and says so, never waits for the revision that is tried.
    """
    key = ClusterKey(route.namespace, route.name, mirror.revision, suffix=MIRROR_SUFFIX)
    policy = pb.RequestMirrorPolicy(
        cluster=key.clusters[0],
        runtime_fraction=pb.RuntimeFractionalPercent(default_value=pb.FractionalPercent(numerator=mirror.percent)),
        disable_shadow_host_suffix_append=True,
        request_headers_mutations=[pb.HeaderMutation(append=marked("shadow"))],
    )
    for small in _SMALL:
        copied = pb.Route(match=_with(live.match, small), route=live.route)
        copied.route.request_mirror_policies.append(policy)
        yield copied


def _action(route: Route, rewrite: bool) -> pb.RouteAction:
    idle, retries = route.policy.idle_timeout, route.policy.retries
    return pb.RouteAction(
        timeout=pb.Duration(seconds=route.timeout_seconds),
        # The listener's limit for silent streams is 5 minutes; a model may be given longer to answer.
        idle_timeout=pb.Duration(seconds=int(idle.total_seconds()) if idle else route.timeout_seconds + 10),
        prefix_rewrite="/" if rewrite else "",
        retry_policy=retry_policy(retries.attempts) if retries else None,
    )


def _served_by(backend: Backend) -> pb.HeaderValueOption:
    """The model server says this itself; the router only fills in where it doesn't."""
    header = pb.HeaderValue(key=SERVED_BY, value=backend.revision)
    return pb.HeaderValueOption(header=header, append_action=pb.ADD_IF_ABSENT)


def marked(traffic: str) -> pb.HeaderValueOption:
    """Tells the model server how a request came."""
    header = pb.HeaderValue(key=TRAFFIC_HEADER, value=traffic)
    return pb.HeaderValueOption(header=header, append_action=pb.OVERWRITE_IF_EXISTS_OR_ADD)


def not_found(match: pb.RouteMatch, reason: str) -> pb.Route:
    """Answers 404 and why."""
    # The listener turns every answer of Envoy's own into {"error": text}.
    body = pb.DataSource(inline_string=reason)
    return pb.Route(match=match, direct_response=pb.DirectResponse(status=404, body=body))


def _key(route: Route, backend: Backend, match: pb.RouteMatch) -> ClusterKey:
    return ClusterKey(route.namespace, route.name, backend.revision, grpc=match.HasField("grpc"))


def _filters(match: pb.RouteMatch) -> dict[str, pb.Any]:
    """Those of the listener's that are off but for this entry."""
    return {GRPC_STATS: _ON} if match.HasField("grpc") else {}


_ON = pb.Any(type_url=TYPE + "config.route.v3.FilterConfig", value=pb.FilterConfig(config=pb.Any()).SerializeToString())

_SMALL = (
    pb.HeaderMatcher(name="content-length", range_match=pb.Int64Range(start=0, end=LARGEST_COPIED + 1)),
    pb.HeaderMatcher(name=":method", string_match=pb.StringMatcher(exact="GET")),
)
_ANYTHING = pb.StringMatcher(safe_regex=pb.RegexMatcher(regex=".+"))
