"""A Prometheus that hangs delays nobody but those who need its answer, and isn't asked on and on."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from benchmarks.operator.isolation import Hanging, Waits
from tests.conftest import until
from tests.operator.decide.builder import CANDIDATE, STABLE, a_canary, rollout_of
from tidegate.controller.judging import RolloutJudge
from tidegate.decide.rollout import decide
from tidegate.errors import MetricsUnavailable
from tidegate.metrics import circuit_breaker, query_pool
from tidegate.metrics.circuit_breaker import FAILURES, CircuitBreaker
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.query_pool import QueryPool
from tidegate.model.actions import ShiftTraffic
from tidegate.model.traffic import TrafficSplit

T = TypeVar("T")
KEY = ("shop", "digits")
WHEN = datetime(2026, 1, 1)  # noqa: DTZ001 - nobody looks at it


def test_other_objects_events_do_not_wait_for_a_prometheus_that_hangs() -> None:
    waits = Waits(hang=60, rollouts=50, patience=60)  # four workers wait that long, and the others for nobody
    with waits.running():
        for _ in range(10):
            waits.event()

    assert max(waits.seconds) < 30  # however busy the machine is


class Busy:
    """A Pool in which every answer is still to come."""

    def ask(self, key: tuple[str, str], job: Callable[[], T]) -> T | None:
        return None


def test_a_way_back_in_one_shift_waits_for_no_answer() -> None:
    judge = RolloutJudge(MetricsCollector(Hanging(0)), Busy())
    seen = a_canary(0)
    back = replace(seen, recorded=replace(seen.recorded, rollout=replace(rollout_of(seen), fast_track=True)))

    assert judge.judge(seen) is None
    judged = judge.judge(back)
    assert judged is not None
    assert ShiftTraffic(TrafficSplit.between(STABLE, CANDIDATE, 100)) in decide(judged).actions


def test_an_answer_that_comes_soon_is_waited_for() -> None:
    pool = QueryPool(1, lambda *_: None, patience=5)
    assert pool.ask(KEY, lambda: "an answer") == "an answer"


def test_an_answer_that_comes_later_calls_for_another_look() -> None:
    called: list[tuple[str, str]] = []
    pool = QueryPool(1, lambda *key: called.append(key), patience=0.01)
    may_end = threading.Event()

    def job() -> str:
        assert may_end.wait(5)
        return "an answer"

    assert pool.ask(KEY, job) is None
    assert pool.ask(KEY, job) is None
    may_end.set()
    until(lambda: called == [KEY])
    assert pool.ask(KEY, job) == "an answer"


def test_an_answer_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_pool, "LONGEST", 0.0)
    pool = QueryPool(1, lambda *_: None, patience=0.01)
    may_end = threading.Event()
    try:
        with pytest.raises(MetricsUnavailable, match="hasn't answered for"):
            pool.ask(KEY, lambda: may_end.wait(5))
    finally:
        may_end.set()


class Clock:
    """Seconds that pass when a query hangs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """Fails after so many seconds of the clock, or answers at once."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.hangs, self.asked = clock, 11.0, 0

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        self.asked += 1
        self.clock.now += self.hangs
        if self.hangs:
            raise MetricsUnavailable("no answer")
        return []

    readings = Hanging(0).readings


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> tuple[Slow, Clock, Callable[[], bool]]:
    """A provider behind a breaker, its clock, and a question that says whether it was answered."""
    monkeypatch.setattr(circuit_breaker, "PAUSE", (5.0, 5.0))
    clock = Clock()
    slow = Slow(clock)
    breaker = CircuitBreaker(slow, now=clock)

    def answered() -> bool:
        try:
            breaker.series("up", WHEN, timedelta(seconds=1), 1)
        except MetricsUnavailable:
            return False
        return True

    return slow, clock, answered


def test_after_a_few_hanging_queries_others_fail_at_once(asking: tuple[Slow, Clock, Callable[[], bool]]) -> None:
    slow, clock, answered = asking
    for _ in range(20):
        assert not answered()

    assert slow.asked == FAILURES
    assert clock.now == FAILURES * 11.0


def test_one_question_finds_out_whether_it_answers_again(asking: tuple[Slow, Clock, Callable[[], bool]]) -> None:
    slow, clock, answered = asking
    for _ in range(FAILURES + 1):
        answered()
    clock.now += 6
    slow.hangs = 0.0

    assert [answered() for _ in range(3)] == [True] * 3


def test_who_refuses_at_once_is_asked_each_time(asking: tuple[Slow, Clock, Callable[[], bool]]) -> None:
    slow, _, answered = asking
    slow.hangs = 0.1
    for _ in range(20):
        answered()

    assert slow.asked == 20
