"""The engine on a real event loop, with real models: what runs together, what fails alone, what is ended."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from threading import current_thread
from time import perf_counter, sleep, thread_time
from typing import Any

import numpy as np
import pytest
import uvloop
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.errors import CallerLeft, DeadlinePassed, ModelFailed, NotReady, Overloaded
from tidegate_server.inference import inline_runs
from tidegate_server.inference.engine import Engine, EngineLimits
from tidegate_server.inference.execution_plan import ExecutionPlan, ThreadLayout
from tidegate_server.inference.model import Model
from tidegate_server.inference.queue import QueueLimits
from tidegate_server.metrics import InputCounter, RunPlan
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Outputs

ROOM = EngineLimits(QueueLimits(requests=250, bytes=2**20), request_seconds=20)
LIMITS = EngineLimits(QueueLimits(requests=50, bytes=2**20), request_seconds=20)
IN_THREADS = ExecutionPlan(ThreadLayout(1, 1), max_rows=8, linger_seconds=0.0, inline=False, run_seconds=0.001)
INLINE = ExecutionPlan(ThreadLayout(1, 1), max_rows=8, linger_seconds=0.0, inline=True, run_seconds=0.001)


class Recorded:
    """What the engine told of its work."""

    def __init__(self) -> None:
        self.run_plan = RunPlan()
        self.inputs: InputCounter | None = None
        self.batches: list[tuple[int, int]] = []
        self.failures: list[str] = []

    def batch_ran(
        self, rows: int, queue_seconds: Sequence[float], run_seconds: float, outputs: Outputs, traffic: str = ""
    ) -> None:
        assert all(seconds >= 0 for seconds in (*queue_seconds, run_seconds))
        self.batches.append((len(queue_seconds), rows))

    def predicted(self, rows: int, outputs: Outputs, traffic: str) -> None:
        raise AssertionError("all requests of a batch came in one way")

    def request_failed(self, reason: str) -> None:
        self.failures.append(reason)


def ask(
    values: Any,
    kind: Any = np.float32,
    name: str = "pixels",
    outputs: tuple[str, ...] = ("label", "scores"),
    **more: Any,
) -> InferRequest:
    return InferRequest({name: np.array(values, kind)}, tuple(map(RequestedOutput, outputs)), **more)


def index(*values: int) -> InferRequest:
    return ask(values, np.int64, "index", ("value",))


def answers(
    path: Path, plan: ExecutionPlan, *requests: InferRequest, limits: EngineLimits = LIMITS
) -> tuple[list[Any], Recorded]:
    """All submitted in one turn of the loop."""
    recorded = Recorded()

    async def go() -> list[Any]:
        loop = asyncio.get_running_loop()
        tested = Engine(Model.open(path), plan, limits, recorded, loop)
        futures = [loop.create_future() for _ in requests]
        for request, future in zip(requests, futures, strict=True):
            tested.submit(request, partial(_keep, future))
        results = await asyncio.wait_for(asyncio.gather(*futures), 15)
        tested.stop()
        return results

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(go()), recorded


def _keep(future: asyncio.Future[Any], result: Any, queue_seconds: float, run_seconds: float) -> None:
    assert min(queue_seconds, run_seconds) >= 0
    future.set_result(result)


def lists(result: Any) -> Any:
    return {name: value.tolist() for name, value in result.items()} if isinstance(result, dict) else type(result)


@pytest.mark.parametrize("plan", [pytest.param(INLINE, id="inline"), pytest.param(IN_THREADS, id="in threads")])
def test_requests_of_one_turn_share_runs_and_get_their_own_rows(linear: Path, plan: ExecutionPlan) -> None:
    rows = [[0, 5, 1, 0], [9, 1, 1, 0], [0, 0, 3, 0]]
    one, two = ask([rows[0]]), ask([rows[1], rows[2]], outputs=("scores",))
    results, recorded = answers(linear, plan, one, one, two)
    assert list(map(lists, results)) == [
        {"label": [1], "scores": [[0, 5, 1]]},
        {"label": [1], "scores": [[0, 5, 1]]},
        {"scores": [[9, 1, 1], [0, 0, 3]]},
    ]
    # In a thread, the first one is dispatched at once, since the model is idle.
    assert recorded.batches == ([(3, 4)] if plan.inline else [(1, 1), (2, 3)])


@pytest.mark.parametrize("plan", [pytest.param(INLINE, id="inline"), pytest.param(IN_THREADS, id="in threads")])
def test_one_bad_row_fails_alone(lookup: Path, plan: ExecutionPlan) -> None:
    results, recorded = answers(lookup, plan, index(0), index(1), index(7), index(2))
    assert list(map(lists, results)) == [{"value": [10]}, {"value": [20]}, ModelFailed, {"value": [30]}]
    assert recorded.failures == ["model"]


def test_another_shape_of_row_runs_apart(pair: Path) -> None:
    def both(left: Any, words: Any) -> InferRequest:
        arrays = {"left": np.array(left, np.float32), "right": np.ones(len(left), np.float32)}
        return InferRequest(
            {**arrays, "words": np.array(words, object)}, (RequestedOutput("ratio"), RequestedOutput("same"))
        )

    results, _ = answers(pair, IN_THREADS, both([1, 2], ["a"]), both([3], ["b", "c"]))
    assert list(map(lists, results)) == [{"ratio": [1, 2], "same": ["a"]}, {"ratio": [3], "same": ["b", "c"]}]


def test_a_run_that_nobody_waits_for_any_more_is_ended(slow: Path) -> None:
    long = InferRequest({"times": np.array(2**40)}, (RequestedOutput("total"),), timeout_seconds=0.2)
    short = InferRequest({"times": np.array(1)}, (RequestedOutput("total"),))
    began = perf_counter()
    results, recorded = answers(slow, IN_THREADS, long, short)
    assert list(map(lists, results)) == [DeadlinePassed, {"total": [1]}]
    assert perf_counter() - began < 10
    assert recorded.failures == ["deadline"]


def test_who_waits_longer_than_his_deadline_is_told_while_the_run_before_goes_on(slow: Path) -> None:
    long = InferRequest({"times": np.array(2**40)}, (RequestedOutput("total"),), timeout_seconds=0.4)
    impatient = InferRequest({"times": np.array(1)}, (RequestedOutput("total"),), timeout_seconds=0.1)
    results, _ = answers(slow, IN_THREADS, long, impatient)
    assert list(map(lists, results)) == [DeadlinePassed, DeadlinePassed]


@pytest.mark.parametrize("plan", [pytest.param(INLINE, id="inline"), pytest.param(IN_THREADS, id="in threads")])
def test_more_than_may_wait_are_turned_away(linear: Path, plan: ExecutionPlan) -> None:
    limits = EngineLimits(QueueLimits(requests=2, bytes=2**20), request_seconds=20)
    results, recorded = answers(linear, plan, *[ask([[1, 2, 3, 4]])] * 6, limits=limits)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == (4 if plan.inline else 3)
    assert {error.retry_after_seconds for error in refused} == {1}
    assert recorded.failures == ["queue_full"] * len(refused)


def test_large_requests_among_small_ones_wait_and_are_bounded(linear: Path) -> None:
    limits = EngineLimits(QueueLimits(requests=4, bytes=2**20), request_seconds=20)
    large, small = ask([[0, 5, 1, 0]] * 64), ask([[0, 5, 1, 0]])
    results, _ = answers(linear, INLINE, *[large, small] * 200, limits=limits)
    # One large request runs at once, and four wait; the small ones of one turn have places of their own.
    assert [sum(isinstance(one, Overloaded) for one in results[kind::2]) for kind in (0, 1)] == [195, 196]
    assert {len(one["label"]) for one in results if isinstance(one, dict)} == {64, 1}


class Sleeper(Model):
    """x FP32 [N] -> y FP32 [N]; a run takes as long as it's told, whatever the machine does."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rows_run = 0
        spec = TensorSpec("x", "FP32", ("N",))
        self.signature = Signature((spec,), (TensorSpec("y", "FP32", ("N",)),))

    def run(self, arrays: dict[str, Any], outputs: Sequence[str], cancel_token: Any = None) -> list[Any]:
        self.rows_run += len(arrays["x"])
        sleep(self.seconds)
        return [arrays["x"]]


class Picky(Sleeper):
    """As Sleeper, but it takes no 3."""

    def run(self, arrays: dict[str, Any], outputs: Sequence[str], cancel_token: Any = None) -> list[Any]:
        if 3 in arrays["x"]:
            raise ModelFailed("3 is too many")
        return super().run(arrays, outputs, cancel_token)


class Busy(Sleeper):
    """As Sleeper, but it computes all the time."""

    threads: list[str]

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.threads = []

    def run(self, arrays: dict[str, Any], outputs: Sequence[str], cancel_token: Any = None) -> list[Any]:
        self.threads.append(current_thread().name)
        until = thread_time() + self.seconds
        while thread_time() < until:
            pass
        return [arrays["x"]]


async def _rest(tested: Engine) -> None:
    """Waits until nothing waits and nothing runs."""
    deadline = perf_counter() + 20
    while tested.queue_length or tested.is_running:
        assert perf_counter() < deadline
        await asyncio.sleep(0.01)


def sleeper_plan(max_rows: int = 1) -> ExecutionPlan:
    return ExecutionPlan(ThreadLayout(1, 1), max_rows, linger_seconds=0.0, inline=False, run_seconds=0.0)


def row(**more: Any) -> InferRequest:
    return ask([1.0], name="x", outputs=("y",), **more)


@pytest.mark.parametrize("max_rows", [1, 8])
def test_nothing_is_computed_for_clients_that_have_gone(max_rows: int) -> None:
    model, recorded, results = Sleeper(0.05), Recorded(), []

    async def go() -> None:
        tested = Engine(model, sleeper_plan(max_rows), ROOM, recorded, asyncio.get_running_loop())
        cancels = [tested.submit(row(), lambda result, *_: results.append(result)) for _ in range(100)]
        for cancel in cancels:
            assert cancel is not None
            cancel()
            cancel()
        await _rest(tested)
        tested.stop()

    asyncio.run(go())
    assert model.rows_run <= 2  # what a thread had begun already
    assert [type(result) for result in results] == [CallerLeft] * 100
    assert recorded.failures == ["cancelled"] * 100


def test_a_request_that_could_not_be_answered_in_its_time_is_refused_at_once() -> None:
    model, recorded = Sleeper(0.1), Recorded()

    async def go() -> tuple[Any, bool, float]:
        loop = asyncio.get_running_loop()
        tested = Engine(model, sleeper_plan(), ROOM, recorded, loop)
        first: asyncio.Future[float] = loop.create_future()
        futures = [loop.create_future() for _ in range(21)]
        tested.submit(row(), lambda _result, _queued, run_seconds: first.set_result(run_seconds))
        run_seconds = await first  # 0.1, or more where the machine has other things to do
        for future in futures[:-1]:
            tested.submit(row(), partial(_keep, future))
        tested.submit(row(timeout_seconds=0.5), partial(_keep, futures[-1]))
        at_once = futures[-1].done()
        result = await futures[-1]
        tested.stop()
        return result, at_once, run_seconds

    result, at_once, run_seconds = asyncio.run(go())
    assert isinstance(result, Overloaded)
    assert (at_once, result.retry_after_seconds) == (True, ceil(20 * run_seconds))
    assert "it may wait 0.5 s; try again in" in str(result)
    assert recorded.failures == ["queue_full"]


def test_under_overload_those_are_served_who_still_wait() -> None:
    # What a busy machine adds to a run is the less the longer runs take; who runs for nobody does so at any length.
    assert any(served > 0.8 * run > 40 for served, run in map(_served_under_overload, (0.02, 0.06, 0.18)))


def _served_under_overload(seconds: float) -> tuple[int, int]:
    """How many were served and how many rows were run, where four times as many come as can be run.

    A run takes so long, each waits for twelve, and the queue has room for 250.
    """
    model = Sleeper(seconds)

    async def go() -> list[Any]:
        loop = asyncio.get_running_loop()
        tested = Engine(model, sleeper_plan(), ROOM, Recorded(), loop)
        futures = []
        for _ in range(100):
            for _ in range(4):
                futures.append(loop.create_future())
                tested.submit(row(timeout_seconds=12 * seconds), partial(_keep, futures[-1]))
            await asyncio.sleep(seconds)
        results = await asyncio.wait_for(asyncio.gather(*futures), 15)
        tested.stop()
        return results

    results = asyncio.run(go())
    return sum(isinstance(result, dict) for result in results), model.rows_run


CUT = replace(IN_THREADS, rows_are_independent=True)
"""In parts of 10 rows, since a run of 10 ms would have so many."""


def wide(count: int) -> list[list[int]]:
    return [[number % 3 == 0, number % 3 == 1, number % 3 == 2, 0] for number in range(count)]


def test_many_rows_run_in_parts_and_come_back_in_their_order(linear: Path) -> None:
    results, recorded = answers(linear, CUT, ask(wide(1234)), ask(wide(10)))
    assert list(map(lists, results)) == [
        {"label": [number % 3 for number in range(count)], "scores": [row[:3] for row in wide(count)]}
        for count in (1234, 10)
    ]
    assert sorted(recorded.batches) == [(1, 4)] + [(1, 10)] * 124


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(IN_THREADS, id="where they could change one another"),
        pytest.param(replace(CUT, run_seconds=1e-6), id="where they take no time"),
    ],
)
def test_many_rows_run_together(linear: Path, plan: ExecutionPlan) -> None:
    results, recorded = answers(linear, plan, ask(wide(1234)))
    assert (len(results[0]["label"]), recorded.batches) == (1234, [(1, 1234)])


def test_a_bad_row_of_many_fails_the_request_and_runs_no_further(lookup: Path) -> None:
    results, recorded = answers(lookup, CUT, index(*[0] * 25, 7, *[0] * 1000), index(1))
    assert list(map(lists, results)) == [ModelFailed, {"value": [20]}]
    assert recorded.failures == ["model"]
    assert sum(rows for _, rows in recorded.batches) < 60


def test_others_have_their_turn_between_the_parts_of_a_large_request() -> None:
    plan = replace(sleeper_plan(), rows_are_independent=True)
    order: list[str] = []

    async def go() -> None:
        loop = asyncio.get_running_loop()
        tested = Engine(Sleeper(0.005), plan, ROOM, Recorded(), loop)
        ended = [loop.create_future() for _ in range(2)]

        def done(name: str, future: asyncio.Future[None], *_: Any) -> None:
            order.append(name)
            future.set_result(None)

        tested.submit(ask([1.0] * 50, name="x", outputs=("y",)), partial(done, "large", ended[0]))
        tested.submit(row(), partial(done, "small", ended[1]))
        await asyncio.wait_for(asyncio.gather(*ended), 10)
        tested.stop()

    asyncio.run(go())
    assert order == ["small", "large"]


@pytest.mark.parametrize("how", ["it is cancelled", "its time is over"])
def test_a_large_request_ends_with_all_its_parts_when(how: str) -> None:
    model, recorded, results = Sleeper(0.01), Recorded(), []
    plan = replace(sleeper_plan(), rows_are_independent=True)
    patience = 20 if how == "it is cancelled" else 0.1

    async def go() -> None:
        tested = Engine(model, plan, ROOM, recorded, asyncio.get_running_loop())
        request = ask([1.0] * 200, name="x", outputs=("y",), timeout_seconds=patience)
        cancel = tested.submit(request, lambda result, *_: results.append(result))
        await asyncio.sleep(0.2)
        assert cancel is not None
        cancel()
        await _rest(tested)
        rows_run = model.rows_run
        await asyncio.sleep(0.1)
        assert model.rows_run == rows_run < 100
        tested.stop()

    asyncio.run(go())
    error, reason = (CallerLeft, "cancelled") if patience == 20 else (DeadlinePassed, "deadline")
    assert (list(map(type, results)), recorded.failures) == ([error], [reason])


def test_a_large_request_counts_once_and_whole_until_it_ends() -> None:
    limits = EngineLimits(QueueLimits(requests=2, bytes=1000), request_seconds=20)
    plan = replace(sleeper_plan(), rows_are_independent=True)

    async def go() -> tuple[list[bool], Any]:
        loop = asyncio.get_running_loop()
        tested = Engine(Sleeper(0.001), plan, limits, Recorded(), loop)
        futures = [loop.create_future() for _ in range(3)]
        large = ask([1.0] * 200, name="x", outputs=("y",))
        for future in futures[:2]:
            tested.submit(large, partial(_keep, future))
        refused = isinstance(await futures[1], Overloaded)
        await futures[0]
        tested.submit(large, partial(_keep, futures[2]))
        last = await futures[2]
        tested.stop()
        return [refused, tested.queue_length == 0], last

    facts, last = asyncio.run(go())
    assert (facts, len(last["y"])) == ([True, True], 200)


def texts(count: int) -> list[InferRequest]:
    """As a body of so many texts becomes: each runs alone."""
    return [ask([float(number)], name="x", outputs=("y",)) for number in range(count)]


@pytest.mark.parametrize("inline", [True, False])
def test_a_body_of_many_texts_counts_once_and_others_have_their_turn_between_them(inline: bool) -> None:
    limits = EngineLimits(QueueLimits(requests=1, bytes=2**20), request_seconds=20)
    plan = replace(sleeper_plan(), inline=inline)
    order: list[str] = []

    async def go() -> list[Any]:
        loop = asyncio.get_running_loop()
        tested = Engine(Sleeper(0.001), plan, limits, Recorded(), loop)
        many, one = loop.create_future(), loop.create_future()

        def note(name: str, future: asyncio.Future[Any], result: Any, *_: float) -> None:
            order.append(name)
            future.set_result(result)

        tested.submit_all(texts(300), partial(note, "many", many))
        await asyncio.sleep(0.02)
        tested.submit(row(), partial(note, "one", one))
        refused = isinstance(await one, Overloaded)
        results = await asyncio.wait_for(many, 10)
        tested.submit(row(), partial(note, "one", again := loop.create_future()))
        assert lists(await again) == {"y": [1.0]}
        tested.stop()
        return [refused, [float(result["y"][0]) for result in results]]

    # In the loop's thread small ones have places of their own; in others the body has taken the only one.
    assert asyncio.run(go()) == [not inline, list(map(float, range(300)))]
    assert order == ["one", "many", "one"]


@pytest.mark.parametrize("how", ["one of them fails", "it is cancelled", "its time is over"])
def test_a_body_of_many_texts_ends_with_all_of_them_when(how: str) -> None:
    model, recorded = (Picky if how == "one of them fails" else Sleeper)(0.005), Recorded()
    requests = texts(200)
    patience = 0.1 if how == "its time is over" else 20

    async def go() -> list[Any]:
        loop = asyncio.get_running_loop()
        limits = EngineLimits(QueueLimits(requests=4, bytes=2**20), request_seconds=patience)
        tested = Engine(model, sleeper_plan(), limits, recorded, loop)
        future = loop.create_future()
        cancel = tested.submit_all(requests, partial(_keep, future))
        if how == "it is cancelled":
            await asyncio.sleep(0.05)
            assert cancel is not None
            cancel()
        results: list[Any] = await asyncio.wait_for(future, 5)
        await _rest(tested)
        tested.stop()
        return results

    errors = [type(result) for result in asyncio.run(go()) if isinstance(result, Exception)]
    error, reason = {
        "it is cancelled": (CallerLeft, "cancelled"),
        "its time is over": (DeadlinePassed, "deadline"),
    }.get(how, (ModelFailed, "model"))
    assert (errors, recorded.failures) == ([error], [reason])
    assert model.rows_run < 100


def test_a_body_of_many_texts_that_finds_no_place_is_refused_whole_and_at_once() -> None:
    model, recorded = Sleeper(0.05), Recorded()

    async def go() -> tuple[list[Any], int]:
        loop = asyncio.get_running_loop()
        limits = EngineLimits(QueueLimits(requests=1, bytes=2**20), request_seconds=20)
        tested = Engine(model, sleeper_plan(), limits, recorded, loop)
        futures = [loop.create_future() for _ in range(2)]
        for future in futures:
            tested.submit_all(texts(3), partial(_keep, future))
        assert futures[1].done()
        results = [await future for future in futures]
        tested.stop()
        return [len(results[0]), *map(type, results[1])], model.rows_run

    assert asyncio.run(go()) == ([3, Overloaded], 3)
    assert recorded.failures == ["queue_full"]


def test_outputs_that_are_not_by_row_are_those_of_one_run(folder: Path) -> None:
    path = save(
        folder / "sum.onnx",
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [tensor("y", TensorProto.FLOAT, ["M"])],
        {},
    )
    results, _ = answers(path, CUT, ask([1.0] * 100, name="x", outputs=("y",)))
    assert list(map(lists, results)) == [{"y": 100.0}]


def test_an_answer_that_cannot_be_given_keeps_no_other_back() -> None:
    def fail(*_: Any) -> None:
        raise ArithmeticError

    async def go() -> Any:
        loop = asyncio.get_running_loop()
        tested = Engine(Sleeper(0.01), sleeper_plan(8), ROOM, Recorded(), loop)
        future = loop.create_future()
        for done in (fail, fail, partial(_keep, future)):
            tested.submit(row(), done)
        result = await asyncio.wait_for(future, 5)
        tested.stop()
        return result

    assert lists(asyncio.run(go())) == {"y": [1.0]}


def test_a_model_that_is_often_slow_leaves_the_event_loop_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inline_runs, "SLOW_RUN_SECONDS", 0.005)
    monkeypatch.setattr(inline_runs, "WINDOW_RUNS", 30)
    model, recorded = Busy(0.01), Recorded()
    recorded.run_plan = RunPlan(inline=True)
    threads: list[set[str]] = []
    plans: list[bool] = []

    async def ask_often(tested: Engine, times: int) -> None:
        model.threads.clear()
        for _ in range(times):
            future = asyncio.get_running_loop().create_future()
            tested.submit(row(), partial(_keep, future))
            await future
        threads.append(set(model.threads))
        plans.append(recorded.run_plan.inline)

    async def go() -> None:
        tested = Engine(model, replace(sleeper_plan(), inline=True), ROOM, recorded, asyncio.get_running_loop())
        await ask_often(tested, 10)
        await ask_often(tested, 5)
        model.seconds = 0.0
        await ask_often(tested, 40)
        await ask_often(tested, 5)
        tested.stop()

    asyncio.run(go())
    assert plans == [False, False, True, True]
    assert (threads[0], threads[1], threads[3]) == ({"MainThread"}, {"run-0"}, {"MainThread"})
    assert "run in threads of their own now" in caplog.text
    assert "they run in the event loop" in caplog.text


def test_numbers_that_cannot_be_kept_keep_nobody_waiting(linear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Recorded, "batch_ran", fail)
    results, _ = answers(linear, INLINE, ask([[0, 5, 1, 0]]))
    assert list(map(lists, results)) == [{"label": [1], "scores": [[0, 5, 1]]}]


def test_after_the_end_nothing_runs(linear: Path) -> None:
    async def go() -> Any:
        tested = Engine(Model.open(linear), INLINE, LIMITS, Recorded(), asyncio.get_running_loop())
        tested.stop()
        results: list[Any] = []
        tested.submit(ask([[1, 2, 3, 4]]), lambda result, _queue, _run: results.append(result))
        return results

    assert list(map(type, asyncio.run(go()))) == [NotReady]


def test_while_a_run_is_going_on_the_next_ones_gather(slow_rows: Path) -> None:
    """With two runs at once and a wait for company, nobody rides alone who needn't."""
    plan = ExecutionPlan(ThreadLayout(1, 2), max_rows=8, linger_seconds=0.02, inline=False, run_seconds=0.05)
    rows = [ask([[1.0] * 64], name="x", outputs=("y",)) for _ in range(9)]
    _, recorded = answers(slow_rows, plan, *rows)
    assert sorted(recorded.batches) == [(1, 1), (8, 8)]


class Counted:
    """Takes token ids of any shape; says in which threads it ran, and with which shapes."""

    signature = Signature((TensorSpec("ids", "INT64", ("N", "L")),), (TensorSpec("y", "FP32", ("N", 2)),))

    def __init__(self) -> None:
        self.shapes: list[tuple[str, tuple[int, ...]]] = []

    def run(self, arrays: dict[str, Any], _outputs: Sequence[str], _cancel_token: Any = None) -> list[Any]:
        ids = arrays["ids"]
        self.shapes.append((current_thread().name, ids.shape))
        return [np.zeros((len(ids), 2), np.float32)]


def shapes_run(*requests: InferRequest) -> list[tuple[str, tuple[int, ...]]]:
    """In which threads and with which shapes, where texts of 12 tokens at most run in the event loop."""
    model = Counted()

    async def go() -> None:
        loop = asyncio.get_running_loop()
        tested = Engine(model, replace(IN_THREADS, inline_tokens=12), ROOM, Recorded(), loop)  # type: ignore[arg-type]
        futures = [loop.create_future() for _ in requests]
        for request, future in zip(requests, futures, strict=True):
            tested.submit(request, partial(_keep, future))
        await asyncio.wait_for(asyncio.gather(*futures), 5)
        tested.stop()

    asyncio.run(go())
    return model.shapes


def text(words: int, **more: Any) -> InferRequest:
    return ask(np.ones((1, words)), np.int64, "ids", ("y",), **more)


def test_short_texts_of_one_length_share_runs_in_the_event_loop_and_longer_ones_run_in_threads() -> None:
    """How many share one is what batches bring: one after the other they would be in the loop's way for longer."""
    shapes = shapes_run(*[text(words, is_derived=True) for words in (3, 3, 4, 3, 3, 3, 13)])
    assert sorted(shapes) == [("MainThread", (1, 4)), ("MainThread", (5, 3)), ("run-0", (1, 13))]


def test_token_ids_that_a_client_made_up_itself_run_in_threads() -> None:
    assert shapes_run(text(3)) == [("run-0", (1, 3))]
