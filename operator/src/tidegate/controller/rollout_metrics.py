"""What each ModelDeployment's status says, as metrics, and how rollouts ended.

What is shown of an object is read from its status at each scrape: so it is right at once after a restart or a change of
the leader, and of an object that is gone nothing is left. Only the leader shows and counts it, or two replicas would.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.kube.api import Manifest
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.units import parse_instant

OBJECT = ("model_namespace", "model_deployment")
WAITS = ("paused", "unseen", "pods", "routers", "gates")
"""What a rollout may be waiting for, as its status names it: each with the time since when."""
REASONS_OF_OTHERS = 50
"""Reasons that pods bring, which may be any word: so many have series of their own, the rest are OTHER."""
OTHER = "Other"
ENDED_LATELY = 86_400.0
"""Seconds for which it is shown how a rollout ended: nobody need read that of models at rest at each scrape."""
OWN = frozenset(str(reason) for reason in Reason)
DURATIONS = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0, 259200.0, 604800.0)
SECONDS_TO_ZERO = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 300.0)
Entry = Mapping[str, Any]
"""One of `status.history`."""


class Reasons:
    """Keeps the number of different reasons in labels bounded."""

    def __init__(self) -> None:
        self._others: set[str] = set()

    def bounded(self, reason: str) -> str:
        """The reason itself, or OTHER where there are too many of those that aren't the operator's own."""
        if reason in OWN or reason in self._others:
            return reason
        if len(self._others) >= REASONS_OF_OTHERS:
            return OTHER
        self._others.add(reason)
        return reason


class RolloutMetrics(Collector):
    """Shows and counts nothing before it follows somebody."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._manifests: Callable[[], Sequence[Manifest]] = tuple
        self._leads: Callable[[], bool] = lambda: False
        self._now: Callable[[], float] = lambda: 0.0
        self._reasons = Reasons()
        self._ended = Counter(
            "tidegate_rollouts_total", "Rollouts that have ended", ("outcome", "reason"), registry=registry
        )
        self._duration = Histogram(
            "tidegate_rollout_duration_seconds",
            "From a rollout's start to its end",
            ("outcome",),
            buckets=DURATIONS,
            registry=registry,
        )
        self._to_zero = Histogram(
            "tidegate_rollout_seconds_to_zero_traffic",
            "From the decision to roll back until no request reached the candidate any more",
            buckets=SECONDS_TO_ZERO,
            registry=registry,
        )
        self._requests = Counter(
            "tidegate_rollout_requests_total",
            "Requests that candidates answered in rollouts that have ended",
            ("outcome",),
            registry=registry,
        )
        self._failed = Counter(
            "tidegate_rollout_failed_requests_total",
            "Requests among them that failed",
            ("outcome",),
            registry=registry,
        )
        for outcome in Outcome:
            self._duration.labels(outcome)
            self._requests.labels(outcome)
            self._failed.labels(outcome)
        registry.register(self)

    def follow(
        self, manifests: Callable[[], Sequence[Manifest]], leads: Callable[[], bool], now: Callable[[], float]
    ) -> None:
        """`manifests` gives all ModelDeployments as last seen, `leads` whether this operator is to tell of them, `now`
        the seconds since 1970."""
        self._manifests, self._leads, self._now = manifests, leads, now

    def recorded(self, before: Manifest | None, after: Manifest) -> None:
        """Takes in that a ModelDeployment was seen to have changed: counts the rollouts that have ended since."""
        if before is None or not self._leads():
            return
        known = {_identity(entry): entry for entry in _history(before)}
        for entry in _history(after):
            earlier = known.get(_identity(entry))
            if earlier is None:
                self._count(entry)
            if entry.get("secondsToZeroTraffic") and not (earlier or {}).get("secondsToZeroTraffic"):
                self._to_zero.observe(float(entry["secondsToZeroTraffic"]))

    def _count(self, entry: Entry) -> None:
        outcome, exposure = entry["outcome"], entry.get("exposure") or {}
        self._ended.labels(outcome, self._reasons.bounded(entry["reason"])).inc()
        self._duration.labels(outcome).observe(max(0.0, _seconds(entry["finishedAt"]) - _seconds(entry["startedAt"])))
        self._requests.labels(outcome).inc(exposure.get("requests", 0))
        self._failed.labels(outcome).inc(exposure.get("failed", 0))

    def collect(self) -> Iterator[Metric]:
        families = _Families(self._now() - ENDED_LATELY)
        for manifest in self._manifests() if self._leads() else ():
            families.add(manifest, self._reasons)
        yield from families.all


class _Families:
    """The metrics of one scrape; of rollouts that ended before `ended_since` none is shown."""

    def __init__(self, ended_since: float) -> None:
        self._ended_since = ended_since
        self.info = _gauge(
            "tidegate_model_deployment_info",
            "1; where each ModelDeployment stands, whether it is Ready, and the revision that is live",
            *("phase", "ready", "revision"),
        )
        self.stalled = _gauge(
            "tidegate_model_deployment_stalled", "1 where somebody has to do something, and why; else nothing", "reason"
        )
        self.weight = _gauge("tidegate_traffic_weight", "Percent of the requests that a revision is to get", "revision")
        self.step = _gauge("tidegate_rollout_step", "Step of the rollout; nothing where there is none")
        self.started = _gauge("tidegate_rollout_started_timestamp_seconds", "When the rollout began")
        self.step_started = _gauge("tidegate_rollout_step_started_timestamp_seconds", "When its step began")
        self.verdict = _gauge(
            "tidegate_rollout_verdict", "1; what the judge says of the candidate, and why", "verdict", "reason"
        )
        self.query = _gauge(
            "tidegate_rollout_query_state",
            "1; what each own query that is judged has come to, and whether it is a dry run",
            *("query", "state", "dry_run"),
        )
        self.query_value = _gauge("tidegate_rollout_query_value", "The last value of an own query", "query")
        self.waiting = _gauge(
            "tidegate_rollout_waiting_since_timestamp_seconds",
            "Since when it waits: paused, unseen (no metrics), pods, routers or gates; nothing where it doesn't",
            "what",
        )
        self.finished = _gauge(
            "tidegate_rollout_finished_timestamp_seconds",
            "When the last rollout ended, and how; nothing after a day",
            *("outcome", "reason"),
        )
        self.all = tuple(each for each in vars(self).values() if isinstance(each, Metric))

    def add(self, manifest: Manifest, reasons: Reasons) -> None:
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        where = metadata["namespace"], metadata["name"]
        stable = (status.get("stable") or {}).get("revision", "")
        conditions = {each["type"]: each for each in status.get("conditions") or ()}
        ready = (conditions.get("Ready") or {}).get("status", "Unknown")
        self.info.add_metric((*where, status.get("phase", ""), ready, stable), 1)
        stalled = conditions.get("Stalled") or {}
        if stalled.get("status") == "True":
            self.stalled.add_metric((*where, reasons.bounded(stalled.get("reason", ""))), 1)
        self._add_weights(where, status, stable)
        if rollout := status.get("rollout"):
            self._add_rollout(where, rollout, status.get("analysis") or {}, reasons)
        for entry in _history(manifest)[:1]:
            if (ended := _seconds(entry["finishedAt"])) >= self._ended_since:
                labels = (*where, entry["outcome"], reasons.bounded(entry["reason"]))
                self.finished.add_metric(labels, ended)

    def _add_weights(self, where: tuple[str, str], status: Mapping[str, Any], stable: str) -> None:
        candidate = (status.get("candidate") or {}).get("revision")
        weight = (status.get("traffic") or {}).get("candidate") or 0
        if candidate and candidate != stable:
            self.weight.add_metric((*where, candidate), weight)
        if stable:
            self.weight.add_metric((*where, stable), 100 - weight)

    def _add_rollout(
        self, where: tuple[str, str], rollout: Mapping[str, Any], analysis: Mapping[str, Any], reasons: Reasons
    ) -> None:
        self.step.add_metric(where, rollout.get("step", 0))
        self.started.add_metric(where, _seconds(rollout["startedAt"]))
        self.step_started.add_metric(where, _seconds(rollout["stepStartedAt"]))
        if analysis.get("verdict"):
            labels = (*where, analysis["verdict"], reasons.bounded(analysis.get("reason", "")))
            self.verdict.add_metric(labels, 1)
        for query in analysis.get("queries") or ():
            self._add_query(where, query)
        since = rollout.get("since") or {}
        for what in WAITS:
            if what in since:
                self.waiting.add_metric((*where, what), _seconds(since[what]))

    def _add_query(self, where: tuple[str, str], query: Mapping[str, Any]) -> None:
        dry_run = str(bool(query.get("dryRun"))).lower()
        self.query.add_metric((*where, query["name"], query.get("state", ""), dry_run), 1)
        if query.get("value"):
            self.query_value.add_metric((*where, query["name"]), float(query["value"]))


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=(*OBJECT, *labels))


def _history(manifest: Manifest) -> Sequence[Entry]:
    return (manifest.get("status") or {}).get("history") or ()


def _identity(entry: Entry) -> tuple[str, str, str]:
    return entry["revision"], entry["startedAt"], entry["finishedAt"]


def _seconds(instant: str) -> float:
    return parse_instant(instant).timestamp()
