"""Runs queued requests in batches. Its state belongs to the event loop's thread, so there are no locks.

Nothing waits while the model is idle. While runs are going on, requests gather, and the next free run takes as many
as fit. Small models run in the event loop's own thread: everything that arrived in one turn of the loop is one batch.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from queue import SimpleQueue
from threading import Thread
from time import perf_counter, thread_time
from typing import Any, Protocol

from tidegate_server.errors import CallerLeft, DeadlinePassed, ModelFailed, NotReady, Overloaded, RequestError
from tidegate_server.inference.batch_run import BatchResult, all_names, run_batch
from tidegate_server.inference.caller import Cancel
from tidegate_server.inference.execution_plan import ExecutionPlan, part_rows
from tidegate_server.inference.inline_runs import SLOW_RUN_SECONDS, InlineRuns
from tidegate_server.inference.model import CancelToken, Model
from tidegate_server.inference.parted_request import (
    PARTS_AT_ONCE_PER_RUN,
    PartDone,
    PartedRequest,
    first_error,
    joined,
)
from tidegate_server.inference.queue import (
    BatchKey,
    DoneCallback,
    InferenceQueue,
    QueuedBytes,
    QueuedRequest,
    QueueLimits,
    total_rows,
)
from tidegate_server.inference.run_speed import RunSpeed
from tidegate_server.metrics import InputCounter, RunPlan
from tidegate_server.protocol.padding import bucket, width_of
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.tensors import Array, Outputs

log = logging.getLogger(__name__)

AllDone = Callable[[list[Any], float, float], None]
"""Takes outputs in the order of the requests, or a list with an error in it; and seconds as `DoneCallback` does."""
PartAt = Callable[[int], QueuedRequest]
"""One part of a request, by its number."""
ANY_SHAPE = "all"
"""The batch key of all requests to a graph whose rows have one shape."""


@dataclass(frozen=True)
class EngineLimits:
    """What a request may wait for."""

    queue: QueueLimits
    request_seconds: float
    """From a request's arrival at the engine to its outputs; a run that nobody waits for any more is cancelled."""


class EngineMetrics(Protocol):
    """Whom the engine tells of its work, as ServerMetrics has it."""

    run_plan: RunPlan
    inputs: InputCounter | None

    def batch_ran(
        self, rows: int, queue_seconds: Sequence[float], run_seconds: float, outputs: Outputs, traffic: str = ""
    ) -> None:
        """A batch has run."""

    def predicted(self, rows: int, outputs: Outputs, traffic: str) -> None:
        """One request of a batch, whose requests came differently, was answered."""

    def request_failed(self, reason: str) -> None:
        """A request got no prediction."""


@dataclass(slots=True)
class _Run:
    """A batch on its way through another thread."""

    batch: list[QueuedRequest]
    rows: int
    names: tuple[str, ...]
    cancel_token: CancelToken
    started: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the thread that it ran in."""


class Engine:
    """Queues, batches and runs requests. All methods belong to the loop's thread."""

    def __init__(
        self,
        model: Model,
        plan: ExecutionPlan,
        limits: EngineLimits,
        metrics: EngineMetrics,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Starts no threads before they are needed."""
        self._model, self._plan, self._limits, self._metrics, self._loop = model, plan, limits, metrics, loop
        # Where inputs may be left out, no requests share a run.
        self._inputs = tuple(spec.name for spec in model.signature.required_inputs)
        self._only_input = self._inputs[0] if len(model.signature.inputs) == 1 and self._inputs else None
        self._has_fixed_row_shape = model.signature.elements_per_row is not None
        self._part_rows = part_rows(plan)
        self._inline_runs = InlineRuns(planned=plan.runs_inline)
        self._inline_rows = plan.max_rows if plan.runs_inline else -1
        self._last_outputs: tuple[RequestedOutput, ...] = ()
        self._last_names: tuple[str, ...] = ()
        held = QueuedBytes()
        self._queue = InferenceQueue(limits.queue, held)
        self._inline_queue = InferenceQueue(limits.queue, held)
        """What has come in this turn of the loop. Large ones never stand before small ones, nor take their places."""
        self._flush_scheduled = False
        self._linger_timer: asyncio.TimerHandle | None = None
        # Where batches gain nothing, every run finds the next one queued already.
        self._slots = plan.layout.runs_at_once * (2 if plan.max_rows == 1 else 1)
        self._free_slots = self._slots
        self._running_rows = 0
        self._speed = RunSpeed(plan.run_seconds, plan.layout.runs_at_once)
        self._runs: SimpleQueue[_Run | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._stopped = False

    # --- requests

    def submit(self, request: InferRequest, done: DoneCallback, traffic: str = "") -> Cancel | None:
        """`done` is called once, later or at once, in this thread. `traffic` as the metrics call it.

        What is returned gives the request up. None: there is nothing to give up, or it runs before anybody could leave.
        """
        if self._stopped:
            done(NotReady(), 0.0, 0.0)
            return None
        item = self._waiting(request, done, traffic)
        if self._runs_inline(item):
            if self._inline_queue.offer(item):
                self._schedule_flush()
            else:
                self._refuse(item, Overloaded(self._retry_after_seconds()))
            return None
        if refusal := self._refusal(item):
            self._refuse(item, refusal)
            return None
        self._set_timer(item)
        if self._part_rows is not None and item.rows > self._part_rows and item.batch_key is not None:
            self._wait_cut(item, self._part_rows)
        else:
            self._queue.put(item)
            self._dispatch()
        return partial(self._cancel, item)

    def submit_all(self, requests: Sequence[InferRequest], done: AllDone, traffic: str = "") -> Cancel | None:
        """Those of one body: they count once and whole, and a few at a time wait or run.

        `done` and what is returned as with `submit`.
        """
        if self._stopped:
            done([NotReady()], 0.0, 0.0)
            return None
        parts = [self._waiting(request, _nobody, traffic) for request in requests]
        whole = replace(parts[0], rows=total_rows(parts), bytes=sum([part.bytes for part in parts]))
        whole.done = partial(_told_in_a_list, done)
        if refusal := self._refusal(whole):
            self._refuse(whole, refusal)
            return None
        self._set_timer(whole)
        self._wait_in_parts(whole, len(parts), parts.__getitem__, partial(self._all_done, whole, done))
        return partial(self._cancel, whole)

    def _set_timer(self, item: QueuedRequest) -> None:
        item.timer = self._loop.call_at(self._loop.time() + item.deadline - item.arrived, self._expire, item)

    def _runs_inline(self, item: QueuedRequest) -> bool:
        if item.rows > self._inline_rows:
            return False
        if item.request.padding is not None:
            return item.width <= self._plan.inline_width
        if self._plan.inline_tokens:
            return item.request.is_derived and item.rows * width_of(item.request.arrays) <= self._plan.inline_tokens
        return self._plan.inline and (item.batch_key is not None or self._inline_rows == 1)

    def _refusal(self, item: QueuedRequest) -> Overloaded | None:
        """Why it isn't queued; None when it is."""
        if len(self._queue):  # else it's the next one, and its run says how long runs take now
            seconds = self._speed.seconds(self._running_rows + self._queue.rows + item.rows)
            allowed = item.deadline - item.arrived
            if seconds > allowed:
                why = f"this request and those before it take {seconds:.3g} s, and it may wait {allowed:.3g} s"
                return Overloaded(self._retry_after_seconds(), why)
        return None if self._queue.has_room(item.bytes) else Overloaded(self._retry_after_seconds())

    def _refuse(self, item: QueuedRequest, refusal: Overloaded) -> None:
        self._metrics.request_failed("queue_full")
        item.done(refusal, 0.0, 0.0)

    @property
    def queue_length(self) -> int:
        """Requests that wait for a run."""
        return len(self._queue) + len(self._inline_queue)

    @property
    def is_running(self) -> bool:
        """A run is going on in another thread."""
        return self._free_slots < self._slots

    def stop(self) -> None:
        """Nothing runs after this but what runs now."""
        self._stopped = True
        for _ in self._threads:
            self._runs.put(None)

    def _waiting(self, request: InferRequest, done: DoneCallback, traffic: str) -> QueuedRequest:
        now = perf_counter()
        seconds = self._limits.request_seconds
        if request.timeout_seconds is not None:
            seconds = min(seconds, request.timeout_seconds)
        rows, batch_key, size = self._batching_of(request.arrays)
        names = self._names_of(request.outputs)
        item = QueuedRequest(request, names, rows, batch_key, size, now, now + seconds, done, traffic)
        if request.padding is not None:
            item.width = width_of(request.arrays)
            item.batch_key = bucket(item.width)
        return item

    def _batching_of(self, arrays: Mapping[str, Array]) -> tuple[int, BatchKey | None, int]:
        """Rows, batch key and bytes. No key where the inputs don't all begin with the same number of rows."""
        if self._only_input is not None:
            # By far the most models have one input, and by far the most requests are small: this is their path.
            array = arrays[self._only_input]
            shape = array.shape
            if self._has_fixed_row_shape:
                return shape[0], ANY_SHAPE, array.nbytes
            if not shape:
                return 1, None, array.nbytes
            return shape[0], shape[1:], array.nbytes
        size = sum([array.nbytes for array in arrays.values()])
        shapes = [arrays[name].shape for name in self._inputs]
        rows = shapes[0][0] if shapes and shapes[0] else 1
        if any(not shape or shape[0] != rows for shape in shapes):
            return rows, None, size
        return rows, tuple([shape[1:] for shape in shapes]), size

    def _names_of(self, outputs: tuple[RequestedOutput, ...]) -> tuple[str, ...]:
        # Most requests name no outputs, and the protocol's reader gives them the same tuple.
        if outputs is not self._last_outputs:
            self._last_outputs = outputs
            self._last_names = tuple([output.name for output in outputs])
        return self._last_names

    def _retry_after_seconds(self) -> int:
        """An estimate of when the queue will have emptied."""
        return min(30, max(1, ceil(self._speed.seconds(self._running_rows + self._queue.rows))))

    # --- requests in parts

    def _wait_cut(self, item: QueuedRequest, rows: int) -> None:
        bounds = [(begin, min(begin + rows, item.rows)) for begin in range(0, item.rows, rows)]
        done = partial(self._cut_done, item, [end - begin for begin, end in bounds])
        self._wait_in_parts(item, len(bounds), partial(_part_of, item, bounds), done)

    def _wait_in_parts(self, whole: QueuedRequest, count: int, part: PartAt, done: AllDone) -> None:
        self._queue.reserve(whole.bytes)
        whole.cut = PartedRequest(count, partial(self._submit_part, part), done)
        whole.cut.begin(PARTS_AT_ONCE_PER_RUN * self._plan.layout.runs_at_once)

    def _submit_part(self, part_at: PartAt, number: int, done: PartDone) -> Cancel:
        part = part_at(number)
        part.arrived, part.done, part.bytes, part.is_part = perf_counter(), done, 0, True
        if self._runs_inline(part):
            self._inline_queue.put(part)
            self._schedule_flush()
        else:
            self._queue.put(part)
            self._dispatch()
        return partial(self._drop, part)

    def _cut_done(
        self, item: QueuedRequest, rows: Sequence[int], results: list[Any], queue_seconds: float, run_seconds: float
    ) -> None:
        result = first_error(results) or joined(results, rows)
        if result is None:  # outputs that aren't by row after all
            self._queue.release(item.bytes)
            item.cut = None
            self._queue.put(item)
            self._dispatch()
            return
        self._end_parts(item)
        item.done(result, queue_seconds, run_seconds)

    def _all_done(
        self, whole: QueuedRequest, done: AllDone, results: list[Any], queue_seconds: float, run_seconds: float
    ) -> None:
        self._end_parts(whole)
        done(results, queue_seconds, run_seconds)

    def _end_parts(self, whole: QueuedRequest) -> None:
        self._queue.release(whole.bytes)
        whole.cut = None
        whole.timer.cancel()
        whole.completed = True

    def _drop(self, item: QueuedRequest) -> None:
        """Nobody is told."""
        if item.completed:
            return
        item.completed = True
        if item.run is None:
            self._queue.remove(item)
        elif all(member.completed for member in item.run.batch):
            item.run.cancel_token.cancel()

    # --- in this thread

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            # After everything that has arrived by now has been read.
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        waiting = len(self._inline_queue)  # what comes of these, such as a body's next texts, has its turn later
        while waiting > 0:
            batch = self._inline_queue.take(self._plan.max_rows, self._plan.most_padding)
            waiting -= len(batch)
            names = all_names(batch)
            started, cpu_started = perf_counter(), thread_time()
            result = run_batch(self._model, batch, names, None)
            seconds, cpu_seconds = perf_counter() - started, thread_time() - cpu_started
            self._deliver(batch, started, seconds, result)
            self._note_small_run(cpu_seconds)

    def _note_small_run(self, cpu_seconds: float) -> None:
        if not self._inline_runs.ran(cpu_seconds):
            return
        are_on = self._inline_runs.are_on
        self._inline_rows = self._plan.max_rows if are_on else -1
        self._metrics.run_plan = replace(self._metrics.run_plan, inline=are_on)
        if are_on:
            log.warning("small batches take less than %g s again; they run in the event loop", SLOW_RUN_SECONDS)
        else:
            log.warning("small batches take longer than %g s; they run in threads of their own now", SLOW_RUN_SECONDS)

    # --- in other threads

    def _dispatch(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        while self._free_slots > 0 and len(self._queue):
            if self._free_slots < self._slots and not self._batch_window_over():
                return
            self._run_in_thread(self._queue.take(self._plan.max_rows, self._plan.most_padding))

    def _batch_window_over(self) -> bool:
        """Whether the next batch runs now. Starts the timer where it is worth waiting for more requests."""
        plan = self._plan
        if not plan.linger_seconds or self._queue.has_full_batch(plan.max_rows):
            return True
        left = plan.linger_seconds - (perf_counter() - self._queue.oldest.arrived)
        if left <= 0:
            return True
        self._linger_timer = self._loop.call_later(left, self._dispatch)
        return False

    def _run_in_thread(self, batch: list[QueuedRequest]) -> None:
        if not self._threads:
            self._start_threads()
        self._free_slots -= 1
        run = _Run(batch, total_rows(batch), all_names(batch), CancelToken())
        self._running_rows += run.rows
        for item in batch:
            item.run = run
        self._runs.put(run)

    def _start_threads(self) -> None:
        for number in range(self._plan.layout.runs_at_once):
            thread = Thread(target=self._work, name=f"run-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (run := self._runs.get()) is not None:
            # Some may have left, or have been told that it took too long, while the run before went on.
            run.batch = [item for item in run.batch if not item.completed]
            run.started, cpu_started = perf_counter(), thread_time()
            result = run_batch(self._model, run.batch, run.names, run.cancel_token)
            run.seconds, run.cpu_seconds = perf_counter() - run.started, thread_time() - cpu_started
            try:
                self._loop.call_soon_threadsafe(self._on_run_done, run, result)
            except RuntimeError:  # the loop has ended: the drain's deadline came first
                return

    def _on_run_done(self, run: _Run, result: BatchResult) -> None:
        self._free_slots += 1
        self._running_rows -= run.rows
        if run.batch and not run.cancel_token.is_cancelled:
            rows = total_rows(run.batch)
            self._speed.ran(rows, run.seconds)
            if rows <= self._plan.max_rows:
                self._note_small_run(run.cpu_seconds)
        self._deliver(run.batch, run.started, run.seconds, result)
        for item in run.batch:
            item.run = None  # else each would hold the other, and its request's body, until garbage is looked for
        self._dispatch()

    def _expire(self, item: QueuedRequest) -> None:
        self._give_up(item, DeadlinePassed(item.deadline - item.arrived), "deadline")

    def _cancel(self, item: QueuedRequest) -> None:
        self._give_up(item, CallerLeft(), "cancelled")

    def _give_up(self, item: QueuedRequest, error: RequestError, reason: str) -> None:
        if item.completed:
            return
        item.timer.cancel()
        self._metrics.request_failed(reason)
        if item.cut is not None:
            item.completed = True
            item.cut.abandon()
            self._queue.release(item.bytes)
        else:
            self._drop(item)
        item.done(error, perf_counter() - item.arrived, 0.0)

    # --- both

    def _deliver(self, batch: list[QueuedRequest], started: float, seconds: float, result: BatchResult) -> None:
        self._record(batch, started, seconds, result)
        for item, outputs in zip(batch, result.parts, strict=True):
            if item.timer is not None:
                item.timer.cancel()
            if item.completed:
                continue
            item.completed = True
            try:
                if isinstance(outputs, ModelFailed):
                    self._metrics.request_failed("model")
                item.done(outputs, started - item.arrived, seconds)
            except Exception:
                log.exception("a request couldn't be answered")  # those beside it are, all the same

    def _record(self, batch: list[QueuedRequest], started: float, seconds: float, result: BatchResult) -> None:
        queued = [started - item.arrived for item in batch]
        try:
            self._record_inputs(batch)
            if result.whole is not None:
                self._record_whole(batch, queued, seconds, result.whole, result.parts)
                return
            for item, waited, outputs in zip(batch, queued, result.parts, strict=True):
                if not isinstance(outputs, Exception):
                    self._metrics.batch_ran(item.rows, [waited], seconds / len(batch), outputs, item.traffic)
        except Exception:
            # Metrics are worth less than the responses that wait behind them.
            log.exception("a batch couldn't be counted")

    def _record_inputs(self, batch: list[QueuedRequest]) -> None:
        if inputs := self._metrics.inputs:
            for item in batch:
                inputs.asked(item.request.arrays, item.rows, item.traffic)

    def _record_whole(
        self,
        batch: list[QueuedRequest],
        queued: Sequence[float],
        seconds: float,
        whole: Outputs,
        parts: "Sequence[Outputs | ModelFailed]",
    ) -> None:
        traffic = batch[0].traffic
        if all(item.traffic == traffic for item in batch):
            self._metrics.batch_ran(total_rows(batch), queued, seconds, whole, traffic)
            return
        self._metrics.batch_ran(total_rows(batch), queued, seconds, {})
        for item, outputs in zip(batch, parts, strict=True):
            if not isinstance(outputs, Exception):
                self._metrics.predicted(item.rows, outputs, item.traffic)


def _part_of(whole: QueuedRequest, bounds: Sequence[tuple[int, int]], number: int) -> QueuedRequest:
    begin, end = bounds[number]
    arrays = {name: array[begin:end] for name, array in whole.request.arrays.items()}
    return replace(whole, request=replace(whole.request, arrays=arrays), rows=end - begin, timer=None, cut=None)


def _told_in_a_list(done: AllDone, error: Any, queue_seconds: float, run_seconds: float) -> None:
    done([error], queue_seconds, run_seconds)


def _nobody(_result: Any, _queue_seconds: float, _run_seconds: float) -> None:
    """Is told before somebody asks."""
