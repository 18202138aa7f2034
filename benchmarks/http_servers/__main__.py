"""Compares what could stand between the network and the model: same handler, same client, one worker process each."""

import argparse
import sys
from dataclasses import asdict

from benchmarks.command import Report, add_choice, add_output_options, run_command
from benchmarks.http_servers import report, suite
from benchmarks.http_servers.suite import Effort
from benchmarks.report_page import DOCS, ReportSection

THOROUGH = Effort(seconds=3, rounds=3, idle_seconds=62)
QUICK = Effort(seconds=1, rounds=1, idle_seconds=35)
SECTION = ReportSection("HTTP servers", DOCS / "benchmarks.md")


def main() -> int:
    """The exit code: 0, or 1 when nothing can be measured. A server that fails a probe is a result, not an error."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options), cannot_measure=1)


def _measure(options: argparse.Namespace) -> Report:
    results = suite.run(options.only, QUICK if options.quick else THOROUGH)
    return Report(report.report(results), asdict(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_servers", description=__doc__)
    add_choice(parser, "--only", suite.PARTS, "PARTS")
    parser.add_argument("--quick", action="store_true", help="one short round: figures to look at, not to quote")
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
