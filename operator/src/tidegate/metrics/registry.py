"""Every metric source, one row each."""

from collections.abc import Callable, Mapping

from tidegate.metrics.observers.envoy import router_traffic
from tidegate.metrics.observers.gateway_envoys import gateway_envoys_traffic
from tidegate.metrics.observers.istio import istio_traffic
from tidegate.metrics.observers.model_server import UNMARKED, server_details, server_traffic
from tidegate.metrics.provider import MetricSource, MetricsProvider, Sources
from tidegate.model.traffic import NO_ROUTE, RouteState
from tidegate.traffic_routing import backend_for

SERVERS = "Servers"

SourceFactory = Callable[[MetricsProvider], MetricSource]
"""Makes a source; one that reads the processes themselves needs no provider."""

TRAFFIC: Mapping[str, SourceFactory] = {
    "Builtin": router_traffic,
    "GatewayAPI": gateway_envoys_traffic,
    "Istio": istio_traffic,
    SERVERS: server_traffic,
}
"""Who counts requests and failures: the routers' sources, by the names that their backends give, and others."""
DETAILS: tuple[SourceFactory, ...] = (server_details,)
"""Who tells the rest, for every ModelDeployment."""


class SourceRegistry:
    """The sources that there are, each made once."""

    def __init__(self, provider: MetricsProvider) -> None:
        self._traffic = {value: make(provider) for value, make in TRAFFIC.items()}
        self._details = tuple(make(provider) for make in DETAILS)
        self._unmarked = server_traffic(provider, came=UNMARKED), (server_details(provider, came=UNMARKED),)

    def sources(self, router: str, requests_from: str, route: RouteState = NO_ROUTE) -> Sources:
        """Whom to ask where `router` splits the traffic by such a `route`, and `requests_from` is to count it."""
        backend = backend_for(router)
        counted_by = backend.counted_by(route) if requests_from == "Router" else requests_from
        traffic, details = self._traffic[counted_by], self._details
        if route.unmarked:
            unmarked, details = self._unmarked
            traffic = unmarked if counted_by == SERVERS else traffic
        return Sources(traffic, details, requests_from == "Router" and backend.tells_counters, bool(route.unmarked))
