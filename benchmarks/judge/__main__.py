"""Simulates releases and lets the judge, and what others judge by, decide on the same traffic; draws a report."""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

from benchmarks.judge.campaign import RARE, Effort, Plan, run
from benchmarks.judge.cells import all_cells, chosen
from benchmarks.judge.cost import Cost, cost_of_a_poll, cost_report
from benchmarks.judge.errors import BenchmarkError
from benchmarks.judge.goals import judge
from benchmarks.judge.product import default_analysis
from benchmarks.judge.report import report
from benchmarks.judge.results import Results
from benchmarks.page import NoPlace, Place
from benchmarks.server.progress import Progress

FULL, QUICK = Effort(runs=80, tuning=4000), Effort(runs=10, tuning=1500)
SEED = 20260101
PLACE = Place("judge")


def main() -> int:
    """The exit code: 0 where every goal is met, 1 where one isn't, 2 when nothing can be simulated."""
    options = _options()
    try:
        cost = cost_of_a_poll()
        results = _results(options)
    except (BenchmarkError, NoPlace) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    told = f"{report(results)}\n### The cost of a poll\n\n{cost_report(cost)}\n"
    if options.write:
        PLACE.write(told)
    sys.stdout.write(as_json(results, cost) if options.output == "json" else "\n" + told)
    return exit_code(results)


def exit_code(results: Results) -> int:
    """For a pipeline that has to notice."""
    return 0 if all(goal.met for goal in judge(results)) else 1


def as_json(results: Results, cost: Cost) -> str:
    """Every figure, for programs."""
    cells = [
        {
            "table": result.cell.table.value,
            "cell": result.cell.name,
            "figures": {rule: asdict(figures) for rule, figures in result.figures.items()},
        }
        for result in results.cells
    ]
    goals = [asdict(goal) for goal in judge(results)]
    whole = {"seed": results.seed, "runs": results.runs, "cells": cells, "goals": goals, "poll": asdict(cost)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _results(options: argparse.Namespace) -> Results:
    if options.write:
        PLACE.check()
    analysis = default_analysis()
    cells = chosen(all_cells(analysis), options.only)
    effort = QUICK if options.quick else FULL
    if options.runs:
        effort = Effort(options.runs, effort.tuning)
    with ProcessPoolExecutor() as pool:
        return run(Plan(cells, analysis, effort, options.seed), pool, Progress(len(cells)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PART", help="cells with this in their title, such as 'errors: 2 %%'"
    )
    parser.add_argument(
        "--runs",
        type=_positive,
        help=f"of a cell, and up to {RARE} times as many ({FULL.runs})",
    )
    parser.add_argument("--seed", type=_positive, default=SEED, help=f"the same seed draws the same traffic ({SEED})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.runs} runs: figures to look at, not to quote")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--write", action="store_true", help="put the report into docs/judge-benchmark.md")
    return parser.parse_args()


def _positive(said: str) -> int:
    number = int(said)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
