"""Measures on a real cluster how fast bad releases are taken back, and that a release as good as stable stays.

Brings the demo's one-node cluster up if it isn't, and takes it down again. All of it takes about an hour.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.command import (
    MISSED,
    SUCCEEDED,
    Report,
    add_choice,
    add_output_options,
    positive,
    run_command,
)
from benchmarks.machine import described
from benchmarks.releases.goals import judge
from benchmarks.releases.report import report
from benchmarks.releases.scenarios import Kind, Scenario, planned
from benchmarks.releases.suite import run
from benchmarks.report_page import DOCS, ReportSection

SECTION = ReportSection("releases", DOCS / "judge-benchmark.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a goal is missed, 2 when it can't be measured here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    everything = run(_scenarios(options), keep_cluster=options.keep_cluster)
    goals = judge(everything)
    scenarios = [asdict(measured) for measured in everything]
    return Report(
        report(everything, f"{described()}, which run the cluster, the load and the models alike"),
        {"scenarios": scenarios, "goals": [asdict(goal) for goal in goals]},
        SUCCEEDED if all(goal.met for goal in goals) else MISSED,
    )


def _scenarios(options: argparse.Namespace) -> tuple[Scenario, ...]:
    return planned(options.only, options.scrape, failures=options.releases, slows=options.slow, equals=options.equal)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description=__doc__)
    parser.add_argument("--releases", type=positive, default=10, metavar="N", help="of the failing candidate (10)")
    parser.add_argument("--slow", type=positive, default=5, metavar="N", help="releases of the slow candidate (5)")
    parser.add_argument("--equal", type=positive, default=10, metavar="N", help="releases of the equal candidate (10)")
    add_choice(parser, "--only", tuple(Kind), "KINDS")
    parser.add_argument(
        "--scrape",
        type=_scrapes,
        default=(2, 5),
        help="seconds between scrapes (2,5); the shortest for all but failing",
    )
    parser.add_argument("--keep-cluster", action="store_true", help="leave the cluster up, with the shortest scrape")
    add_output_options(parser, SECTION)
    return parser.parse_args(arguments)


def _scrapes(said: str) -> tuple[int, ...]:
    seconds = tuple(positive(word.strip()) for word in said.split(","))
    if max(seconds) > 60:
        raise argparse.ArgumentTypeError("a scrape every 60 s is the rarest that is of use here")
    return tuple(dict.fromkeys(seconds))


if __name__ == "__main__":
    sys.exit(main())
