"""Envoy's own configuration: listeners, admin, limits and what is counted. Pure.

The listeners never change while Envoy runs: a change of listeners would make Envoy close its clients' connections.
Everything that moves (clusters, endpoints, routes) comes from the agent, over a Unix socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model.slices import CELL_PATTERN
from tidegate.resources.names import GROUP
from tidegate.router.resource_names import CERTIFICATE_NAME, GRPC_STATS, RATE_LIMIT, ROUTES_NAME, SLICES, layer_names
from tidegate.router.slices import COUNTED_AS

Json = dict[str, Any]

AGENT = "tidegate-agent"
SOCKET = "ads.sock"
NO_LOG, ERRORS, ALL = "none", "errors", "all"
TOO_MANY = "more requests than the model's rateLimit: come back later"
_TYPE = "type.googleapis.com/envoy."

# Steps of 1.2 up to 1 s, as the model servers count: what is 20 % slower is in another bucket. Envoy counts whole
# milliseconds, so below there is nothing to be told apart. Above 1 s the steps are wider: each bucket is one line more
# of each revision in every scrape.
LATENCY_MS = [
    *(0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10),
    *(12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82, 100),
    *(120, 150, 180, 220, 270, 330, 390, 470, 560, 680, 820, 1000),
    *(1500, 2200, 3300, 4700, 6800, 10000),
]
_FLUSH = "1s"
"""How old a histogram can be: workers' own are merged at a flush, while counters are those of the moment."""

# Everything else Envoy could count is left out: a scrape grows with revisions × these.
_COUNTED = [
    r"cluster\.[^.]+\.upstream_rq_(total|completed|active|time|retry|cancelled)",
    r"cluster\.[^.]+\.upstream_rq_pending_(overflow|failure_eject)",
    # 429 is how a model server turns requests away that it can't keep up with: to the judge that is a failure.
    r"cluster\.[^.]+\.upstream_rq_([1-5]xx|429)",
    # Of requests that are counted apart by a header.
    rf"cluster\.([^./]+/){{2}}[^./]+(/match)?\.{CELL_PATTERN}\.upstream_rq_(completed|5xx|429)",
    # How calls by gRPC end: the answer to one that fails is 200 as well.
    r"cluster\.[^.]+/grpc(/preview)?\.grpc\.\d+",
    r"cluster\.[^.]+\.upstream_cx_none_healthy",
    # What was beyond a model's rate limit: no revision has seen it.
    r"[^./]+/[^./]+\.http_local_rate_limit\.rate_limited",
    # How its pods are reached is told of a revision once, not for its preview cluster too.
    r"cluster\.([^./]+/){2}[^./]+(/grpc)?\.upstream_rq_(timeout|retry_success)",
    r"cluster\.([^./]+/){2}[^./]+(/grpc)?\.upstream_cx_(active|total|connect_fail|connect_timeout)",
    r"cluster\.([^./]+/){2}[^./]+(/grpc)?\.(membership_(healthy|total)|update_rejected)",
    r"cluster_manager\.(warming_clusters|active_clusters|cds\.update_(success|rejected|failure))",
    # Whether the agent is there, and what it sends.
    r"control_plane\.connected_state",
    rf"cluster\.{AGENT}\.upstream_cx_(rx|tx)_bytes_total",
    r"http\.router\.downstream_(cx_active|cx_total|rq_active|rq_total|rq_completed|rq_[1-5]xx|rq_time)",
    r"http\.router\.no_(route|cluster)",
    r"http\.router\.rds\..*\.update_(success|rejected|failure)",
    r"listener\.(0\.0\.0\.0|\[__\])_\d+\.downstream_cx_(active|overflow|overload_reject)",
    # Handshakes that failed, also as there was no certificate yet.
    r"listener\.(0\.0\.0\.0|\[__\])_\d+\.(ssl\.connection_error|server_ssl_socket_factory\.downstream_context_secrets_not_ready)",
    r"server\.(live|state|uptime|memory_allocated|total_connections)",
    r"overload\..*",
]


@dataclass(frozen=True)
class RouterSettings:
    """What differs between a router in a cluster and one in a test."""

    xds_directory: str = "/var/run/tidegate/xds"
    address: str = "0.0.0.0"
    port: int = 8080
    admin_port: int = 9901
    metrics_port: int = 9902
    tls_port: int | None = None
    """Where the same is served by TLS, with a certificate that the agent gives; None for nowhere."""
    access_log: str = NO_LOG
    """NO_LOG, ERRORS, or ALL: answers of 500 or above, and with ALL a part of the others."""
    access_log_percent: int = 100
    """Of the others."""
    max_connections: int = 20_000
    max_heap_bytes: int | None = None


STARTED = f"{GROUP}/started"
"""In the node's metadata: when this Envoy was started, in seconds since 1970. Its counters began at zero then."""


def bootstrap(settings: RouterSettings, started: float) -> Json:
    """The whole bootstrap, as the JSON that Envoy takes. `started` is now, in seconds since 1970."""
    return {
        "node": {"id": "tidegate-router", "cluster": "tidegate-router", "metadata": {STARTED: str(started)}},
        "admin": {
            "address": _address("127.0.0.1", settings.admin_port),
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": {"ads_config": _agent(), "cds_config": FROM_AGENT},
        "layered_runtime": {"layers": [*map(_layer, layer_names()), {"name": "admin", "admin_layer": {}}]},
        "static_resources": {
            "listeners": [*_traffic_listeners(settings), _metrics_listener(settings)],
            "clusters": [_admin_cluster(settings), _agent_cluster(settings)],
        },
        "stats_flush_interval": _FLUSH,
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": one}} for one in _COUNTED]}},
            "histogram_bucket_settings": [{"match": {"suffix": "rq_time"}, "buckets": LATENCY_MS}],
        },
        "overload_manager": _overload(settings),
    }


# Without a first answer Envoy waits, not ready, rather than go on with nothing to route.
FROM_AGENT: Json = {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "0s"}


def _layer(name: str) -> Json:
    return {"name": name, "rtds_layer": {"name": name, "rtds_config": FROM_AGENT}}


def _agent() -> Json:
    # An agent that starts again is found again within a second; by itself Envoy would wait up to 30.
    backoff = {"base_interval": "0.1s", "max_interval": "1s"}
    service = {"envoy_grpc": {"cluster_name": AGENT, "retry_policy": {"retry_back_off": backoff}}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [service],
    }


def _agent_cluster(settings: RouterSettings) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": f"{settings.xds_directory}/{SOCKET}"}}}}
    # An agent that hangs is no agent: the stream ends, and the next one is asked for all that changed.
    keepalive = {"connection_keepalive": {"interval": "30s", "timeout": "10s"}}
    protocol = {
        "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": keepalive},
    }
    return {
        "name": AGENT,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": AGENT, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }


def _address(address: str, port: int) -> Json:
    # `::` takes connections by IPv4 too.
    both: Json = {"ipv4_compat": True} if address == "::" else {}
    return {"socket_address": {"address": address, "port_value": port, **both}}


def _traffic_listeners(settings: RouterSettings) -> list[Json]:
    manager, filters = _traffic_manager(settings), [_rate_limit(), _grpc_stats(), _slices()]
    plain = _http_listener("traffic", settings.address, settings.port, manager, filters)
    if settings.tls_port is None:
        return [plain]
    by_tls = _http_listener("traffic-tls", settings.address, settings.tls_port, manager, filters)
    by_tls["filter_chains"][0]["transport_socket"] = _tls()
    return [plain, by_tls]


def _tls() -> Json:
    # Without a certificate the router goes on without it: whoever connects here is told so by the handshake.
    source = {**FROM_AGENT, "initial_fetch_timeout": "2s"}
    common: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [{"name": CERTIFICATE_NAME, "sds_config": source}],
    }
    typed = {
        "@type": _TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def _traffic_manager(settings: RouterSettings) -> Json:
    return {
        "stat_prefix": "router",
        "rds": {"route_config_name": ROUTES_NAME, "config_source": FROM_AGENT},
        "strip_trailing_host_dot": True,
        # Clients are strangers: their x-envoy-* headers must not change timeouts or retries.
        "use_remote_address": True,
        "preserve_external_request_id": True,
        "early_header_mutation_extensions": [_not_counted_as_clients_say()],
        "normalize_path": True,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "local_reply_config": {"mappers": [_too_many()], "body_format": _ERROR},
        "access_log": [] if settings.access_log == NO_LOG else [_access_log(settings)],
    }


def _rate_limit() -> Json:
    """Takes so many requests of a model and no more. Off, as the next one."""
    typed = {
        "@type": _TYPE + "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "none",
    }
    return {"name": RATE_LIMIT, "disabled": True, "typed_config": typed}


def _grpc_stats() -> Json:
    """Counts how calls end, by grpc-status. Off: only the routes of models that are called by gRPC turn it on."""
    typed = {"@type": _TYPE + "extensions.filters.http.grpc_stats.v3.FilterConfig"}
    return {"name": GRPC_STATS, "disabled": True, "typed_config": typed}


def _slices() -> Json:
    """Says in which cell a request is counted, as a model's routes have it. Off, as the others."""
    composite = {"@type": _TYPE + "extensions.filters.http.composite.v3.Composite"}
    typed = {
        "@type": _TYPE + "extensions.common.matching.v3.ExtensionWithMatcher",
        "extension_config": {"name": "envoy.filters.http.composite", "typed_config": composite},
        "xds_matcher": {},
    }
    return {"name": SLICES, "disabled": True, "typed_config": typed}


def _not_counted_as_clients_say() -> Json:
    """Who sends this header itself would be counted wherever it likes; Envoy lets those in private networks."""
    typed = {
        "@type": _TYPE + "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove": COUNTED_AS}],
    }
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": typed}


_ERROR: Json = {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}


def _too_many() -> Json:
    """The answer to what is beyond a model's `rateLimit`: a sentence in the place of Envoy's word.

    Nothing else here answers 429 by itself.
    """
    status = {"op": "EQ", "value": {"default_value": 429, "runtime_key": "tidegate.too_many.status"}}
    return {
        "filter": {"status_code_filter": {"comparison": status}},
        "body": {"inline_string": TOO_MANY},
        "body_format_override": _ERROR,
        "headers_to_add": [{"header": {"key": "retry-after", "value": "1"}}],
    }


def _metrics_listener(settings: RouterSettings) -> Json:
    """Two admin pages for the outside, by their whole path (so no query either), and nothing else."""
    pages = [_admin_page("/stats/prometheus"), _admin_page("/ready")]
    rest: Json = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    manager: Json = {
        "stat_prefix": "metrics",
        "route_config": {"virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [*pages, rest]}]},
    }
    return {
        **_http_listener("metrics", settings.address, settings.metrics_port, manager),
        "ignore_global_conn_limit": True,
    }


def _admin_page(path: str) -> Json:
    exact = [{"name": name, "string_match": {"exact": value}} for name, value in ((":path", path), (":method", "GET"))]
    return {"match": {"path": path, "headers": exact}, "route": {"cluster": "admin", "timeout": "10s"}}


def _http_listener(name: str, address: str, port: int, manager: Json, filters: Sequence[Json] = ()) -> Json:
    router: Json = {"@type": _TYPE + "extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    last: Json = {"name": "envoy.filters.http.router", "typed_config": router}
    typed = {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        **manager,
        "http_filters": [*filters, last],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": typed}]}
    return {"name": name, "address": _address(address, port), "filter_chains": [chain]}


def _access_log(settings: RouterSettings) -> Json:
    """A line of JSON for each answer that is wanted. No header that a client's secret may be in, and no query."""
    fields = {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%PATH(NQ)%",
        "protocol": "%PROTOCOL%",
        "code": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS_NUMBER%",
        "flags": "%RESPONSE_FLAGS%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "pod": "%UPSTREAM_HOST%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "milliseconds": "%DURATION%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "request": "%REQ(X-REQUEST-ID)%",
    }
    typed = {
        "@type": _TYPE + "extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"json_format": fields},
    }
    return {"name": "envoy.access_loggers.stdout", **_wanted(settings), "typed_config": typed}


def _wanted(settings: RouterSettings) -> Json:
    status = {"op": "GE", "value": {"default_value": 500, "runtime_key": "tidegate.access_log.status"}}
    failed: Json = {"status_code_filter": {"comparison": status}}
    if settings.access_log == ERRORS:
        return {"filter": failed}
    if settings.access_log_percent == 100:
        return {}
    sampled = {
        "runtime_key": "tidegate.access_log.percent",
        "percent_sampled": {"numerator": settings.access_log_percent, "denominator": "HUNDRED"},
        # Else who sends the same x-request-id with each request has all of them logged, or none.
        "use_independent_randomness": True,
    }
    return {"filter": {"or_filter": {"filters": [failed, {"runtime_filter": sampled}]}}}


def _admin_cluster(settings: RouterSettings) -> Json:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", settings.admin_port)}}
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "admin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _overload(settings: RouterSettings) -> Json:
    monitors: list[Json] = [
        {
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": _TYPE + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": settings.max_connections,
            },
        }
    ]
    if settings.max_heap_bytes is None:
        return {"resource_monitors": monitors}
    heap: Json = {
        "name": "envoy.resource_monitors.fixed_heap",
        "typed_config": {
            "@type": _TYPE + "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            "max_heap_size_bytes": settings.max_heap_bytes,
        },
    }
    actions = [
        _at_heap("envoy.overload_actions.shrink_heap", 0.9),
        _at_heap("envoy.overload_actions.stop_accepting_requests", 0.95),
    ]
    return {"refresh_interval": "0.25s", "resource_monitors": [*monitors, heap], "actions": actions}


def _at_heap(action: str, share: float) -> Json:
    return {"name": action, "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": share}}]}
