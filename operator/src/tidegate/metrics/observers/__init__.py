"""Where each kind of router counts requests by revision, and the model servers' own counts where a router can't."""

from collections.abc import Callable, Iterable, Mapping

from tidegate.metrics.increments import ANSWERED, SeriesKey, owner_of
from tidegate.metrics.providers.prometheus import CounterQuery, RouterCounters

Counters = Callable[[str, str, Iterable[str] | None], CounterQuery]
"""Namespace, name and revisions of a ModelDeployment → what to ask; None for every revision that it has had."""


class IstioCounters:
    """A mesh's sidecars and waypoints: requests by destination Service, which is the revision's own.

    The side that asks counts, so that what never reached a server is in it; its code is 0 then.
    """

    _TOLD = frozenset({"__name__", "job", "instance", "pod", "response_code", "destination_service_name"})

    def __init__(self, namespace: str, name: str, revisions: Iterable[str] | None) -> None:
        self.promql = (
            f'istio_requests_total{{reporter=~"source|waypoint",destination_service_namespace="{namespace}",'
            f'destination_service_name=~"{_services(name, revisions)}"}}'
        )

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        # One series for each source and way of failing; each is differenced by itself.
        rest = " ".join(value for name, value in sorted(labels.items()) if name not in self._TOLD)
        of = f"{labels['response_code']} {rest}".rstrip()
        return SeriesKey(owner_of(labels), labels["destination_service_name"], ANSWERED, of)


class ContourCounters:
    """Contour's Envoys: one cluster for each Service and port, named NAMESPACE_SERVICE_PORT."""

    def __init__(self, namespace: str, name: str, revisions: Iterable[str] | None) -> None:
        self._namespace = namespace
        clusters = f"{namespace}_({_services(name, revisions)})_.+"
        self.promql = f'envoy_cluster_upstream_rq{{envoy_cluster_name=~"{clusters}"}}'

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        revision = labels["envoy_cluster_name"].removeprefix(f"{self._namespace}_").rpartition("_")[0]
        return SeriesKey(owner_of(labels), revision, ANSWERED, labels["envoy_response_code"])


class ServerRequests:
    """The model servers' own counts. What never reached a server, or died with it, isn't in them.

    For gateways whose counters name no revision, such as those that keep one cluster for all backends of a rule.
    """

    def __init__(self, namespace: str, name: str, revisions: Iterable[str] | None) -> None:
        wanted = ".+" if revisions is None else "|".join(revisions)
        self.promql = f'tidegate_server_requests_total{{model_deployment="{namespace}/{name}",revision=~"{wanted}"}}'

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        return SeriesKey(owner_of(labels), labels["revision"], ANSWERED, labels["code"])


def _builtin(namespace: str, name: str, revisions: Iterable[str] | None) -> CounterQuery:
    return RouterCounters(namespace, name, ("[^/]+",) if revisions is None else revisions, preview=True)


def _services(name: str, revisions: Iterable[str] | None) -> str:
    """Each revision has a Service of its own name."""
    return f"{name}-[0-9a-f]{{8}}" if revisions is None else "|".join(revisions)


BY_ROUTER: Mapping[str, Counters] = {
    "Builtin": _builtin,
    "Istio": IstioCounters,
    "Contour": ContourCounters,
    "EnvoyGateway": ServerRequests,
}
"""Envoy Gateway has one cluster for all backends of a rule, so it can't tell revisions apart."""


def counters_for(router: str, requests_from: str) -> Counters:
    """What to ask where `router` splits the traffic and `requests_from` (Router or Servers) is to count it."""
    return ServerRequests if requests_from == "Servers" else BY_ROUTER[router]
