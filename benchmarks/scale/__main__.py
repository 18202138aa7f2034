"""Measures what operator and router cost with 100, 300 and 1,000 ModelDeployments, beside an earlier commit's.

The API server, its etcd and the Envoys are real. There are no nodes: pods are ready as soon as they are wanted, and
Prometheus, the routers' counters and the traffic of the operator's part are made up. All of it takes some 20 minutes
with a baseline.
"""

import argparse
import signal
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
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.scale.code import baseline_code, this_code, version_of
from benchmarks.scale.goals import judge
from benchmarks.scale.report import report
from benchmarks.scale.suite import PARTS, Plan, run

SECTION = ReportSection("scale", DOCS / "scale-benchmark.md")
SIZES, QUICK_SIZES = (100, 300, 1000), (20, 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a goal is missed, 2 when it can't be measured here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    # Whoever ends it otherwise than by Ctrl-C wants its API server and its Envoys gone, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    python = options.python
    codes = (this_code(python), *([baseline_code(options.baseline, python)] if options.baseline else []))
    sizes = options.models or (QUICK_SIZES if options.quick else SIZES)
    everything = run(Plan(codes, sizes, options.only, options.quick, options.go_on))
    judged = judge(everything)
    failed = any(each.trouble for each in everything if not each.code) or not all(goal.met for goal in judged)
    return Report(
        report(everything, f"{described()}, which run everything alike, and Python {version_of(codes[0])}"),
        {"measured": [asdict(each) for each in everything], "goals": [asdict(goal) for goal in judged]},
        MISSED if failed else SUCCEEDED,
    )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--models", type=_sizes, metavar="N,N", help="how many ModelDeployments (100,300,1000)")
    parser.add_argument("--baseline", default="", metavar="COMMIT", help="also measure the code of this commit")
    parser.add_argument("--python", default="", metavar="PATH", help="the Python that runs what is measured")
    parser.add_argument("--quick", action="store_true", help="a look in a few minutes, at 20 and 60")
    add_choice(parser, "--only", PARTS)
    parser.add_argument("--go-on", action="store_true", help="add to what the last run found")
    add_output_options(parser, SECTION)
    return parser.parse_args(arguments)


def _sizes(said: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(positive(word.strip()) for word in said.split(",")))


if __name__ == "__main__":
    sys.exit(main())
