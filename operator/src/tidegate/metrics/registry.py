"""Every metric source, one row each."""

from collections.abc import Callable, Mapping

from tidegate.metrics.observers.envoy import router_traffic
from tidegate.metrics.observers.gateway_envoys import gateway_envoys_traffic
from tidegate.metrics.observers.model_server import server_details, server_traffic
from tidegate.metrics.provider import MetricSource, MetricsProvider, Sources
from tidegate.traffic_routing import backend_for

SourceFactory = Callable[[MetricsProvider], MetricSource]
"""Makes a source; one that reads the processes themselves needs no provider."""

TRAFFIC: Mapping[str, SourceFactory] = {
    "Builtin": router_traffic,
    "GatewayAPI": gateway_envoys_traffic,
    "Servers": server_traffic,
}
"""Who counts requests and failures: the routers' sources, by the names that their backends give, and the servers'."""
DETAILS: tuple[SourceFactory, ...] = (server_details,)
"""Who tells the rest, for every ModelDeployment."""


class SourceRegistry:
    """The sources that there are, each made once."""

    def __init__(self, provider: MetricsProvider) -> None:
        self._traffic = {value: make(provider) for value, make in TRAFFIC.items()}
        self._details = tuple(make(provider) for make in DETAILS)

    def sources(self, router: str, requests_from: str) -> Sources:
        """Whom to ask where `router` splits the traffic and `requests_from` is to count it."""
        if requests_from != "Router":
            return Sources(self._traffic[requests_from], self._details)
        backend = backend_for(router)
        return Sources(self._traffic[backend.requests_source], self._details, backend.tells_counters)
