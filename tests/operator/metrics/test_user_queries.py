"""What is asked of Prometheus for own queries with limits, and how polls are counted."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.errors import MetricsUnavailable
from tidegate.metrics import user_queries
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.user_queries import ask
from tidegate.model.evidence import QueryAnswer
from tidegate.model.judged_queries import JudgedQuery
from tidegate.model.own_query import OwnQuery
from tidegate.model.reasons import Policy
from tidegate.model.traffic import Arms

ARMS = Arms("shop", "digits", "digits-old", "digits-new")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=5)
COUNTED = JudgedQuery(
    OwnQuery("accuracy", "right{{candidate}}", 0.5, None, Policy.ROLLBACK, failure_limit=2), "digits-new", BEGAN
)


class Told:
    """A Prometheus that has one value, several or none at each step since BEGAN."""

    def __init__(self, *polls: tuple[float, ...]) -> None:
        self.polls = polls
        self.asked: list[tuple[int, int]] = []
        self.is_up = True

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        if not self.is_up:
            raise MetricsUnavailable("it can't be reached")
        assert promql == "rightdigits-new"
        first = (start - BEGAN) // step
        self.asked.append((first, points))
        found = [self.polls[index - 1] for index in range(first, first + points)]
        width = max(map(len, found))
        return [[each[row] if row < len(each) else None for each in found] for row in range(width)]

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        raise AssertionError("nobody asks for counters here")


def after(told: Told, polls: int, before: QueryAnswer | None = None) -> QueryAnswer:
    """The answer so many steps after BEGAN."""
    known = {COUNTED: before} if before else {}
    (answer,) = ask(told, [COUNTED], ARMS, until=BEGAN + polls * STEP, step=STEP, before=known)
    return answer


def test_polls_are_counted_once_each_from_the_first_step_after_it_is_judged() -> None:
    told = Told((0.9,), (0.1,), (), (0.1,), (0.2, 0.3), (0.7,))

    first = after(told, 2)
    assert first == QueryAnswer("accuracy", (0.9, 0.1), polls=2, failed=1, counted_until=BEGAN + 2 * STEP)
    later = after(told, 6, first)
    assert later == QueryAnswer(
        "accuracy", (0.1, 0.7), polls=6, failed=2, inconclusive=2, counted_until=BEGAN + 6 * STEP
    )
    assert told.asked == [(1, 2), (3, 4)]
    assert after(told, 6) == later  # an operator that was restarted comes to the same


def test_before_two_polls_it_is_pending() -> None:
    assert after(Told((0.9,)), 1) == QueryAnswer("accuracy", pending=True, counted_until=BEGAN)


def test_the_last_poll_without_a_number_is_told() -> None:
    answer = after(Told((0.9,), ()), 2)

    assert (answer.values, answer.failure, answer.inconclusive) == ((), "it gives no value", 1)


def test_an_outage_of_prometheus_counts_as_nothing_and_is_made_up_for() -> None:
    told = Told((0.9,), (0.9,), (0.1,), (0.1,))
    first = after(told, 2)
    told.is_up = False
    away = after(told, 3, first)
    assert (away.failure, away.polls, away.failed) == ("it can't be reached", 2, 0)

    told.is_up = True
    assert (after(told, 4, away).polls, after(told, 4, away).failed) == (4, 2)


def test_many_missed_polls_are_counted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_queries, "MOST_AT_ONCE", 4)
    told = Told(*[(0.9,)] * 10)

    answer = after(told, 10)
    assert (answer.pending, answer.polls, answer.counted_until) == (True, 4, BEGAN + 4 * STEP)
    answer = after(told, 10, after(told, 10, answer))
    assert (answer.pending, answer.polls, answer.counted_until) == (False, 10, BEGAN + 10 * STEP)


def test_between_two_polls_nothing_is_asked() -> None:
    told = Told((0.9,), (0.9,))
    answer = after(told, 2)
    soon = BEGAN + 2 * STEP + timedelta(seconds=3)
    (again,) = ask(told, [COUNTED], ARMS, until=soon, step=STEP, before={COUNTED: answer})

    assert (again, told.asked) == (answer, [(1, 2)])
