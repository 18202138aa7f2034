"""Calls are made on threads of their own, and whoever hangs keeps no other waiting."""

import threading
from collections.abc import Iterator

import pytest

from tidegate.webhooks.dispatcher import Dispatcher


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(threads=4, per_target=2, most=6)
    yield made
    made.stop()


def test_a_receiver_that_hangs_keeps_no_other_waiting(dispatcher: Dispatcher) -> None:
    let_go, called = threading.Event(), threading.Event()

    def hang() -> None:
        let_go.wait(10)

    for _ in range(4):
        assert dispatcher.submit("https://hangs.example.com", hang)
    dispatcher.submit("https://well.example.com", called.set)

    assert called.wait(5)
    let_go.set()


def test_a_call_is_repeated_after_as_long_as_it_says(dispatcher: Dispatcher) -> None:
    tries: list[float | None] = [0.01, 0.01, None]
    done = threading.Event()

    def attempt() -> float | None:
        after = tries.pop(0)
        if after is None:
            done.set()
        return after

    dispatcher.submit("one", attempt)

    assert done.wait(5)
    assert tries == []


def test_no_more_wait_than_may_and_nobody_is_blocked_by_that(dispatcher: Dispatcher) -> None:
    def nothing() -> None:
        return None

    assert [dispatcher.submit("one", nothing, after=60) for _ in range(7)] == [True] * 6 + [False]


def test_an_accident_costs_one_call_and_no_thread(dispatcher: Dispatcher) -> None:
    done = threading.Barrier(5)

    def accident() -> None:
        raise ZeroDivisionError

    for number in range(4):
        dispatcher.submit(f"bad-{number}", accident)
    for number in range(4):
        while not dispatcher.submit(f"good-{number}", lambda: done.wait(5) and None):
            pass

    done.wait(5)


def test_what_has_not_begun_when_it_stops_is_not_called() -> None:
    dispatcher, called = Dispatcher(), threading.Event()
    dispatcher.submit("one", called.set, after=0.05)
    dispatcher.stop()

    assert not called.wait(0.2)
    assert not dispatcher.submit("one", called.set)
