"""A goal is met by what was measured, or missed by it; what wasn't measured is missed."""

from dataclasses import replace

import pytest

from benchmarks.releases.goals import Goal, judge
from benchmarks.releases.results import Measured
from benchmarks.releases.scenarios import failing
from tests.benchmarks.releases.examples import GONE, STAYED, STUCK, of, of_equal, of_failing, of_slow


def verdicts(measured: Measured) -> dict[str, bool]:
    return {goal.words: goal.met for goal in judge([measured])}


def only(measured: Measured, words: str) -> Goal:
    (found,) = (goal for goal in judge([measured]) if words in goal.words)
    return found


def test_all_goals_of_a_failing_candidate_are_met() -> None:
    assert verdicts(of_failing(5.0, 8.0, 30.0)) == {
        "each is rolled back": True,
        "median of first to last bad answer at most 8 s": True,
        "at most 25 users saw a bad answer, in any release": True,
        "no request is lost": True,
    }


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param(of_failing(1.0, 8.1, 9.0), ("8.1 s", False), id="too slow for a scrape every 2 s"),
        pytest.param(of_failing(1.0, 11.9, 20.0, scrape=5), ("11.9 s", True), id="a scrape every 5 s may take 12 s"),
        pytest.param(of_failing(13.0, scrape=5), ("13.0 s", False), id="and no longer"),
    ],
)
def test_the_median_has_a_limit_for_each_scrape_interval(measured: Measured, expected: tuple[str, bool]) -> None:
    goal = only(measured, "median")
    assert (goal.seen, goal.met) == expected


def test_another_scrape_interval_has_no_limit_of_seconds() -> None:
    assert not [goal for goal in judge([of_failing(99.0, scrape=15)]) if "median" in goal.words]


@pytest.mark.parametrize(("users", "met"), [(25, True), (26, False)])
def test_no_release_may_show_a_bad_answer_to_more_users(users: int, met: bool) -> None:
    assert only(of_failing(5.0, 5.0, users=users), "users").met is met


def test_a_release_that_never_ended_counts_as_one_that_took_for_ever() -> None:
    measured = of(failing(2, 2), GONE, STUCK)
    assert [(goal.seen, goal.met) for goal in judge([measured])] == [
        ("1 of 2", False),
        ("never", False),
        ("no end of them", False),
        ("0 of 12,000", True),
    ]


def test_one_stuck_release_of_three_leaves_the_median() -> None:
    assert only(of(failing(2, 3), GONE, GONE, STUCK), "median").met


def test_releases_that_are_missing_count_as_missed() -> None:
    measured = of(failing(2, 3), GONE, trouble="the load has ended by itself")
    assert not any(goal.met for goal in judge([measured]) if "lost" not in goal.words)


def test_a_candidate_that_nobody_saw_fail_shows_nothing() -> None:
    unseen = replace(GONE, bad=0, first_to_last_bad=None)
    assert not only(of(failing(2, 1), unseen), "median").met


@pytest.mark.parametrize(("worst", "met"), [(15.0, True), (15.1, False)])
def test_every_slow_candidate_has_to_be_gone_in_time(worst: float, met: bool) -> None:
    goal = only(of_slow(6.0, worst), "first answer")
    assert (goal.seen, goal.met) == (f"{worst} s at worst", met)


def test_equal_candidates_have_to_be_promoted_all_of_them() -> None:
    assert only(of_equal(STAYED, STAYED), "promoted").met
    missed = only(of_equal(STAYED, GONE), "promoted")
    assert (missed.seen, missed.met) == ("1 of 2", False)


def test_one_lost_request_is_one_too_many() -> None:
    goal = only(of(failing(2, 1), GONE, lost=1), "lost")
    assert (goal.seen, goal.met) == ("1 of 12,000", False)


def test_without_a_request_nothing_was_shown_to_be_kept() -> None:
    assert not only(Measured(failing(2, 1), (), 0, {}, "not live"), "lost").met
