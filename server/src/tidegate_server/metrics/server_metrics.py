"""What the server counts, while it answers. Made for the hot path: an update is a lock and a few additions.

Every series exists from the start, at zero: a judge that compares two readings must not meet a counter that springs
into being with its first failure already counted. No label's value comes from a request.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import process_time, time  # noqa: TID251 - a shell: the time of the last run is for people
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from tidegate_server.memory import resident_bytes
from tidegate_server.metrics.families import Families
from tidegate_server.metrics.histogram import Histogram, latency_buckets
from tidegate_server.metrics.predictions import Array, PredictionPlan, tally
from tidegate_server.metrics.snapshot import OTHER, Identity, RunPlan, Snapshot, Watched
from tidegate_server.metrics.statistics import statistics

CODES = (200, 400, 401, 403, 404, 405, 408, 411, 413, 415, 429, 431, 499, 500, 501, 503, 504)
PROTOCOLS = ("v2", "predict", "grpc")
REASONS = ("queue_full", "deadline", "model", "not_finite", "not_allowed", "invalid", "ending")
EXACT_BATCH_SIZES = 512
"""Larger batches are counted under the next power of two, so that a list of sizes stays a list."""
LARGEST_BATCH_SIZE = 2**24

ROWS_AT_ONCE = 256
ELEMENTS_AT_ONCE = 65_536
"""Answers wait until there are so many of them, and are then counted together."""


@dataclass(slots=True)
class _Pending:
    """Answers whose predictions haven't been counted yet."""

    batches: list[Mapping[str, Array]] = field(default_factory=list)
    rows: int = 0
    elements: int = 0


class ServerMetrics:
    """Counts inference requests. Any thread may call anything."""

    def __init__(
        self,
        identity: Identity,
        predictions: PredictionPlan | None = None,
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        bounds = latency_buckets()
        self._bounds = bounds
        self._identity, self._clock = identity, clock
        self._plan = predictions or PredictionPlan()
        self._reads = self._plan.reads
        self._lock = Lock()
        self._began = 0
        self._answers = {protocol: dict.fromkeys((*map(str, CODES), OTHER), 0) for protocol in (*PROTOCOLS, OTHER)}
        self._by_code = {code: str(code) for code in CODES}
        self._duration = Histogram(bounds)
        self._answered_well, self._seconds_well = 0, 0.0
        self._phases = {phase: Histogram(bounds) for phase in ("queue", "run", "encode")}
        self._batches: dict[int, list[float]] = {}
        self._rows = 0
        self._reasons = dict.fromkeys((*REASONS, OTHER), 0)
        self._last_run = 0.0
        self._pending = _Pending()
        self._tally = tally(self._plan, ())
        self._run_plan = RunPlan()
        self._watched = Watched()
        self._registry = CollectorRegistry(auto_describe=False)
        self._gathered: Callable[[Snapshot], Snapshot] = lambda own: own
        self._statistics: Callable[[], dict[str, Any]] = lambda: statistics(self._gathered(self.snapshot()))
        self._registry.register(Families(lambda: self._gathered(self.snapshot())))
        ProcessCollector(registry=self._registry)

    # --- on the hot path

    def began(self) -> None:
        """An inference request has arrived; `answered` follows, whatever happens."""
        with self._lock:
            self._began += 1

    def answered(self, protocol: str, code: int, seconds: float, encode_seconds: float = 0.0) -> None:
        """It ended with this HTTP status (gRPC's translated) after this time from its arrival.

        `protocol` is v2, predict or grpc. `encode_seconds` is what writing the answer took; 0 when none was written.
        """
        bucket = bisect_left(self._bounds, seconds)
        by_code = self._answers.get(protocol) or self._answers[OTHER]
        code_text = self._by_code.get(code, OTHER)
        with self._lock:
            by_code[code_text] += 1
            duration = self._duration
            duration.counts[bucket] += 1
            duration.total += seconds
            if code < 400:
                self._answered_well += 1
                self._seconds_well += seconds
            if encode_seconds:
                self._phases["encode"].observe(encode_seconds)

    def queued_and_ran(
        self,
        requests: int,
        rows: int,
        queue_seconds: Sequence[float],
        run_seconds: float,
        outputs: Mapping[str, Array],
    ) -> None:
        """A batch of `requests` with `rows` together ran in `run_seconds`; each request had waited so long before."""
        bounds, now = self._bounds, self._clock()
        waits = [bisect_left(bounds, seconds) for seconds in queue_seconds]
        size = rows if rows <= EXACT_BATCH_SIZES else min(1 << (rows - 1).bit_length(), LARGEST_BATCH_SIZE)
        with self._lock:
            queue = self._phases["queue"]
            for bucket in waits:
                queue.counts[bucket] += 1
            queue.total += sum(queue_seconds)
            self._phases["run"].observe(run_seconds, requests)
            self._rows += rows
            self._last_run = now
            batch = self._batches.get(size)
            if batch is None:
                batch = self._batches[size] = [0, 0.0]
            batch[0] += 1
            batch[1] += run_seconds
            full = self._keep(rows, outputs) if self._reads else None
        if full is not None:
            self._count(full)

    def failed(self, reason: str) -> None:
        """A request got no prediction. `reason` is one of REASONS; any other counts as `other`."""
        with self._lock:
            self._reasons[reason if reason in self._reasons else OTHER] += 1

    # --- predictions

    def _keep(self, rows: int, outputs: Mapping[str, Array]) -> _Pending | None:
        """Holds the lock. Hands back what is to be counted now."""
        pending = self._pending
        kept = {name: outputs[name] for name in self._reads if name in outputs}
        pending.batches.append(kept)
        pending.rows += rows
        pending.elements += sum([array.size for array in kept.values()])
        if pending.rows < ROWS_AT_ONCE and pending.elements < ELEMENTS_AT_ONCE:
            return None
        self._pending = _Pending()
        return pending

    def _count(self, pending: _Pending) -> None:
        found = tally(self._plan, pending.batches)
        with self._lock:
            self._tally = self._tally.plus(found)

    # --- told once

    def planned(self, *, threads_per_run: int, runs_at_once: int, max_rows: int, inline: bool) -> None:
        """How the machine is shared between runs, from the warm-up."""
        self._run_plan = RunPlan(threads_per_run, runs_at_once, max_rows, inline)

    def watch(
        self,
        *,
        queue_length: Callable[[], int] | None = None,
        log_lines_dropped: Callable[[], int] | None = None,
    ) -> None:
        """Numbers that others keep; they are asked at every scrape, from the scrape's thread."""
        if queue_length is not None:
            self._watched.queue_length = queue_length
        if log_lines_dropped is not None:
            self._watched.log_lines_dropped = log_lines_dropped

    def gather(self, gathered: Callable[[Snapshot], Snapshot]) -> None:
        """Of several processes the first one reports: `gathered` adds the others' numbers to its own."""
        self._gathered = gathered

    def ask_for_statistics(self, ask: Callable[[], dict[str, Any]]) -> None:
        """Of several processes all but the first ask it for the statistics of all."""
        self._statistics = ask

    # --- read

    def snapshot(self) -> Snapshot:
        """All numbers of one instant."""
        with self._lock:
            pending, self._pending = self._pending, _Pending()
        if pending.batches:
            self._count(pending)
        # Asked without the lock: nobody knows what these wait for.
        queue_length, log_lines_dropped = self._watched.queue_length(), self._watched.log_lines_dropped()
        with self._lock:
            return Snapshot(
                identity=self._identity,
                predictions=self._plan,
                began=self._began,
                answers={protocol: dict(codes) for protocol, codes in self._answers.items()},
                duration=self._duration.copy(),
                answered_well=self._answered_well,
                seconds_well=self._seconds_well,
                phases={phase: histogram.copy() for phase, histogram in self._phases.items()},
                batches={size: (int(count), seconds) for size, (count, seconds) in sorted(self._batches.items())},
                rows=self._rows,
                reasons=dict(self._reasons),
                last_run=self._last_run,
                tally=self._tally,
                run_plan=self._run_plan,
                queue_length=queue_length,
                log_lines_dropped=log_lines_dropped,
                resident_bytes=resident_bytes(),
                cpu_seconds=process_time(),
            )

    def statistics(self) -> dict[str, Any]:
        """The protocol's statistics of this one model, for `/v2/models/NAME/stats`."""
        return self._statistics()

    def exposition(self) -> bytes:
        """Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
