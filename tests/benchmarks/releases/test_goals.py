"""A goal is met by what was measured, or missed by it; what wasn't measured is missed."""

from dataclasses import replace

import pytest

from benchmarks.releases.goals import Goal, judge
from benchmarks.releases.results import Measured
from benchmarks.releases.scenarios import busy, failing, unseen
from tests.benchmarks.releases.examples import GONE, STAYED, STUCK, before, of, of_equal, of_failing, of_slow

QUICK = replace(GONE, first_to_last_bad=2.0)


def verdicts(measured: Measured) -> dict[str, bool]:
    return {goal.words: goal.met for goal in judge([measured])}


def only(measured: Measured, words: str) -> Goal:
    (found,) = (goal for goal in judge([measured]) if words in goal.words)
    return found


def test_all_goals_of_a_failing_candidate_are_met() -> None:
    assert verdicts(of_failing(2.0, 3.0, 5.0)) == {
        "each is rolled back": True,
        "median of first to last bad answer at most 3 s": True,
        "longest of first to last bad answer at most 5 s": True,
        "median of users with a bad answer at most 7": True,
        "no request is lost": True,
    }


@pytest.mark.parametrize("scrape", [2, 30])
def test_the_median_has_the_same_limit_at_each_scrape_interval(scrape: int) -> None:
    goal = only(of_failing(1.0, 3.1, 4.0, scrape=scrape), "median of first to last")
    assert (goal.seen, goal.met) == ("3.1 s", False)


def test_no_release_may_take_longer_than_the_longest() -> None:
    goal = only(of_failing(1.0, 2.0, 5.1), "longest")
    assert (goal.seen, goal.met) == ("5.1 s", False)


@pytest.mark.parametrize(("users", "met"), [(7, True), (8, False)])
def test_the_median_of_users_has_a_limit(users: int, met: bool) -> None:
    assert only(of_failing(2.0, 2.0, users=users), "users").met is met


def test_under_many_requests_a_bad_release_has_two_seconds() -> None:
    assert verdicts(of(busy(30, 1), replace(GONE, first_to_last_bad=2.1))) == {
        "each is rolled back": True,
        "median of first to last bad answer at most 2 s": False,
        "no request is lost": True,
    }


def test_without_prometheus_the_same_is_promised() -> None:
    seen = verdicts(of(unseen(30, 1), replace(GONE, first_to_last_bad=2.9)))
    assert seen == verdicts(of_failing(2.9))


def test_at_a_long_scrape_interval_it_is_eight_times_as_good_as_before() -> None:
    ours, theirs = of_failing(3.0, 3.0, scrape=30, users=6), before(of_failing(30.0, 30.0, scrape=30, users=40))
    found = {goal.words: (goal.seen, goal.before, goal.met) for goal in judge([ours, theirs])}
    assert found["median of first to last bad answer at most 3 s"] == ("3.0 s", "30.0 s", True)
    assert found["8 times faster"] == ("10.0×", "1", True)
    assert found["8 times fewer users"] == ("6.7×", "1", False)


def test_a_baseline_that_never_ends_is_worse_by_any_factor() -> None:
    ours, theirs = of_failing(3.0, scrape=30), before(of(failing(30, 1), STUCK))
    assert {goal.seen for goal in judge([ours, theirs]) if "times" in goal.words} == {"for ever"}


def test_an_equal_candidate_is_promoted_no_later_than_before() -> None:
    theirs = before(of_equal(STAYED))
    for seconds, met in ((140.0, True), (154.0, True), (155.0, False)):
        goals = judge([of_equal(replace(STAYED, seconds=seconds)), theirs])
        assert [goal.met for goal in goals if "apply" in goal.words] == [met]


def test_what_is_not_of_this_code_has_no_goals_of_its_own() -> None:
    assert judge([before(of_failing(9.0))]) == []


def test_a_release_that_never_ended_counts_as_one_that_took_for_ever() -> None:
    measured = of(failing(2, 2), GONE, STUCK)
    assert [(goal.seen, goal.met) for goal in judge([measured])] == [
        ("1 of 2", False),
        ("never", False),
        ("never", False),
        ("no end of them", False),
        ("0 of 12,000", True),
    ]


def test_one_stuck_release_of_three_leaves_the_median() -> None:
    assert only(of(failing(2, 3), QUICK, QUICK, STUCK), "median of first").met


def test_releases_that_are_missing_count_as_missed() -> None:
    measured = of(failing(2, 3), GONE, trouble="the load has ended by itself")
    assert not any(goal.met for goal in judge([measured]) if "lost" not in goal.words)


def test_a_candidate_that_nobody_saw_fail_shows_nothing() -> None:
    nothing = replace(GONE, bad=0, first_to_last_bad=None)
    assert not only(of(failing(2, 1), nothing), "median of first").met


@pytest.mark.parametrize(("seconds", "met"), [(5.0, True), (5.1, False)])
def test_a_slow_candidate_has_to_be_gone_in_time(seconds: float, met: bool) -> None:
    goal = only(of_slow(2.0, seconds, 60.0), "first to last answer")
    assert (goal.seen, goal.met) == (f"{seconds} s", met)


def test_equal_candidates_have_to_be_promoted_all_of_them() -> None:
    assert only(of_equal(STAYED, STAYED), "promoted").met
    missed = only(of_equal(STAYED, GONE), "promoted")
    assert (missed.seen, missed.met) == ("1 of 2", False)


def test_one_lost_request_is_one_too_many() -> None:
    goal = only(of(failing(2, 1), GONE, lost=1), "lost")
    assert (goal.seen, goal.met) == ("1 of 12,000", False)


def test_without_a_request_nothing_was_shown_to_be_kept() -> None:
    assert not only(Measured(failing(2, 1), (), 0, {}, "not live"), "lost").met
