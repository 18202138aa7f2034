"""The server's metrics, on a registry of their own, in the words that the judge reads.

Every series has the labels model_deployment and revision. They exist from the start, at zero: a judge that compares
two readings must not meet a counter that springs into being with its first failure already counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

CODES_FROM_THE_START = (200, 400, 500)


def latency_buckets() -> tuple[float, ...]:
    """Upper bounds in seconds: 0.0005 · 1.2**k, from half a millisecond to the first one from 10 s on."""
    bounds = [0.0005]
    while bounds[-1] < 10:
        bounds.append(0.0005 * 1.2 ** len(bounds))
    return tuple(bounds)


@dataclass(frozen=True)
class Identity:
    """Whose metrics these are."""

    model_deployment: str
    revision: str
    sha256: str


class ServerMetrics:
    """Counts inference requests. Safe to use from any thread."""

    def __init__(self, identity: Identity) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        labels = {"model_deployment": identity.model_deployment, "revision": identity.revision}
        names = tuple(labels)
        requests = Counter(
            "tidegate_server_requests", "Answered inference requests", (*names, "code"), registry=self._registry
        )
        self._by_code = {code: requests.labels(**labels, code=str(code)) for code in CODES_FROM_THE_START}
        self._requests, self._labels = requests, labels
        self._duration = Histogram(
            "tidegate_server_request_duration_seconds",
            "Time from an inference request's arrival at the application to its answer, failures too",
            names,
            buckets=latency_buckets(),
            registry=self._registry,
        ).labels(**labels)
        self.in_flight = Gauge(
            "tidegate_server_requests_in_flight", "Inference requests being answered", names, registry=self._registry
        ).labels(**labels)
        Gauge(
            "tidegate_server_model_info", "Which bytes are served", (*names, "sha256"), registry=self._registry
        ).labels(**labels, sha256=identity.sha256).set(1)

    def answered(self, code: int, seconds: float) -> None:
        """One inference request ended with this status after this time."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code.setdefault(code, self._requests.labels(**self._labels, code=str(code)))
        counter.inc()
        self._duration.observe(seconds)

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(_WithoutCreated(self._registry))


@dataclass(frozen=True)
class _WithoutCreated:
    """The client library's switch against `_created` series is global to the process; this is not."""

    registry: Any

    def collect(self) -> Iterator[Metric]:
        for metric in self.registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
