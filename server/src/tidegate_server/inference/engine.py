"""Runs what waits, in batches. Its state belongs to the event loop's thread, so there are no locks.

Nothing waits while the model is idle. While runs are going on, requests gather, and the next free run takes as many
as fit. Small models run in the event loop's own thread: everything that arrived in one turn of the loop is one batch.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Protocol

import numpy as np

from tidegate_server.errors import DeadlinePassed, ModelFailed, NotReady, Overloaded
from tidegate_server.inference.model import Model, StopSwitch
from tidegate_server.inference.plan import Plan, elements_per_row
from tidegate_server.inference.queue import Done, Group, InferenceQueue, QueueLimits, Waiting, rows_of
from tidegate_server.protocol.request import InferRequest, WantedOutput
from tidegate_server.protocol.tensors import Array

log = logging.getLogger(__name__)

Outputs = dict[str, Array]

TOO_LONG_SECONDS, TOO_MANY_LONG_RUNS = 0.05, 10
"""For runs in the event loop's own thread."""
ALL = "all"
"""The group of requests whose rows the graph itself makes alike."""


class RunMetrics(Protocol):
    """What the engine tells of its work."""

    def queued_and_ran(
        self,
        requests: int,
        rows: int,
        queue_seconds: Sequence[float],
        run_seconds: float,
        outputs: Mapping[str, Array],
    ) -> None: ...

    def failed(self, reason: str) -> None: ...


@dataclass(frozen=True)
class EngineLimits:
    queue: QueueLimits
    request_seconds: float
    """From a request's arrival at the engine to its answer; a run that nobody waits for any more is ended."""


@dataclass(slots=True)
class _Run:
    """A batch on its way through another thread."""

    batch: list[Waiting]
    names: tuple[str, ...]
    switch: StopSwitch
    started: float = 0.0
    seconds: float = 0.0


class Engine:
    """All methods belong to the loop's thread."""

    def __init__(
        self, model: Model, plan: Plan, limits: EngineLimits, metrics: RunMetrics, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._model, self._plan, self._limits, self._metrics, self._loop = model, plan, limits, metrics, loop
        self._inputs = tuple(spec.name for spec in model.signature.inputs)
        self._only_input = self._inputs[0] if len(self._inputs) == 1 else None
        self._one_group = elements_per_row(model.signature) is not None
        self._any_group: Group | None = None if plan.max_rows == 1 else ALL
        self._inline_rows = plan.max_rows if plan.inline else -1
        self._long_runs = 0
        self._last_outputs: tuple[WantedOutput, ...] = ()
        self._last_names: tuple[str, ...] = ()
        self.queue = InferenceQueue(limits.queue)
        self._flush_is_due = False
        self._linger: asyncio.TimerHandle | None = None
        # Where nothing is gained by waiting for company, every run finds the next one laid out beside it.
        self._places = plan.split.runs_at_once * (2 if plan.max_rows == 1 else 1)
        self._free = self._places
        self._work: SimpleQueue[_Run | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._ended = False

    # --- from the doors

    def submit(self, request: InferRequest, done: Done) -> None:
        """`done` is called once, later or at once, in this thread."""
        if self._ended:
            done(NotReady(), 0.0, 0.0)
            return
        item = self._waiting(request, done)
        if not self.queue.offer(item):
            self._metrics.failed("queue_full")
            done(Overloaded(self._seconds_of_queue()), 0.0, 0.0)
            return
        if item.rows <= self._inline_rows and (item.group is not None or self._inline_rows == 1):
            self._flush_soon()
            return
        item.timer = self._loop.call_at(self._loop.time() + item.deadline - item.arrived, self._expire, item)
        self._dispatch()

    @property
    def is_running(self) -> bool:
        """A run is going on in another thread."""
        return self._free < self._places

    def end(self) -> None:
        """Nothing runs after this but what runs now."""
        self._ended = True
        for _ in self._threads:
            self._work.put(None)

    def _waiting(self, request: InferRequest, done: Done) -> Waiting:
        now = perf_counter()
        seconds = self._limits.request_seconds
        if request.timeout_seconds is not None:
            seconds = min(seconds, request.timeout_seconds)
        rows, group, size = self._measured(request.arrays)
        return Waiting(request, self._names_of(request.outputs), rows, group, size, now, now + seconds, done)

    def _measured(self, arrays: Mapping[str, Array]) -> tuple[int, Group | None, int]:
        """Rows, group and bytes."""
        if self._only_input is not None:
            # By far the most models have one input, and by far the most requests are small: this is their road.
            array = arrays[self._only_input]
            shape = array.shape
            if self._one_group:
                return shape[0], self._any_group, array.nbytes
            if not shape:
                return 1, None, array.nbytes
            return shape[0], self._any_group and shape[1:], array.nbytes
        size = sum([array.nbytes for array in arrays.values()])
        shapes = [arrays[name].shape for name in self._inputs]
        rows = shapes[0][0] if shapes and shapes[0] else 1
        if any(not shape or shape[0] != rows for shape in shapes):
            return rows, None, size
        return rows, self._any_group and tuple([shape[1:] for shape in shapes]), size

    def _names_of(self, outputs: tuple[WantedOutput, ...]) -> tuple[str, ...]:
        # Most requests ask for the same, and the protocol's reader gives them the same tuple.
        if outputs is not self._last_outputs:
            self._last_outputs = outputs
            self._last_names = tuple([wanted.name for wanted in outputs])
        return self._last_names

    def _seconds_of_queue(self) -> int:
        """A guess at when there'll be room again, for Retry-After."""
        batches = len(self.queue) / self._plan.max_rows / self._plan.split.runs_at_once
        return min(30, max(1, ceil(batches * self._plan.run_seconds)))

    # --- in this thread

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            # After everything that has arrived by now has been read.
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        while len(self.queue):
            batch = self.queue.take(self._plan.max_rows)
            if batch[0].timer is not None:
                # A large one among small ones; it goes where its size belongs.
                self._run_elsewhere(batch)
                continue
            names = _union(batch)
            started = perf_counter()
            result = run_batch(self._model, batch, names, None)
            seconds = perf_counter() - started
            self._deliver(batch, started, seconds, result)
            if seconds > TOO_LONG_SECONDS:
                self._leave_the_loop()

    def _leave_the_loop(self) -> None:
        """A pause of the machine can make any run long. A model that is often slow has been measured wrongly."""
        self._long_runs += 1
        if self._long_runs == TOO_MANY_LONG_RUNS:
            self._inline_rows = -1
            log.warning("small batches take longer than %g s; they run in threads of their own now", TOO_LONG_SECONDS)

    # --- in other threads

    def _dispatch(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        while self._free and len(self.queue):
            if self._free < self._places and not self._company_came():
                return
            self._run_elsewhere(self.queue.take(self._plan.max_rows))

    def _company_came(self) -> bool:
        """Starts the wait for company unless it isn't worth it or over."""
        plan = self._plan
        if not plan.linger_seconds or self.queue.has_full_batch(plan.max_rows):
            return True
        left = plan.linger_seconds - (perf_counter() - self.queue.oldest.arrived)
        if left <= 0:
            return True
        self._linger = self._loop.call_later(left, self._dispatch)
        return False

    def _run_elsewhere(self, batch: list[Waiting]) -> None:
        if not self._threads:
            self._start_threads()
        self._free -= 1
        run = _Run(batch, _union(batch), StopSwitch())
        for item in batch:
            item.run = run
        self._work.put(run)

    def _start_threads(self) -> None:
        for number in range(self._plan.split.runs_at_once):
            thread = Thread(target=self._run_forever, name=f"run-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_forever(self) -> None:
        while (run := self._work.get()) is not None:
            if all(item.answered for item in run.batch):
                run.switch.stop()  # nobody waits for it any more
            run.started = perf_counter()
            result = run_batch(self._model, run.batch, run.names, run.switch)
            run.seconds = perf_counter() - run.started
            try:
                self._loop.call_soon_threadsafe(self._ran, run, result)
            except RuntimeError:  # the loop has ended: the drain's deadline came first
                return

    def _ran(self, run: _Run, result: "BatchResult") -> None:
        self._free += 1
        self._deliver(run.batch, run.started, run.seconds, result)
        self._dispatch()

    def _expire(self, item: Waiting) -> None:
        if item.answered:
            return
        item.answered = True
        self.queue.remove(item)
        self._metrics.failed("deadline")
        seconds = item.deadline - item.arrived
        item.done(DeadlinePassed(seconds), seconds, 0.0)
        run = item.run
        if run is not None and all(member.answered for member in run.batch):
            run.switch.stop()

    # --- both

    def _deliver(self, batch: list[Waiting], started: float, seconds: float, result: "BatchResult") -> None:
        self._count(batch, started, seconds, result)
        for item, outputs in zip(batch, result.parts, strict=True):
            if item.timer is not None:
                item.timer.cancel()
            if item.answered:
                continue
            item.answered = True
            if isinstance(outputs, ModelFailed):
                self._metrics.failed("model")
            item.done(outputs, started - item.arrived, seconds)

    def _count(self, batch: list[Waiting], started: float, seconds: float, result: "BatchResult") -> None:
        try:
            self._tell(batch, started, seconds, result)
        except Exception:
            # Numbers are worth less than the answers that wait behind them.
            log.exception("a batch couldn't be counted")

    def _tell(self, batch: list[Waiting], started: float, seconds: float, result: "BatchResult") -> None:
        if result.whole is not None:
            queued = [started - item.arrived for item in batch]
            self._metrics.queued_and_ran(len(batch), rows_of(batch), queued, seconds, result.whole)
            return
        for item, outputs in zip(batch, result.parts, strict=True):
            if not isinstance(outputs, Exception):
                self._metrics.queued_and_ran(1, item.rows, [started - item.arrived], seconds / len(batch), outputs)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Each member's outputs, or why there are none; and the outputs of the whole batch, where it ran as one."""

    parts: "Sequence[Outputs | ModelFailed]"
    whole: Outputs | None


def run_batch(model: Model, batch: Sequence[Waiting], names: tuple[str, ...], switch: StopSwitch | None) -> BatchResult:
    """Where the run fails, its members run one by one: a bad row fails alone."""
    if len(batch) == 1:
        return _run_one_by_one(model, batch, switch)
    try:
        arrays = {
            name: np.concatenate([item.request.arrays[name] for item in batch]) for name in batch[0].request.arrays
        }
        results = model.run(arrays, names, switch)
    except (ModelFailed, MemoryError, ValueError):
        return _run_one_by_one(model, batch, switch)
    rows = rows_of(batch)
    if any(result.ndim == 0 or result.shape[0] != rows for result in results):
        return _run_one_by_one(model, batch, switch)
    outputs = dict(zip(names, results, strict=True))
    return BatchResult(_parts(batch, outputs), outputs)


def _run_one_by_one(model: Model, batch: Sequence[Waiting], switch: StopSwitch | None) -> BatchResult:
    parts: list[Outputs | ModelFailed] = []
    for item in batch:
        try:
            results = model.run(item.request.arrays, item.names, switch)
        except ModelFailed as error:
            parts.append(error)
        else:
            parts.append(dict(zip(item.names, results, strict=True)))
    whole = parts[0] if len(parts) == 1 and not isinstance(parts[0], ModelFailed) else None
    return BatchResult(parts, whole)


def _parts(batch: Sequence[Waiting], outputs: Outputs) -> Sequence[Outputs]:
    parts = []
    begin = 0
    for item in batch:
        end = begin + item.rows
        parts.append({name: outputs[name][begin:end] for name in item.names})
        begin = end
    return parts


def _union(batch: Sequence[Waiting]) -> tuple[str, ...]:
    names = batch[0].names
    if all(item.names == names for item in batch):
        return names
    return tuple(dict.fromkeys(name for item in batch for name in item.names))
