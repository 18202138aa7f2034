"""The operator's own metrics, served on a port of their own: how it does, what it wants, how strong the evidence is."""

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tidegate.controller.client_metrics import ClientMetrics
from tidegate.controller.queue_metrics import QueueMetrics
from tidegate.controller.rollout_metrics import OBJECT, RolloutMetrics
from tidegate.judge.rules import REASONS
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation

METRICS = (*REASONS, "all")
Key = tuple[str, str]


class OperatorMetrics:
    """All of them. `client` hears of requests from the start, `queue` and `rollouts` follow what they are told of."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.client = ClientMetrics(self.registry)
        self.queue = QueueMetrics(self.registry)
        self.rollouts = RolloutMetrics(self.registry)
        self.evidence = EvidenceMetrics(self.registry)
        self._age = Gauge(
            "tidegate_informer_last_event_age_seconds",
            "Seconds since the API server last said anything of a kind; namespace is empty where all are followed",
            ("kind", "model_namespace"),
            registry=self.registry,
        )

    def serve(self, port: int) -> None:
        """Answers GET /metrics on all addresses, in a thread."""
        start_http_server(port, registry=self.registry)

    def export_age(self, kind: str, namespace: str, age: Callable[[], float]) -> None:
        """From now on shows, at each scrape, the age of an informer's last event."""
        self._age.labels(kind, namespace).set_function(age)


class EvidenceMetrics(Collector):
    """What was judged of each rollout last, which no status tells in numbers. Only a leader shows it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._term: Callable[[], int | None] = lambda: None
        self._shown_in: int | None = None
        self._evidence = Gauge(
            "tidegate_evidence",
            "E-value: against the candidate (worse) or for it (acceptable)",
            (*OBJECT, "metric", "direction"),
            registry=None,
        )
        self._requests = Gauge(
            "tidegate_rollout_exposed_requests", "Requests that the candidate has answered", OBJECT, registry=None
        )
        self._failed = Gauge(
            "tidegate_rollout_exposed_failures", "Requests among them that failed", OBJECT, registry=None
        )
        self._shown: dict[Key, datetime] = {}
        registry.register(self)

    def follow(self, term: Callable[[], int | None]) -> None:
        """`term` counts the leaders by this Lease; None while this operator isn't the one."""
        self._term = term

    def collect(self) -> Iterator[Metric]:
        if self._is_ours():
            for gauge in (self._evidence, self._requests, self._failed):
                yield from gauge.collect()

    def _is_ours(self) -> bool:
        """Whether this operator leads. What it knew when it led before, and another did since, is dropped."""
        term = self._term()
        if term is not None and term != self._shown_in:
            self._shown_in = term
            self._shown.clear()
            for gauge in (self._evidence, self._requests, self._failed):
                gauge.clear()
        return term is not None

    def observe_decision(self, seen: Observation, decision: Decision) -> None:
        """Takes in one decision."""
        if not self._is_ours():
            return
        where = (seen.namespace, seen.name)
        self._expose(where, seen, decision)
        if seen.verdict.evidence is None:
            self._fade(where, seen)
            return
        self._shown[where] = seen.now
        for metric, worse, acceptable in seen.verdict.per_metric:
            self._evidence.labels(*where, metric, "worse").set(worse)
            self._evidence.labels(*where, metric, "acceptable").set(acceptable)
        self._evidence.labels(*where, "all", "worse").set(seen.verdict.evidence.worse)
        self._evidence.labels(*where, "all", "acceptable").set(seen.verdict.evidence.acceptable)

    def _expose(self, where: Key, seen: Observation, decision: Decision) -> None:
        if decision.status.rollout and decision.status.rollout.shifts:
            self._requests.labels(*where).set(seen.verdict.exposed.requests)
            self._failed.labels(*where).set(seen.verdict.exposed.failed)
        else:  # what it came to is counted with the rollouts that have ended
            self._remove_exposure(where)

    def _fade(self, where: Key, seen: Observation) -> None:
        """What ended a rollout stands until it has been scraped; it tells nothing about the next one."""
        shown = self._shown.get(where)
        if shown is not None and seen.now - shown >= seen.propagation_delay:
            self._remove_evidence(where)

    def forget(self, namespace: str, name: str) -> None:
        """Drops every series of a ModelDeployment that there is no more."""
        self._remove_evidence((namespace, name))
        self._remove_exposure((namespace, name))

    def _remove_evidence(self, where: Key) -> None:
        for metric in METRICS:
            for direction in ("worse", "acceptable"):
                self._evidence.remove(*where, metric, direction)
        self._shown.pop(where, None)

    def _remove_exposure(self, where: Key) -> None:
        self._requests.remove(*where)
        self._failed.remove(*where)
