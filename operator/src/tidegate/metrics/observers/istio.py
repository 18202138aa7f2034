"""What Istio's proxies count of the requests that they send, one series for each Service that was sent some.

The names are those of Istio's standard metrics. A Service is a revision. Whoever sent a request counts it with the
reporter `source`: a Gateway, and a client's own proxy where there is one.
"""

from collections.abc import Mapping
from datetime import timedelta

from tidegate.metrics.increments import ANSWERED, GRPC, GRPC_FAILURES, Process, SeriesKey
from tidegate.metrics.observers.scraped import ScrapedSource
from tidegate.metrics.provider import STALE, MetricsProvider, Selection, Signal, StartGauge
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason

ANY_REVISION = "[0-9a-f]{8}"
_REQUESTS = "istio_requests_total"
_OF_SCRAPE = frozenset({"__name__", "namespace", "pod", "instance", "job", "response_code", "destination_service_name"})
_NO_SERIES = MetricsGap(
    Reason.NO_ROUTER_SERIES,
    "Prometheus has no counters of Istio's proxies for {case}; check that it scrapes the Gateway's pods (port 15090, "
    "/stats/prometheus), or set spec.analysis.requestsFrom to Servers",
)


class IstioRequests:
    """Requests by revision and by how they ended. A call by gRPC that failed counts as one of class 5."""

    start = StartGauge("envoy_server_uptime", counts_up=True)

    def __init__(self, namespace: str, revisions: str, looks_back: timedelta = STALE) -> None:
        self.looks_back = looks_back
        self._selector = f'destination_service_namespace=~"|{namespace}",destination_service_name=~"|{revisions}"'
        self.promql = (
            f'{_REQUESTS}{{reporter="source",destination_service_namespace="{namespace}",'
            f'destination_service_name=~"{revisions}"}}'
        )

    def with_start(self, target: str) -> str:
        """See CounterQuery."""
        return f'{{__name__=~"{self.start.name}|{_REQUESTS}",{self._selector},reporter=~"|source",{target}}}'

    def is_start(self, labels: Mapping[str, str]) -> bool:
        """See CounterQuery."""
        return labels["__name__"] == self.start.name

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """See CounterQuery."""
        by_grpc = labels.get("request_protocol") == "grpc"
        failed = by_grpc and labels.get("grpc_response_status") in GRPC_FAILURES
        code = "500" if failed else labels.get("response_code", "0")
        # Whatever else a series is told from another by: they are added up.
        rest = ",".join(f"{name}={labels[name]}" for name in sorted(labels.keys() - _OF_SCRAPE))
        of = f"{code} {labels.get('response_code', '')} {rest}{GRPC if by_grpc else ''}"
        return SeriesKey(Process.of(labels), labels["destination_service_name"], ANSWERED, of)


def istio_traffic(provider: MetricsProvider) -> ScrapedSource:
    """Requests and failures as Istio's proxies count them."""
    provides = frozenset({Signal.REQUESTS, Signal.FAILURES})
    return ScrapedSource(provider, "Istio's proxies", provides, _query, _NO_SERIES)


def _query(wanted: Selection) -> IstioRequests:
    revisions = (f"{wanted.name}-{ANY_REVISION}",) if wanted.revisions is None else wanted.revisions
    return IstioRequests(wanted.namespace, "|".join(revisions), wanted.looks_back)
