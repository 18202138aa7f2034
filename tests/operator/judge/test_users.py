"""Users who stay with a revision: what they bring with them is no fault of the candidate's; a bad model still is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.judge.tidegate_defaults import default_analysis
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.users import CLUMP, SPREAD, by_users, luck_of_users
from tidegate.model.evidence import Counts, Durations, Increment, Overdispersion
from tidegate.model.plain import from_plain, plain

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = Counts(180_000, 1800)
"""What stable answered in half an hour: one in a hundred failed."""
BAD, UNKNOWN = Counts(180_000, 18_000), Counts()


def a_test(before: Counts = BEFORE, overdispersion: Overdispersion | None = None) -> SequentialTest:
    learned = by_users(Overdispersion()) if overdispersion is None else overdispersion
    return SequentialTest(SequentialTestParameters(default_analysis(), before=before, overdispersion=learned))


def is_rolled_back(test: SequentialTest, stable: Counts, candidate: Counts) -> bool:
    """After ten minutes of increments like this one of 5 seconds."""
    for seconds in range(5, 600, 5):
        until = BEGAN + timedelta(seconds=seconds)
        test.update(Increment(until, stable, candidate, since=until - timedelta(seconds=5)))
    return test.rejected_at is not None


@pytest.mark.parametrize(
    ("before", "stable", "candidate", "is_bad"),
    [
        pytest.param(BEFORE, Counts(475, 5), Counts(25, 0), False, id="as good as stable"),
        pytest.param(BEFORE, Counts(475, 1), Counts(25, 4), False, id="a user whose requests fail has gone over"),
        pytest.param(BEFORE, Counts(475, 10), Counts(25, 1), False, id="all users fare worse than before"),
        pytest.param(BEFORE, Counts(475, 5), Counts(25, 5), True, id="fails on a fifth"),
        pytest.param(BEFORE, Counts(250, 2), Counts(250, 13), True, id="fails five times as often at 50 %"),
        pytest.param(BEFORE, Counts(0, 0), Counts(500, 25), True, id="fails five times as often at 100 %"),
        pytest.param(BAD, Counts(475, 1), Counts(25, 8), True, id="fails on a third, after a bad half hour"),
        pytest.param(BAD, Counts(475, 5), Counts(25, 1), False, id="fails as often as all did before"),
        pytest.param(UNKNOWN, Counts(475, 5), Counts(25, 5), True, id="fails on a fifth, and nobody knows of before"),
        pytest.param(UNKNOWN, Counts(250, 5), Counts(250, 14), False, id="not three times as often, the same"),
    ],
)
def test_a_candidate(before: Counts, stable: Counts, candidate: Counts, is_bad: bool) -> None:
    assert is_rolled_back(a_test(before), stable, candidate) is is_bad


def slow(requests: int, of_them: int) -> Counts:
    """So many take half a second, the others 10 ms."""
    return Counts(
        requests, 0, Durations((0.01, 0.02, float("inf")), (requests - of_them, requests - of_them, requests))
    )


@pytest.mark.parametrize(
    ("stable", "candidate", "is_bad"),
    [
        pytest.param(slow(475, 1), slow(25, 4), False, id="a user whose requests take long has gone over"),
        pytest.param(slow(475, 5), slow(25, 24), True, id="all are slow"),
    ],
)
def test_a_candidate_by_its_latency(stable: Counts, candidate: Counts, is_bad: bool) -> None:
    reference = slow(180_000, 1800).durations
    learned = by_users(Overdispersion())
    test = SequentialTest(
        SequentialTestParameters(default_analysis(), reference, before=BEFORE, overdispersion=learned)
    )
    assert is_rolled_back(test, stable, candidate) is is_bad


@pytest.mark.parametrize(("candidate", "times"), [(0, 10.0), (5, 3.0), (25, 1.7), (50, 1.6), (100, 1.0)])
def test_the_fewer_users_the_more_is_laid_to_them(candidate: int, times: float) -> None:
    assert luck_of_users(SPREAD, candidate, 100 - candidate) == pytest.approx(times, abs=0.05)
    assert luck_of_users(0.0, candidate, 100 - candidate) == 1.0


def test_who_is_drawn_request_by_request_is_judged_without_the_time_before() -> None:
    test = a_test(overdispersion=Overdispersion())
    assert [metric.everybody for metric in test.all_metrics] == [[]] * len(test.all_metrics)
    assert is_rolled_back(test, Counts(475, 1), Counts(25, 4))


def test_what_stable_told_stays_where_it_is_more() -> None:
    learned = Overdispersion(9.0, {50: 1.0, 99: 12.0}, {50: 7.0, 99: 60.0}, errors_over_time=11.0)
    expected = replace(learned, errors=11.0, latency={50: 7.0, 99: 50.0}, users=SPREAD)
    assert by_users(learned) == expected
    assert by_users(Overdispersion()) == Overdispersion(CLUMP, users=SPREAD)


def test_a_checkpoint_of_an_older_operator_knows_no_users() -> None:
    written = plain(Overdispersion(2.0))
    del written["users"], written["errors_over_time"]
    assert from_plain(Overdispersion, written) == Overdispersion(2.0)
