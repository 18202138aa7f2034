"""Measures the memory that the operator's copy of a cluster's pods takes, beside that of an earlier commit."""

import argparse
import sys
from dataclasses import asdict

from benchmarks.baseline import fetched
from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.informer.measuring import footprint
from benchmarks.informer.report import Results, goals, report
from benchmarks.machine import described
from benchmarks.progress import Progress
from benchmarks.report_page import DOCS, ReportSection

PODS = 5000
SECTION = ReportSection("informer", DOCS / "informer-memory.md")


def main() -> int:
    """The exit code: 0 where every goal is met, 1 where one isn't, 2 when nothing can be measured."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    results = _results(options.pods, options.baseline)
    judged = goals(results)
    document = {**asdict(results), "goals": [asdict(goal) for goal in judged], "machine": described()}
    text = f"{report(results)}\nMeasured on {described()}.\n"
    return Report(text, document, SUCCEEDED if all(goal.met for goal in judged) else MISSED)


def _results(pods: int, commit: str) -> Results:
    progress = Progress(2 if commit else 1)
    progress.step("this code")
    present = footprint(pods)
    if not commit:
        return Results(pods, present, None, commit)
    progress.step(commit)
    return Results(pods, present, footprint(pods, fetched(commit).tree), commit)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.informer", description=__doc__)
    parser.add_argument("--pods", type=positive, default=PODS, help=f"in the cluster ({PODS})")
    parser.add_argument("--baseline", default="", metavar="COMMIT", help="also measure the code of this commit")
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
