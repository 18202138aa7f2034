"""How the work queue and its passes do, by the names and labels that controller-runtime gives these metrics.

Dashboards and alerts that are there for other operators then work for this one.
"""

from collections.abc import Callable, Iterator
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.controller.workqueue import Result, WorkQueue

CONTROLLER = "modeldeployment"
QUEUE = ("name", "controller")
URGENT, REST = "100", "0"
"""Priorities, in controller-runtime's words: those of rollouts, and of all others."""
RECONCILE_SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5),
    *(1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)
QUEUE_SECONDS = tuple(10.0**exponent for exponent in range(-8, 4))
LATENESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class QueueMetrics(Collector):
    """A QueueListener. What a queue is like now is read from it at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue: WorkQueue | None = None
        self._leads: Callable[[], bool] = lambda: False
        self._ended_at: float | None = None
        passes = Counter(
            "controller_runtime_reconcile_total",
            "Looks at ModelDeployments, by how they ended: requeue is one that somebody else's write came before",
            ("controller", "result"),
            registry=registry,
        )
        ended = (result for result in Result if result is not Result.PANIC)
        self._passes: dict[Result, Counter] = {result: passes.labels(CONTROLLER, result) for result in ended}
        self._errors = _counter(registry, "controller_runtime_reconcile_errors_total", "Looks that failed")
        self._panics = _counter(
            registry,
            "controller_runtime_reconcile_panics_total",
            "Looks that failed by a bug: the log has the traceback",
        )
        self._seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long a look took, with its writes",
            ("controller",),
            buckets=RECONCILE_SECONDS,
            registry=registry,
        ).labels(CONTROLLER)
        self._adds = _of_queue(registry, "workqueue_adds_total", "Looks that were planned")
        self._retries = _of_queue(registry, "workqueue_retries_total", "Looks that are repeated after a failure")
        self._waited = _seconds_of_queue(
            registry, "workqueue_queue_duration_seconds", "How long after its time a look began"
        )
        self._worked = _seconds_of_queue(registry, "workqueue_work_duration_seconds", "How long a look took")
        lateness = Histogram(
            "tidegate_look_lateness_seconds",
            "How long after its time a look at a ModelDeployment began, by whether it has a rollout",
            ("rollout",),
            buckets=LATENESS,
            registry=registry,
        )
        self._lateness = {urgent: lateness.labels(str(urgent).lower()) for urgent in (True, False)}
        registry.register(self)

    def follow(self, queue: WorkQueue, leads: Callable[[], bool]) -> None:
        """Shows what this queue is like from now on; of one who doesn't lead, everything waits and nothing is due."""
        self._queue, self._leads = queue, leads

    def added(self) -> None:
        self._adds.inc()

    def began(self, urgent: bool, late: float) -> None:
        self._lateness[urgent].observe(late)
        self._waited.observe(late)

    def ended(self, result: Result, seconds: float) -> None:
        self._ended_at = monotonic()
        failed = result in (Result.ERROR, Result.PANIC)
        self._passes[Result.ERROR if failed else result].inc()
        self._seconds.observe(seconds)
        self._worked.observe(seconds)
        if failed:
            self._errors.inc()
        if result is Result.PANIC:
            self._panics.inc()
        if failed or result is Result.REQUEUE:
            self._retries.inc()

    def collect(self) -> Iterator[Metric]:
        if self._queue is None:
            return
        busy, (urgent, rest) = self._queue.busy_seconds(), self._queue.waiting() if self._leads() else (0, 0)
        depth = GaugeMetricFamily(
            "workqueue_depth", "Looks that are due and haven't begun", labels=("name", "controller", "priority")
        )
        depth.add_metric((CONTROLLER, CONTROLLER, URGENT), urgent)
        depth.add_metric((CONTROLLER, CONTROLLER, REST), rest)
        yield depth
        if self._ended_at is not None:
            since = monotonic() - self._ended_at
            yield _gauge("tidegate_last_look_age_seconds", "Since a look at any ModelDeployment ended", (), since)
        longest, workers = max(busy, default=0.0), self._queue.workers
        yield _gauge("workqueue_unfinished_work_seconds", "Sum of how long the looks under way last", QUEUE, sum(busy))
        yield _gauge(
            "workqueue_longest_running_processor_seconds", "How long the oldest look under way lasts", QUEUE, longest
        )
        yield _gauge("controller_runtime_active_workers", "Looks under way", QUEUE[1:], len(busy))
        yield _gauge("controller_runtime_max_concurrent_reconciles", "Looks at once, at most", QUEUE[1:], workers)


def _gauge(name: str, help_text: str, labels: tuple[str, ...], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    family.add_metric([CONTROLLER] * len(labels), value)
    return family


def _counter(registry: CollectorRegistry, name: str, help_text: str) -> Counter:
    return Counter(name, help_text, ("controller",), registry=registry).labels(CONTROLLER)


def _of_queue(registry: CollectorRegistry, name: str, help_text: str) -> Counter:
    return Counter(name, help_text, QUEUE, registry=registry).labels(CONTROLLER, CONTROLLER)


def _seconds_of_queue(registry: CollectorRegistry, name: str, help_text: str) -> Histogram:
    histogram = Histogram(name, help_text, QUEUE, buckets=QUEUE_SECONDS, registry=registry)
    return histogram.labels(CONTROLLER, CONTROLLER)
