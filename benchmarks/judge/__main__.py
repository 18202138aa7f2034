"""Simulates releases and lets the judge, and what others judge by, decide on the same traffic; draws a report."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.judge.cost import Cost, cost_of_a_poll, cost_report
from benchmarks.judge.goals import judge
from benchmarks.judge.reaction import ReactionRow, reaction_report, reactions
from benchmarks.judge.report import report
from benchmarks.judge.results import Results
from benchmarks.judge.scenarios import all_scenarios, chosen
from benchmarks.judge.suite import RARE, Effort, Plan, run
from benchmarks.judge.tidegate_defaults import default_analysis
from benchmarks.progress import Progress
from benchmarks.report_page import DOCS, ReportSection

FULL, QUICK = Effort(runs=80, tuning=4000), Effort(runs=10, tuning=1500)
REACTIONS, REACTIONS_QUICK = 100, 20
"""Bad releases for each row of the table of reactions."""
SEED = 20260101
SECTION = ReportSection("judge", DOCS / "judge-benchmark.md")


def main() -> int:
    """The exit code: 0 where every goal is met, 1 where one isn't, 2 when nothing can be simulated."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options))


def exit_code(results: Results) -> int:
    """For a pipeline that has to notice."""
    return SUCCEEDED if all(goal.met for goal in judge(results)) else MISSED


def document(results: Results, cost: Cost, reacted: Sequence[ReactionRow] = ()) -> dict[str, object]:
    """Every figure, for programs."""
    scenarios = [
        {
            "table": result.scenario.table.value,
            "cell": result.scenario.name,
            "figures": {rule: asdict(figures) for rule, figures in result.figures.items()},
        }
        for result in results.scenarios
    ]
    goals = [asdict(goal) for goal in judge(results)]
    return {"seed": results.seed, "runs": results.runs, "cells": scenarios, "goals": goals, "poll": asdict(cost)} | {
        "reactions": [asdict(row) for row in reacted]
    }


def _measure(options: argparse.Namespace) -> Report:
    cost, results = cost_of_a_poll(), _results(options)
    reacted = reactions(results.analysis, REACTIONS_QUICK if options.quick else REACTIONS, options.seed)
    text = (
        f"{report(results)}\n### How long a bad model answers\n\n{reaction_report(reacted)}\n\n"
        f"### The cost of a poll\n\n{cost_report(cost)}\n"
    )
    code = exit_code(results) if all(row.is_good for row in reacted) else MISSED
    return Report(text, document(results, cost, reacted), code)


def _results(options: argparse.Namespace) -> Results:
    analysis = default_analysis()
    scenarios = chosen(all_scenarios(analysis), options.only)
    effort = QUICK if options.quick else FULL
    if options.runs:
        effort = Effort(options.runs, effort.tuning)
    plan = Plan(scenarios, analysis, effort, options.seed, options.ours)
    with ProcessPoolExecutor() as pool:
        return run(plan, pool, Progress(len(scenarios)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PART", help="cells with this in their title, such as 'errors: 2 %%'"
    )
    parser.add_argument(
        "--runs",
        type=positive,
        help=f"of a cell, and up to {RARE} times as many ({FULL.runs})",
    )
    parser.add_argument("--seed", type=positive, default=SEED, help=f"the same seed draws the same traffic ({SEED})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.runs} runs: figures to look at, not to quote")
    parser.add_argument("--ours", action="store_true", help="without the other rules, which take most of the time")
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
