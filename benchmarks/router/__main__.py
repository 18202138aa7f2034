"""Measures what the router costs a request, beside a direct connection and a bare Envoy, also while it is read."""

import argparse
import sys
from contextlib import nullcontext
from dataclasses import asdict

from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.errors import BenchmarkError
from benchmarks.machine import described
from benchmarks.processes import cpu_seconds
from benchmarks.progress import Progress
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.router.open_loop import Plan
from benchmarks.router.report import BARE, Phase, Results, goals, report, too_busy
from benchmarks.router.testbed import Readings, Testbed, ask, being_read, testbed_running

SECTION = ReportSection("router", DOCS / "router.md")
MODELS, ROLLOUTS, RATE = 1000, 50, 1000
WARM_UP_SECONDS, SECONDS = 2.0, 10.0
ALONE, READ = "alone", "read each second"


def main() -> int:
    """The exit code: 0 where every goal is met, 1 where one isn't, 2 when nothing can be measured."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options))


def _measure(options: argparse.Namespace) -> Report:
    results = _results(options)
    if trouble := too_busy(results):
        sys.stderr.write(f"{report(results)}\n")
        raise BenchmarkError(trouble)
    judged = goals(results)
    document = {
        "rate": results.rate,
        "models": results.models,
        "phases": {phase.name: {f"p{p}": phase.cost_ms(p) for p in (50, 90, 99)} for phase in results.phases},
        "goals": [asdict(goal) for goal in judged],
        "machine": described(),
    }
    text = f"{report(results)}\n\nMeasured on {described()}.\n"
    return Report(text, document, SUCCEEDED if all(goal.met for goal in judged) else MISSED)


def _results(options: argparse.Namespace) -> Results:
    """All ways in turn, so that whatever else the machine does meets all."""
    rounds: dict[str, list[Phase]] = {BARE: [], ALONE: [], READ: []}
    progress, readings = Progress(len(rounds) * options.rounds), Readings()
    with testbed_running(options.models, ROLLOUTS) as testbed:
        for _ in range(options.rounds):
            for name, found in rounds.items():
                progress.step(name)
                with being_read(testbed, readings) if name == READ else nullcontext():
                    found.append(_phase(name, testbed, options.rate))
    phases = [_together(found) for found in rounds.values()]
    return Results(options.rate, options.models, ROLLOUTS, phases, sorted(readings.took_ms), readings.bytes)


def _phase(name: str, testbed: Testbed, rate: float) -> Phase:
    bare = testbed.bare
    port, pid = (bare.port, bare.pid) if name == BARE else (testbed.router_port, testbed.router_pid)
    plan = Plan((testbed.upstream_port, port), ROLLOUTS, rate, WARM_UP_SECONDS, SECONDS)
    before = cpu_seconds(pid)
    outcome = ask(plan)
    used = cpu_seconds(pid) - before
    direct, routed = outcome.took
    return Phase(name, direct, routed, outcome.late, outcome.failed, used, WARM_UP_SECONDS + SECONDS)


def _together(rounds: list[Phase]) -> Phase:
    return Phase(
        rounds[0].name,
        sorted(value for phase in rounds for value in phase.direct),
        sorted(value for phase in rounds for value in phase.routed),
        sorted(value for phase in rounds for value in phase.late),
        sum(phase.failed for phase in rounds),
        sum(phase.cpu_seconds for phase in rounds),
        sum(phase.seconds for phase in rounds),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router", description=__doc__)
    parser.add_argument("--models", type=positive, default=MODELS, help=f"that the router has ({MODELS})")
    parser.add_argument("--rate", type=positive, default=RATE, help=f"requests a second ({RATE})")
    parser.add_argument("--rounds", type=positive, default=6, help="of 10 s for each of the three ways (6)")
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
