"""A tiny run of the whole."""

import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from benchmarks.command import Report
from benchmarks.judge.__main__ import document
from benchmarks.judge.cost import Cost
from benchmarks.judge.goals import OURS
from benchmarks.judge.outcomes import Rule
from benchmarks.judge.results import Results
from benchmarks.judge.scenarios import all_scenarios, chosen
from benchmarks.judge.suite import CHEAP, RARE, Effort, Plan, run
from benchmarks.progress import Progress
from tidegate.model.spec import Analysis


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def tiny(part: str, analysis: Analysis, pool: Executor, seed: int = 1, *, ours_alone: bool = False) -> Results:
    plan = Plan(chosen(all_scenarios(analysis), part), analysis, Effort(runs=2, tuning=100), seed, ours_alone)
    return run(plan, pool, Progress(len(plan.scenarios)))


def test_the_same_seed_gives_the_same_figures_whatever_else_is_simulated(analysis: Analysis, pool: Executor) -> None:
    one, more = (tiny(part, analysis, pool) for part in ("errors: 2 %, 100/s, ×20", "errors: 2 %, 100/s"))

    assert one == tiny("errors: 2 %, 100/s, ×20", analysis, pool)
    assert one.scenarios[0] in more.scenarios


def test_every_rule_judges_the_same_runs(analysis: Analysis, pool: Executor) -> None:
    (result,) = tiny("errors: 2 %, 100/s, ×20", analysis, pool).scenarios

    rules = set(Rule)  # those that look each second, too
    assert {rule: figures.rolled_back for rule, figures in result.figures.items()} == dict.fromkeys(rules, 2 * CHEAP)


def test_where_mistakes_are_rare_there_are_more_runs(analysis: Analysis, pool: Executor) -> None:
    (result,) = tiny("stress: no traffic at all", analysis, pool).scenarios

    assert {figures.runs for figures in result.figures.values()} == {2 * RARE}


def test_promotions_are_counted_of_ours_alone(analysis: Analysis, pool: Executor) -> None:
    (result,) = tiny("promotion: 2 %, 100/s, healthy", analysis, pool).scenarios

    assert {rule: figures.promoted for rule, figures in result.figures.items()} == {
        Rule.TIDEGATE: 2,
        Rule.TIDEGATE_DIRECT: 2,
    }


def test_the_other_rules_may_be_left_out_and_ours_see_the_same(analysis: Analysis, pool: Executor) -> None:
    part = "errors: 2 %, 100/s, ×20"
    alone, beside = (tiny(part, analysis, pool, ours_alone=alone) for alone in (True, False))

    assert set(alone.scenarios[0].figures) == set(OURS)
    assert alone.scenarios[0].figures == {rule: beside.scenarios[0].figures[rule] for rule in OURS}


def test_progress_names_each_cell(analysis: Analysis, pool: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    tiny("stress: no traffic at all", analysis, pool)

    assert "1 of 1  stress: no traffic at all" in capsys.readouterr().err


def test_programs_get_every_figure_and_goal(analysis: Analysis, pool: Executor) -> None:
    figures = document(tiny("errors: 2 %, 100/s, ×20", analysis, pool), Cost(3.0, 4.0, 2.0, 9))
    told = json.loads(Report("", figures).json)

    assert told["cells"][0]["figures"][Rule.TIDEGATE]["rolled_back"] == 2 * CHEAP
    assert all(goal["met"] for goal in told["goals"])
    assert told["poll"] == {"median": 3.0, "most": 4.0, "queries": 2.0, "polls": 9}
