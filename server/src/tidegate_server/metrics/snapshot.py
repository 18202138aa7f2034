"""The server's numbers at one instant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from tidegate_server.metrics.histogram import Histogram
from tidegate_server.metrics.inputs import InputCounts
from tidegate_server.metrics.predictions import PredictionCounts, PredictionPlan

LIVE, PREVIEW, DIRECT = "", "preview", "direct"
"""How a request came: drawn by the router, to a revision by its name, or past the router. The first bears no label."""

_NO_BATCH = (0, 0.0)
_COUNTERS = ("started", "duration", "succeeded", "success_seconds", "rows", "prediction_counts", "log_lines_dropped")
_ADDED = (
    *_COUNTERS,
    "tls_failures",
    "bodies_logged",
    "bodies_not_logged",
    "queue_length",
    "resident_bytes",
    "cpu_seconds",
    "processes",
)


@dataclass(frozen=True)
class Identity:
    """Whose metrics these are."""

    model_deployment: str
    revision: str
    sha256: str
    model: str = ""
    """The model's name; empty where it is the last part of `model_deployment`."""

    @property
    def model_name(self) -> str:
        """The name that clients ask for."""
        return self.model or self.model_deployment.rpartition("/")[2]


@dataclass(frozen=True)
class RunPlan:
    """How the CPUs are shared between runs; zeros until the warm-up has chosen."""

    threads_per_run: int = 0
    runs_at_once: int = 0
    max_rows: int = 0
    inline: bool = False


@dataclass
class GaugeCallbacks:
    """For numbers that others keep; called at every scrape, in the scrape's thread."""

    queue_length: Callable[[], int] = lambda: 0
    log_lines_dropped: Callable[[], int] = lambda: 0
    bodies_logged: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """How many the sink took, and how many were dropped."""
    tls: Callable[[], tuple[int, float]] | None = None
    """Renewed certificates that couldn't be used, and when the one in use ends, in Unix seconds; None without TLS."""


@dataclass(frozen=True)
class TrafficCounts:
    """What came in one way, as far as a judge would count it."""

    by_code: Mapping[str, int]
    duration: Histogram
    prediction_counts: PredictionCounts

    def __add__(self, other: "TrafficCounts") -> "TrafficCounts":
        return TrafficCounts(
            {code: count + other.by_code[code] for code, count in self.by_code.items()},
            self.duration + other.duration,
            self.prediction_counts + other.prediction_counts,
        )


@dataclass(frozen=True)
class Snapshot:
    """Everything that is counted since the start, and gauges."""

    identity: Identity
    prediction_plan: PredictionPlan
    started: int
    responses: Mapping[str, Mapping[str, int]]
    """By protocol, then by status."""
    duration: Histogram
    succeeded: int
    success_seconds: float
    """Requests that ended with a status below 400, and their time together."""
    phases: Mapping[str, Histogram]
    """Per request: a run of a batch counts for each request in it."""
    batches: Mapping[int, tuple[int, float]]
    """By rows, ascending: how many batches ran, and their seconds together."""
    rows: int
    failures: Mapping[str, int]
    last_run: float
    """Seconds of the epoch; 0 before the first."""
    prediction_counts: PredictionCounts
    """Without those of `apart`."""
    apart: Mapping[str, TrafficCounts]
    """By how it came: requests that aren't live traffic. They are part of everything else here."""
    run_plan: RunPlan
    queue_length: int
    log_lines_dropped: int
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    processes: int = 1
    bodies_logged: int = 0
    bodies_not_logged: int = 0
    tls_failures: int = 0
    tls_expires: float | None = None
    """Unix seconds; None without TLS."""
    inputs: InputCounts | None = None
    """None where nothing is known of the training."""

    @property
    def finished(self) -> int:
        """Requests with a response, of all protocols and statuses."""
        return sum(sum(codes.values()) for codes in self.responses.values())

    @property
    def by_code(self) -> dict[str, int]:
        """All protocols together."""
        counts: dict[str, int] = {}
        for codes in self.responses.values():
            for code, count in codes.items():
                counts[code] = counts.get(code, 0) + count
        return counts

    @property
    def live_by_code(self) -> dict[str, int]:
        """As `by_code`, without what came apart."""
        counts = self.by_code
        for each in self.apart.values():
            for code, count in each.by_code.items():
                counts[code] -= count
        return counts

    @property
    def live_duration(self) -> Histogram:
        """As `duration`, without what came apart."""
        live = self.duration.copy()
        for each in self.apart.values():
            live.counts = [a - b for a, b in zip(live.counts, each.duration.counts, strict=True)]
            live.total -= each.duration.total
        return live

    @property
    def not_finite(self) -> int:
        """Rows of an output with NaN or infinity in them, however they came."""
        return sum(each.not_finite for each in (self.prediction_counts, *self._predictions_apart))

    @property
    def _predictions_apart(self) -> tuple[PredictionCounts, ...]:
        return tuple(each.prediction_counts for each in self.apart.values())

    @property
    def batches_run(self) -> int:
        """Of all sizes."""
        return sum(count for count, _ in self.batches.values())

    @property
    def run_seconds(self) -> float:
        """A batch counts once."""
        return sum(seconds for _, seconds in self.batches.values())


def merged(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Sums of several processes that serve the same revision, as if they were one; at least one snapshot."""
    return reduce(_sum, snapshots)


def _sum(one: Snapshot, other: Snapshot) -> Snapshot:
    added: dict[str, Any] = {field: getattr(one, field) + getattr(other, field) for field in _ADDED}
    return replace(
        one,
        **added,
        responses={
            protocol: {code: count + other.responses[protocol][code] for code, count in codes.items()}
            for protocol, codes in one.responses.items()
        },
        phases={phase: histogram + other.phases[phase] for phase, histogram in one.phases.items()},
        batches={
            size: (
                one.batches.get(size, _NO_BATCH)[0] + other.batches.get(size, _NO_BATCH)[0],
                one.batches.get(size, _NO_BATCH)[1] + other.batches.get(size, _NO_BATCH)[1],
            )
            for size in sorted({*one.batches, *other.batches})
        },
        apart={traffic: counts + other.apart[traffic] for traffic, counts in one.apart.items()},
        failures={reason: count + other.failures[reason] for reason, count in one.failures.items()},
        last_run=max(one.last_run, other.last_run),
        inputs=one.inputs + other.inputs if one.inputs and other.inputs else one.inputs,
    )
