"""What the operator asks of the API server, of Prometheus and of the routers, and whether it leads.

The first and the last have the names that client-go and controller-runtime give them.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.model.reasons import Reason

REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
QUERY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class ClientMetrics(Collector):
    """Hears of each request, and asks at each scrape for what can be asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._host = ""
        self._leads: Callable[[], bool] = lambda: False
        self._reports: Callable[[], Mapping[str, float]] = dict
        self._requests = Counter(
            "rest_client_requests_total",
            "Requests to the API server, by the answer's status; <error> for those without an answer",
            ("code", "method", "host"),
            registry=registry,
        )
        self._seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Until an answer of the API server began",
            ("verb", "host"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._master = Gauge(
            "leader_election_master_status",
            "1 where this operator holds the Lease, 0 where it waits for it",
            ("name",),
            registry=registry,
        )
        self._queries = Counter(
            "tidegate_prometheus_queries_total",
            "Queries to Prometheus: answered, or failed (refused, unreachable, too slow)",
            ("result",),
            registry=registry,
        )
        for result in ("answered", "failed"):
            self._queries.labels(result)
        self._query_seconds = Histogram(
            "tidegate_prometheus_query_duration_seconds",
            "How long Prometheus took for a query",
            buckets=QUERY_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "tidegate_router_answers_refused",
            "Answers of routers with their counters that were no evidence: late, cut, not signed, or of something else",
            ("router",),
            registry=registry,
        )
        self._refusing: set[str] = set()
        """The routers that it was counted of."""
        self._notifications = Counter(
            "tidegate_notifications_total",
            "Notifications by what became of them: sent, failed after all tries, or dropped as too many wait",
            ("result",),
            registry=registry,
        )
        for result in ("sent", "failed", "dropped"):
            self._notifications.labels(result)
        self._writes = Counter(
            "tidegate_writes_refused_total",
            "Writes for ModelDeployments that the API server refused, by the reason that is told",
            ("reason",),
            registry=registry,
        )
        for reason in (Reason.WRITE_REFUSED, Reason.WRITE_FAILED, Reason.NAME_TAKEN, Reason.PREDECESSOR_REMAINS):
            self._writes.labels(reason)
        registry.register(self)

    def follow(
        self, host: str, lease: str, leads: Callable[[], bool], reports: Callable[[], Mapping[str, float]]
    ) -> None:
        """`reports` gives the seconds since each router last renewed its Lease, by the router's name."""
        self._host, self._leads, self._reports = host, leads, reports
        self._master.labels(lease).set_function(lambda: float(leads()))

    def asked(self, method: str, status: str, seconds: float) -> None:
        """Takes in a request to the API server."""
        self._requests.labels(status, method, self._host).inc()
        self._seconds.labels(method, self._host).observe(seconds)

    def queried(self, answered: bool, seconds: float) -> None:
        """Takes in a query to Prometheus."""
        self._queries.labels("answered" if answered else "failed").inc()
        self._query_seconds.observe(seconds)

    def refused_write(self, reason: str) -> None:
        """Takes in that the API server refused a write."""
        self._writes.labels(reason).inc()

    def notified(self, result: str) -> None:
        """Takes in what became of one notification: sent, failed or dropped."""
        self._notifications.labels(result).inc()

    def refused_answer(self, router: str) -> None:
        """Takes in that what a router answered was no evidence."""
        self._refusing.add(router)
        self._refused.labels(router).inc()

    def collect(self) -> Iterator[Metric]:
        ages = self._reports()
        for gone in self._refusing - ages.keys():
            self._refusing.discard(gone)
            self._refused.remove(gone)
        family = GaugeMetricFamily(
            "tidegate_router_report_age_seconds",
            "Seconds since a router last said that it lives, and which routes it has",
            labels=("router",),
        )
        for router, seconds in ages.items() if self._leads() else ():
            family.add_metric((router,), seconds)
        yield family
