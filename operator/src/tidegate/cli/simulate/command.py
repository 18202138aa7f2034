"""`tidegate simulate`: lets rollouts run under a spec's settings on synthetic traffic, and says what to expect."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TextIO

from tidegate.cli.common.arguments import add_shared_options, exit_code, number_above, number_from
from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.output import wants_colour, write_line
from tidegate.cli.common.parsing import error_rate, share, span, times
from tidegate.cli.common.progress import Progress
from tidegate.cli.common.set_option import patched
from tidegate.cli.common.spec_file import read_spec
from tidegate.cli.simulate.report import SimulationReport, json_of, text_of
from tidegate.cli.simulate.summary import summaries_of
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.simulation.engine import SimulatedRollout, simulate_rollout
from tidegate.simulation.synthetic_metrics import Scenario
from tidegate.simulation.synthetic_traffic import Behaviour

DONE = 0
PARTS = ("analysis", "strategy")
"""Of the spec: the rest has no influence on a verdict."""
ANY_MODEL = {"model": {"uri": "https://models.example.com/any.onnx"}}
LARGE = 40
"""Rollouts from which on a second process is worth its start."""
BATCH = 5
"""Rollouts that a process simulates in one go."""

DESCRIPTION = """
Lets whole rollouts run: the operator's own decisions and the judge, on traffic that is drawn by chance.
Prints how they end, how long that takes, and how many failures users would see. Needs no cluster and no Prometheus.
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code: 0, 1 if the spec can't be simulated, 2 if the command line makes no sense."""
    arguments = _parser().parse_args(argv)
    return exit_code("tidegate simulate", lambda: run(arguments, sys.stdout, sys.stderr))


def run(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Simulates what the command line asks for, and writes what to expect."""
    schema = spec_schema()
    given = read_spec(arguments.file, schema, PARTS, ANY_MODEL) if arguments.file else ANY_MODEL
    spec = ModelDeploymentSpec.parse(patched(given, schema, arguments.set, PARTS))
    scenario = _scenario(arguments)
    progress = Progress(arguments.runs, "rollouts simulated", err)
    rollouts: list[SimulatedRollout] = []
    for batch in simulate_all(spec, scenario, arguments.runs, arguments.seed, 2 if arguments.runs >= LARGE else 1):
        rollouts += batch
        progress.update(len(rollouts))
    progress.end()
    report = SimulationReport(spec, scenario, arguments.runs, arguments.seed, summaries_of(rollouts))
    write_line(out, json_of(report) if arguments.output == "json" else text_of(report, colour=wants_colour(out)))
    return DONE


def simulate_all(
    spec: ModelDeploymentSpec, scenario: Scenario, runs: int, seed: int, processes: int
) -> Iterator[list[SimulatedRollout]]:
    """All rollouts in order, batch by batch. How many processes there are makes no difference to what comes out."""
    batches = [range(first, min(first + BATCH, runs)) for first in range(0, runs, BATCH)]
    if processes == 1:
        for batch in batches:
            yield _simulate_batch(spec, scenario, seed, batch)
        return
    # Spawned, not forked: a forked child would inherit the locks of threads that it doesn't have.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        with _interrupts_ignored():
            waiting = [pool.submit(_simulate_batch, spec, scenario, seed, batch) for batch in batches]
        for each in waiting:
            yield each.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that start inside ignore Ctrl-C for good: this one gets it, and ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _simulate_batch(
    spec: ModelDeploymentSpec, scenario: Scenario, seed: int, numbers: Sequence[int]
) -> list[SimulatedRollout]:
    return [simulate_rollout(spec, scenario, f"{seed}/{number}") for number in numbers]


def _scenario(arguments: argparse.Namespace) -> Scenario:
    base = share(arguments.base_errors)
    stable = Behaviour(base, span(arguments.median).total_seconds(), arguments.clump)
    slower = stable.times(latency=times(arguments.latency))
    return Scenario(
        rate=arguments.rate,
        stable=stable,
        candidate=replace(slower, error_rate=error_rate(arguments.errors, base)),
        scrape_interval=span(arguments.scrape_interval),
        limit=timedelta(minutes=arguments.minutes) if arguments.minutes else None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidegate simulate", description=DESCRIPTION)
    parser.add_argument(
        "-f",
        "--file",
        type=Path,
        help="a ModelDeployment, - for stdin; what it leaves out, or all, has the CRD's defaults",
    )
    parser.add_argument(
        "--rate", type=number_above(0, float), default=100.0, help="requests a second to both models; 100"
    )
    parser.add_argument("--base-errors", default="0.5%", metavar="SHARE", help="of stable's answers that fail; 0.5%%")
    parser.add_argument("--errors", default="x1", metavar="TIMES", help="the candidate's, as x5 or 2.5%%; x1")
    parser.add_argument("--latency", default="x1", metavar="TIMES", help="the candidate's, as 1.2x or +100%%; x1")
    parser.add_argument(
        "--median", default="30ms", metavar="SPAN", help="stable's latency; 30ms, p99 is four times that"
    )
    parser.add_argument(
        "--clump", type=number_from(1, float), default=1.0, help="failures come in clusters of so many on average; 1"
    )
    parser.add_argument("--runs", type=number_from(1, int), default=200, help="rollouts to simulate; 200")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same rollouts; 1")
    parser.add_argument(
        "--minutes",
        type=number_from(0, float),
        default=0.0,
        help="of a rollout at most; until analysis.deadline, if left out",
    )
    parser.add_argument("--scrape-interval", default="15s", metavar="SPAN", help="Prometheus' own; 15s")
    add_shared_options(parser, "below spec.analysis or spec.strategy, such as analysis.interval=10s")
    return parser
