"""Measures the model server beside the bare runtime, its peers and, where asked for, an earlier commit's server.

Says meanwhile what it does, and draws a report.
"""

import argparse
import sys
from dataclasses import asdict

from benchmarks.baseline import installed
from benchmarks.command import Report, add_choice, add_output_options, run_command
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.server import report, suite
from benchmarks.server.goals import judge
from benchmarks.server.rounds import Effort
from benchmarks.server.setups import PACKAGE
from benchmarks.server.suite import Plan

QUICK = Effort(seconds=2, rounds=1, trials=False)
SECTION = ReportSection("server", DOCS / "benchmarks.md")


def main() -> int:
    """The exit code: 0, or 1 when nothing can be measured. A goal that isn't met is a result, not an error."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options), cannot_measure=1)


def _measure(options: argparse.Namespace) -> Report:
    effort = QUICK if options.quick else Effort(options.seconds, options.rounds)
    baseline = installed(options.baseline, PACKAGE) if options.baseline else None
    results = suite.run(Plan(options.only, options.models, effort, baseline))
    goals = [{**asdict(goal), "met": goal.met} for goal in judge(results)]
    return Report(report.report(results), {**asdict(results), "goals": goals})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    add_choice(parser, "--only", suite.PARTS, "PARTS")
    add_choice(parser, "--models", tuple(suite.ALL_MODELS))
    parser.add_argument("--baseline", default="", metavar="COMMIT", help="also measure the server of this commit")
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement at saturation (5)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians over these (3)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of 2 s, no trials of settings: figures to look at, not to quote"
    )
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
