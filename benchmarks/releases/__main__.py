"""Measures on a real cluster how fast bad releases are taken back, and that a release as good as stable stays.

Brings the demo's one-node cluster up if it isn't, and takes it down again. All of it takes some three hours; twice as
long beside a baseline, whose releases take turns with this code's.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.baseline import fetched
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
from benchmarks.releases.scenarios import Kind, planned
from benchmarks.releases.suite import Plan, run
from benchmarks.report_page import DOCS, ReportSection

SECTION = ReportSection("releases", DOCS / "judge-benchmark.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a goal is missed, 2 when it can't be measured here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    everything = run(_plan(options))
    goals = judge(everything)
    scenarios = [asdict(measured) for measured in everything]
    return Report(
        report(everything, f"{described()}, which run the cluster, the load and the models alike"),
        {"scenarios": scenarios, "goals": [asdict(goal) for goal in goals]},
        SUCCEEDED if all(goal.met for goal in goals) else MISSED,
    )


def _plan(options: argparse.Namespace) -> Plan:
    releases = {
        Kind.FAILING: options.releases,
        Kind.UNSEEN: options.unseen,
        Kind.BUSY: options.busy,
        Kind.SLOW: options.slow,
        Kind.EQUAL: options.equal,
    }
    baseline = fetched(options.baseline) if options.baseline else None
    return Plan(
        scenarios=planned(options.only, options.scrape, releases),
        baseline=baseline,
        baseline_releases=options.baseline_releases or max(releases.values()),
        size=options.turn,
        minutes=options.minutes,
        at_once=options.at_once,
        keep_cluster=options.keep_cluster,
        go_on=options.go_on,
        baseline_alone=options.baseline_alone,
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description=__doc__)
    for kind, what, usual in (
        ("releases", "of the failing candidate, at each scrape interval", 10),
        ("unseen", "of the failing one while Prometheus is away", 10),
        ("busy", "of the failing one under 1,000 requests a second", 5),
        ("slow", "of the slow candidate", 10),
        ("equal", "of the equal candidate", 20),
    ):
        parser.add_argument(f"--{kind}", type=positive, default=usual, metavar="N", help=f"{what} ({usual})")
    add_choice(parser, "--only", tuple(Kind), "KINDS")
    parser.add_argument(
        "--scrape",
        type=_scrapes,
        default=(2, 5, 30),
        help="seconds between scrapes (2,5,30); equal candidates have the shortest, all others the longest",
    )
    parser.add_argument("--baseline", default="", metavar="COMMIT", help="also measure the code of this commit")
    parser.add_argument("--baseline-releases", type=positive, metavar="N", help="of each kind at most, with that code")
    parser.add_argument("--baseline-alone", action="store_true", help="this code's turns are left out")
    parser.add_argument("--turn", type=positive, default=5, metavar="N", help="releases before the code changes (5)")
    parser.add_argument("--at-once", type=positive, default=1, metavar="N", help="kinds of candidates at a time (1)")
    parser.add_argument(
        "--minutes", type=positive, default=480, metavar="N", help="after which nothing new begins (480)"
    )
    parser.add_argument("--go-on", action="store_true", help="add to what the last run found")
    parser.add_argument("--keep-cluster", action="store_true", help="leave the cluster up, as the last release had it")
    add_output_options(parser, SECTION)
    return parser.parse_args(arguments)


def _scrapes(said: str) -> tuple[int, ...]:
    seconds = tuple(positive(word.strip()) for word in said.split(","))
    if max(seconds) > 60:
        raise argparse.ArgumentTypeError("a scrape every 60 s is the rarest that is of use here")
    return tuple(dict.fromkeys(seconds))


if __name__ == "__main__":
    sys.exit(main())
