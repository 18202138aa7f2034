"""A clock that is set is noticed: by one that nobody can set, and by what is recorded."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.controller.clock import ClockWatch
from tidegate.controller.refusals import Refusals
from tidegate.controller.restorations import Restorations
from tidegate.errors import ClusterUnavailable
from tidegate.model.status import Rollout, Shift, Status

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ("shop", "digits")
HOUR = timedelta(hours=1)
IDLE = Status()


def recorded(*, shifted: datetime) -> Status:
    return Status(rollout=Rollout("b", START, 1, START, (Shift(shifted, 10),)))


@pytest.mark.parametrize(
    ("passed", "steady", "expected"),
    [
        pytest.param(timedelta(seconds=5), 5.0, timedelta(), id="time passes"),
        pytest.param(timedelta(seconds=8), 5.0, timedelta(), id="a small correction"),
        pytest.param(HOUR, 5.0, HOUR - timedelta(seconds=5), id="forward"),
        pytest.param(-HOUR, 5.0, -HOUR - timedelta(seconds=5), id="back"),
        pytest.param(HOUR, 3600.0, timedelta(), id="an hour in which nothing was to be done"),
    ],
)
def test_the_clock_is_held_against_a_steady_one(passed: timedelta, steady: float, expected: timedelta) -> None:
    seconds = iter([100.0, 100.0 + steady])
    clock = ClockWatch(lambda: next(seconds))
    assert clock.jump(KEY, START, IDLE) == timedelta()
    assert clock.jump(KEY, START + passed, IDLE) == expected


def test_a_clock_that_was_set_is_told_until_that_is_noted() -> None:
    clock = ClockWatch(lambda: 0.0)
    clock.note(KEY, START)
    assert clock.jump(KEY, START + HOUR, IDLE) == HOUR
    assert clock.jump(KEY, START + HOUR, IDLE) == HOUR

    clock.note(KEY, START + HOUR)
    assert clock.jump(KEY, START + HOUR, IDLE) == timedelta()


def test_after_a_restart_what_is_recorded_tells_that_it_was_set_back() -> None:
    clock = ClockWatch(lambda: 0.0)
    assert clock.jump(KEY, START, recorded(shifted=START + HOUR)) == -HOUR
    assert clock.jump(KEY, START, recorded(shifted=START)) == timedelta()


def test_a_refused_write_does_not_wait_for_a_clock_that_was_set_back() -> None:
    refusals, write = Refusals(), ("ScaleRevision", "revision b")
    refusals.note(KEY, 1, write, ClusterUnavailable("a webhook doesn't answer", 500), START)

    assert refusals.rests(KEY, write, START + timedelta(seconds=1))
    assert not refusals.rests(KEY, write, START - HOUR)


def test_a_route_that_is_edited_does_not_wait_for_a_clock_that_was_set_back() -> None:
    restorations = Restorations({KEY: (START,)})

    assert restorations.of(KEY, START) == (START,)
    assert restorations.of(KEY, START - HOUR) == ()
