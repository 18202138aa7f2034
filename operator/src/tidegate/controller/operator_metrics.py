"""The operator's own metrics: what it wants, and how strong the evidence is."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from tidegate.judge.rules import REASONS
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation

OBJECT = ("model_namespace", "model_deployment")
METRICS = (*REASONS, "all")
LATENESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class OperatorMetrics:
    """Follows decisions; served on a port of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._weight = Gauge(
            "tidegate_traffic_weight",
            "Percent of the requests that a revision is to get",
            (*OBJECT, "revision"),
            registry=self.registry,
        )
        self._evidence = Gauge(
            "tidegate_evidence",
            "E-value: against the candidate (worse) or for it (acceptable)",
            (*OBJECT, "metric", "direction"),
            registry=self.registry,
        )
        self._step = Gauge("tidegate_rollout_step", "Step of the rollout, 0 for none", OBJECT, registry=self.registry)
        self._age = Gauge(
            "tidegate_informer_last_event_age_seconds",
            "Seconds since the API server last said anything of a kind; namespace is empty where all are followed",
            ("kind", "model_namespace"),
            registry=self.registry,
        )
        lateness = Histogram(
            "tidegate_look_lateness_seconds",
            "How long after its time a look at a ModelDeployment began, by whether it has a rollout",
            ("rollout",),
            buckets=LATENESS,
            registry=self.registry,
        )
        self._lateness = {urgent: lateness.labels(str(urgent).lower()) for urgent in (True, False)}
        self._refused = Counter(
            "tidegate_router_answers_refused",
            "Answers of routers with their counters that were no evidence: late, cut, not signed, or of something else",
            ("router",),
            registry=self.registry,
        )
        self._weights: dict[tuple[str, str], set[str]] = {}
        self._shown: dict[tuple[str, str], datetime] = {}

    def serve(self, port: int) -> None:
        """Answers GET /metrics on all addresses, in a thread."""
        start_http_server(port, registry=self.registry)

    def export_age(self, kind: str, namespace: str, age: Callable[[], float]) -> None:
        """From now on shows, at each scrape, the age of an informer's last event."""
        self._age.labels(kind, namespace).set_function(age)

    def observe_lateness(self, has_rollout: bool, seconds: float) -> None:
        """Takes in how late a look began."""
        self._lateness[has_rollout].observe(seconds)

    def count_refused_answer(self, router: str) -> None:
        """Takes in that what a router answered was no evidence."""
        self._refused.labels(router).inc()

    def observe_decision(self, seen: Observation, decision: Decision) -> None:
        """Takes in one decision."""
        where = (seen.namespace, seen.name)
        self._set_weights(where, seen)
        rollout = decision.status.rollout
        self._step.labels(*where).set(rollout.step if rollout else 0)
        if seen.verdict.evidence is None:
            self._fade(where, seen)
            return
        self._shown[where] = seen.now
        for metric, worse, acceptable in seen.verdict.per_metric:
            self._evidence.labels(*where, metric, "worse").set(worse)
            self._evidence.labels(*where, metric, "acceptable").set(acceptable)
        self._evidence.labels(*where, "all", "worse").set(seen.verdict.evidence.worse)
        self._evidence.labels(*where, "all", "acceptable").set(seen.verdict.evidence.acceptable)

    def _fade(self, where: tuple[str, str], seen: Observation) -> None:
        """The evidence that ended a rollout stands until it has been scraped; it is none about the next one."""
        shown = self._shown.get(where)
        if shown is not None and seen.now - shown >= seen.propagation_delay:
            self._remove_evidence(where)

    def forget(self, namespace: str, name: str) -> None:
        """Drops every series of a ModelDeployment that there is no more."""
        where = (namespace, name)
        for revision in self._weights.pop(where, set()):
            self._weight.remove(*where, revision)
        self._remove_evidence(where)
        self._step.remove(*where)

    def _remove_evidence(self, where: tuple[str, str]) -> None:
        for metric in METRICS:
            for direction in ("worse", "acceptable"):
                self._evidence.remove(*where, metric, direction)
        self._shown.pop(where, None)

    def _set_weights(self, where: tuple[str, str], seen: Observation) -> None:
        now = dict(seen.split or ())
        for gone in self._weights.get(where, set()) - now.keys():
            self._weight.remove(*where, gone)
        for revision, weight in now.items():
            self._weight.labels(*where, revision).set(weight)
        self._weights[where] = set(now)
