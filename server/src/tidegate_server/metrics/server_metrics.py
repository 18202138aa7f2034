"""The server's counters. Made for the hot path: an update is a lock and a few additions.

Every series exists from the start, at zero: a judge that compares two readings must not meet a counter that springs
into being with its first failure already counted. No label's value comes from a request.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import process_time, time  # noqa: TID251 - a shell: the time of the last run is for people
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from tidegate_server.memory import resident_bytes
from tidegate_server.metrics.collector import SnapshotCollector
from tidegate_server.metrics.histogram import Histogram, latency_buckets
from tidegate_server.metrics.inputs import InputCounter
from tidegate_server.metrics.predictions import OTHER, PredictionCounts, PredictionPlan, count_predictions
from tidegate_server.metrics.snapshot import (
    DIRECT,
    LIVE,
    PREVIEW,
    GaugeCallbacks,
    Identity,
    RunPlan,
    Snapshot,
    TrafficCounts,
)
from tidegate_server.metrics.statistics import statistics
from tidegate_server.protocol.tensors import Outputs
from tidegate_server.protocol.training_profile import TrainingProfile

CODES = (200, 400, 401, 403, 404, 405, 408, 411, 413, 415, 429, 431, 499, 500, 501, 503, 504)
PROTOCOLS = ("v2", "predict", "grpc", "dialect")
REASONS = ("queue_full", "deadline", "cancelled", "model", "not_finite", "not_allowed", "invalid", "ending")
MAX_EXACT_BATCH_SIZE = 512
"""Larger batches are counted under the next power of two, so that a list of sizes stays a list."""
MAX_BATCH_SIZE = 2**24

MAX_UNCOUNTED = 64
"""Requests that ended are counted together, so many at a time and before anybody reads."""
MAX_PENDING_ROWS = 256
MAX_PENDING_ELEMENTS = 65_536
"""Outputs are kept until there are so many of them, and are then counted together."""


@dataclass(slots=True)
class _PendingOutputs:
    """Outputs whose predictions haven't been counted yet."""

    batches: list[Outputs] = field(default_factory=list)
    rows: int = 0
    elements: int = 0


@dataclass(slots=True)
class _Apart:
    """What isn't live traffic, counted once more by itself."""

    by_code: dict[str, int]
    duration: Histogram
    prediction_counts: PredictionCounts
    pending: _PendingOutputs = field(default_factory=_PendingOutputs)


class ServerMetrics:
    """Counts inference requests. Any thread may call anything."""

    def __init__(
        self,
        identity: Identity,
        predictions: PredictionPlan | None = None,
        profile: TrainingProfile | None = None,
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        """Everything at zero. `clock` gives seconds of Unix time."""
        bounds = latency_buckets()
        self._bounds = bounds
        self._identity, self._clock = identity, clock
        self._plan = predictions or PredictionPlan()
        self._counted_outputs = self._plan.counted_outputs
        self._lock = Lock()
        self._started = 0
        self._responses = {protocol: dict.fromkeys((*map(str, CODES), OTHER), 0) for protocol in (*PROTOCOLS, OTHER)}
        self._by_code = {code: str(code) for code in CODES}
        self._finished: deque[tuple[str, int, float, float, str]] = deque()
        """Requests that ended and haven't been counted yet."""
        self._duration = Histogram(bounds)
        self._succeeded, self._success_seconds = 0, 0.0
        self._phases = {phase: Histogram(bounds) for phase in ("queue", "run", "encode")}
        self._batches: dict[int, list[float]] = {}
        self._rows = 0
        self._failures = dict.fromkeys((*REASONS, OTHER), 0)
        self._last_run = 0.0
        self._pending = _PendingOutputs()
        self._prediction_counts = count_predictions(self._plan, ())
        codes = (*map(str, CODES), OTHER)
        self._apart = {
            traffic: _Apart(dict.fromkeys(codes, 0), Histogram(bounds), self._prediction_counts)
            for traffic in (PREVIEW, DIRECT)
        }
        self.inputs = InputCounter(profile, (LIVE, *self._apart)) if profile else None
        """Told of each request that has run; None where nothing is known of the training."""
        self.run_plan = RunPlan()
        """Set after the warm-up."""
        self.callbacks = GaugeCallbacks()
        self.merge: Callable[[Snapshot], Snapshot] = lambda own: own
        """Set in the process that reports for several: adds the others' numbers to its own."""
        self.statistics_source: Callable[[], dict[str, Any]] = lambda: statistics(self.merge(self.snapshot()))
        """Set in the other processes: the statistics of all."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SnapshotCollector(lambda: self.merge(self.snapshot())))
        ProcessCollector(registry=self._registry)

    # --- on the hot path

    def request_started(self) -> None:
        """An inference request has arrived; `request_finished` follows, whatever happens."""
        with self._lock:
            self._started += 1

    def request_finished(
        self, protocol: str, code: int, seconds: float, encode_seconds: float = 0.0, traffic: str = LIVE
    ) -> None:
        """It ended with this HTTP status (gRPC's translated) after this time from its arrival.

        `protocol` is v2, predict or grpc. `encode_seconds` is what encoding the response took; 0 where there was none.
        """
        self._finished.append((protocol, code, seconds, encode_seconds, traffic))
        if len(self._finished) >= MAX_UNCOUNTED:
            with self._lock:
                self._count_finished()

    def _count_finished(self) -> None:
        """Under the lock. Together they take a fraction of the time that each takes by itself."""
        finished, bounds = self._finished, self._bounds
        duration, encode = self._duration, self._phases["encode"]
        while finished:
            protocol, code, seconds, encode_seconds, traffic = finished.popleft()
            bucket, code_text = bisect_left(bounds, seconds), self._by_code.get(code, OTHER)
            (self._responses.get(protocol) or self._responses[OTHER])[code_text] += 1
            duration.counts[bucket] += 1
            duration.total += seconds
            if code < 400:
                self._succeeded += 1
                self._success_seconds += seconds
            if traffic:
                apart = self._apart[traffic]
                apart.by_code[code_text] += 1
                apart.duration.counts[bucket] += 1
                apart.duration.total += seconds
            if encode_seconds:
                encode.observe(encode_seconds)

    def batch_ran(
        self,
        rows: int,
        queue_seconds: Sequence[float],
        run_seconds: float,
        outputs: Outputs,
        traffic: str = LIVE,
    ) -> None:
        """A batch of `rows` ran in `run_seconds`. `queue_seconds`: how long each of its requests had waited before.

        Of a batch whose requests came differently, `outputs` are empty here and told by `predicted`.
        """
        bounds, now = self._bounds, self._clock()
        waits = [bisect_left(bounds, seconds) for seconds in queue_seconds]
        size = rows if rows <= MAX_EXACT_BATCH_SIZE else min(1 << (rows - 1).bit_length(), MAX_BATCH_SIZE)
        with self._lock:
            queue = self._phases["queue"]
            for bucket in waits:
                queue.counts[bucket] += 1
            queue.total += sum(queue_seconds)
            self._phases["run"].observe(run_seconds, len(queue_seconds))
            self._rows += rows
            self._last_run = now
            batch = self._batches.get(size)
            if batch is None:
                batch = self._batches[size] = [0, 0.0]
            batch[0] += 1
            batch[1] += run_seconds
            full = self._append_pending(rows, outputs, traffic) if self._counted_outputs and outputs else None
        if full is not None:
            self._count(full, traffic)

    def predicted(self, rows: int, outputs: Outputs, traffic: str) -> None:
        """Counts what one request of a batch was answered."""
        with self._lock:
            full = self._append_pending(rows, outputs, traffic) if self._counted_outputs else None
        if full is not None:
            self._count(full, traffic)

    def request_failed(self, reason: str) -> None:
        """A request got no prediction. `reason` is one of REASONS; any other counts as `other`."""
        with self._lock:
            self._failures[reason if reason in self._failures else OTHER] += 1

    # --- predictions

    def _append_pending(self, rows: int, outputs: Outputs, traffic: str) -> _PendingOutputs | None:
        """Under the lock. Returns what is to be counted now."""
        pending = self._apart[traffic].pending if traffic else self._pending
        kept = {name: outputs[name] for name in self._counted_outputs if name in outputs}
        pending.batches.append(kept)
        pending.rows += rows
        pending.elements += sum([array.size for array in kept.values()])
        if pending.rows < MAX_PENDING_ROWS and pending.elements < MAX_PENDING_ELEMENTS:
            return None
        return self._take_pending(traffic)

    def _take_pending(self, traffic: str) -> _PendingOutputs:
        """Under the lock."""
        if traffic:
            apart = self._apart[traffic]
            pending, apart.pending = apart.pending, _PendingOutputs()
        else:
            pending, self._pending = self._pending, _PendingOutputs()
        return pending

    def _count(self, pending: _PendingOutputs, traffic: str) -> None:
        found = count_predictions(self._plan, pending.batches)
        with self._lock:
            if traffic:
                self._apart[traffic].prediction_counts += found
            else:
                self._prediction_counts += found

    # --- read

    def snapshot(self) -> Snapshot:
        """All numbers of one instant."""
        for traffic in (LIVE, *self._apart):
            with self._lock:
                pending = self._take_pending(traffic)
            if pending.batches:
                self._count(pending, traffic)
        inputs = self.inputs.counts() if self.inputs else None
        # Called without the lock: nobody knows what these wait for.
        queue_length, log_lines_dropped = self.callbacks.queue_length(), self.callbacks.log_lines_dropped()
        bodies_logged, bodies_not_logged = self.callbacks.bodies_logged()
        tls_failures, tls_expires = self.callbacks.tls() if self.callbacks.tls else (0, None)
        with self._lock:
            self._count_finished()
            return Snapshot(
                identity=self._identity,
                prediction_plan=self._plan,
                started=self._started,
                responses={protocol: dict(codes) for protocol, codes in self._responses.items()},
                duration=self._duration.copy(),
                succeeded=self._succeeded,
                success_seconds=self._success_seconds,
                phases={phase: histogram.copy() for phase, histogram in self._phases.items()},
                batches={size: (int(count), seconds) for size, (count, seconds) in sorted(self._batches.items())},
                rows=self._rows,
                failures=dict(self._failures),
                last_run=self._last_run,
                prediction_counts=self._prediction_counts,
                apart={
                    traffic: TrafficCounts(dict(each.by_code), each.duration.copy(), each.prediction_counts)
                    for traffic, each in self._apart.items()
                },
                run_plan=self.run_plan,
                queue_length=queue_length,
                log_lines_dropped=log_lines_dropped,
                resident_bytes=resident_bytes(),
                cpu_seconds=process_time(),
                bodies_logged=bodies_logged,
                bodies_not_logged=bodies_not_logged,
                tls_failures=tls_failures,
                tls_expires=tls_expires,
                inputs=inputs,
            )

    def statistics(self) -> dict[str, Any]:
        """The protocol's statistics of this one model, for `/v2/models/NAME/stats`."""
        return self.statistics_source()

    def exposition(self) -> bytes:
        """Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
