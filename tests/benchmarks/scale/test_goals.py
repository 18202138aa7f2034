"""Each promise is judged at the largest size, beside the baseline; growth by the smallest and the largest."""

from dataclasses import replace

import pytest

from benchmarks.scale.figures import Measured, Spread
from benchmarks.scale.goals import Goal, judge
from tests.benchmarks.scale.examples import OPERATOR, ROUTER, THIS

BEFORE = Measured(
    "abc1234", 1000, replace(OPERATOR, live=150.0), replace(ROUTER, agent_cpu=0.022, written=2_400_000.0, sent=None)
)


def only(everything: list[Measured], words: str) -> Goal:
    (found,) = (goal for goal in judge(everything) if words in goal.words)
    return found


def test_all_goals_can_be_met() -> None:
    judged = judge([THIS, BEFORE])
    assert len(judged) == 14
    assert [goal.words for goal in judged if not goal.met] == []


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        pytest.param(replace(THIS, operator=replace(OPERATOR, live=35.1)), "all are live", id="live too late"),
        pytest.param(replace(THIS, operator=replace(OPERATOR, resident=161 * 2**20)), "memory", id="too much memory"),
        pytest.param(
            replace(THIS, operator=replace(OPERATOR, idle_calls={"get leases": 20, "list pods": 1})),
            "API calls",
            id="a call that isn't for the Lease",
        ),
        pytest.param(
            replace(THIS, operator=replace(OPERATOR, rolling_late=Spread(0.0, 0.6, 450))), "late", id="late looks"
        ),
        pytest.param(replace(THIS, operator=replace(OPERATOR, rolling_writes=3.1)), "writes", id="too many writes"),
        pytest.param(replace(THIS, router=replace(ROUTER, written=1_400.0)), "bytes", id="files count, too"),
        pytest.param(replace(THIS, router=replace(ROUTER, unseen=1)), "never seen", id="a change without effect"),
        pytest.param(
            replace(THIS, router=replace(ROUTER, routed=Spread(0.0009, 0.0025, 8000))), "adds", id="a dear router"
        ),
    ],
)
def test_what_is_worse_than_promised_is_missed(missed: Measured, words: str) -> None:
    wrong = [goal.words for goal in judge([missed]) if not goal.met]
    assert len(wrong) == 1
    assert words in wrong[0]


def test_the_agent_is_held_against_what_the_baseline_took() -> None:
    assert only([THIS, BEFORE], "20th").met
    goal = only([THIS, replace(BEFORE, router=replace(ROUTER, agent_cpu=0.019))], "20th")
    assert (goal.seen, goal.before, goal.met) == ("1.00 ms, a 19th", "19 ms", False)


def test_figures_stand_beside_the_baselines() -> None:
    goal = only([THIS, BEFORE], "all are live")
    assert (goal.seen, goal.before) == ("30.0 s", "150.0 s")
    assert only([THIS, BEFORE], "bytes").before == "2400.0 kB"


def test_without_a_baseline_nothing_stands_beside_them() -> None:
    assert only([THIS], "all are live").before == "–"


def test_growth_is_from_the_smallest_size_to_the_largest() -> None:
    small = replace(THIS, models=100, operator=replace(OPERATOR, live=3.1))
    assert only([small, THIS], "grows").met
    goal = only([replace(small, operator=replace(OPERATOR, live=2.9)), THIS], "grows")
    assert (goal.seen, goal.met) == ("at most 10.3× (all are live after)", False)


def test_what_was_nothing_at_the_smallest_size_has_no_growth() -> None:
    on_time = replace(OPERATOR, rolling_late=Spread(0.0, 0.0, 762))
    assert only([replace(THIS, models=100, operator=on_time), THIS], "grows").met


def test_of_one_size_no_growth_is_told() -> None:
    assert not [goal for goal in judge([THIS]) if "grows" in goal.words]


def test_a_part_that_was_not_measured_has_no_goals() -> None:
    assert {goal.words.partition(":")[0] for goal in judge([replace(THIS, operator=None)])} == {
        "agent's CPU a change",
        "bytes a change",
        "change → effect, p99",
        "changes and shifts that were never seen",
        "shift → effect, p99",
        "the router adds at 1,000 requests/s, p50",
        "the router adds at 1,000 requests/s, p99",
    }
