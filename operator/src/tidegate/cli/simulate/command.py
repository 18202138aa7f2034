"""`tidegate simulate`: plays rollouts under a spec's settings on synthetic traffic, and says what to expect."""

import argparse
import math
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

import yaml

from tidegate.cli.common.crd_file import spec_schema
from tidegate.cli.common.errors import Unusable
from tidegate.cli.common.output import emit, wants_colour
from tidegate.cli.common.parsing import error_rate, share, span, times
from tidegate.cli.common.progress import Progress
from tidegate.cli.common.set_option import patched, refused_in
from tidegate.cli.simulate.report import Simulated, json_of, text_of
from tidegate.errors import InvalidSpec, TidegateError
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.crd_schema import Schema, with_defaults
from tidegate.simulation.engine import Scenario, SimulatedRollout, play, summaries_of
from tidegate.simulation.synthetic_traffic import Behaviour

DONE, CANNOT, USAGE = 0, 1, 2
PARTS = ("analysis", "strategy")
"""Of the spec: the rest has no influence on a verdict."""
ANY_MODEL = {"model": {"uri": "https://models.example.com/any.onnx"}}
LARGE = 40
"""Rollouts from which on a second process is worth its start."""
AT_ONCE = 5

DESCRIPTION = """
Plays whole rollouts: the strategy's steps, the operator's looks and the judge, on traffic that is drawn by chance.
Prints how they end, how long that takes, and how many bad answers users would see. Needs no cluster and no Prometheus.
""".strip()


def main(argv: Sequence[str]) -> int:
    """The exit code: 0, 1 if the spec can't be played, 2 if the command line makes no sense."""
    arguments = _parser().parse_args(argv)
    try:
        return run(arguments, sys.stdout, sys.stderr)
    except Unusable as error:
        return _complain(error, USAGE)
    except TidegateError as error:
        return _complain(error, CANNOT)


def run(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Plays what the command line asks for, and writes what to expect."""
    schema = spec_schema()
    given = read_spec(arguments.file, schema) if arguments.file else ANY_MODEL
    spec = ModelDeploymentSpec.parse(patched(given, schema, arguments.set, PARTS))
    scenario = _scenario(arguments)
    progress = Progress(arguments.runs, "rollouts played", err)
    played: list[SimulatedRollout] = []
    for each in play_all(spec, scenario, arguments.runs, arguments.seed, 2 if arguments.runs >= LARGE else 1):
        played += each
        progress.tell(len(played))
    progress.end()
    simulated = Simulated(spec, scenario, arguments.runs, arguments.seed, summaries_of(played))
    emit(out, json_of(simulated) if arguments.output == "json" else text_of(simulated, colour=wants_colour(out)))
    return DONE


def play_all(
    spec: ModelDeploymentSpec, scenario: Scenario, runs: int, seed: int, processes: int
) -> Iterator[list[SimulatedRollout]]:
    """All rollouts in order, a few at a time. How many processes play them makes no difference to what is played."""
    parts = [range(first, min(first + AT_ONCE, runs)) for first in range(0, runs, AT_ONCE)]
    if processes == 1:
        for part in parts:
            yield _play_some(spec, scenario, seed, part)
        return
    # Spawned, not forked: a forked child would inherit the locks of threads that it doesn't have.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        with _interrupts_ignored():
            waiting = [pool.submit(_play_some, spec, scenario, seed, part) for part in parts]
        for each in waiting:
            yield each.result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that start inside ignore Ctrl-C for good: this one hears it, and ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _play_some(
    spec: ModelDeploymentSpec, scenario: Scenario, seed: int, numbers: Sequence[int]
) -> list[SimulatedRollout]:
    return [play(spec, scenario, f"{seed}/{number}") for number in numbers]


def read_spec(file: Path, schema: Schema) -> Mapping[str, Any]:
    """The spec of the first ModelDeployment in a file. Raises InvalidSpec."""
    try:
        documents = list(yaml.safe_load_all(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidSpec(f"{file} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{file} isn't YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") == "ModelDeployment":
            spec: Mapping[str, Any] = with_defaults(schema, {**ANY_MODEL, **(document.get("spec") or {})})
            if refused := refused_in(spec, schema, PARTS):
                raise InvalidSpec(f"{file}: {refused}")
            return spec
    raise InvalidSpec(f"{file} holds no ModelDeployment")


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


def _complain(error: TidegateError, code: int) -> int:
    print(f"tidegate simulate: {error}", file=sys.stderr)  # noqa: T201 - a person reads it
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidegate simulate", description=DESCRIPTION)
    parser.add_argument(
        "-f",
        "--file",
        type=Path,
        help="a ModelDeployment, - for stdin; what it leaves out, or all, has the CRD's defaults",
    )
    parser.add_argument("--rate", type=_at_least(0), default=100.0, help="requests a second to both models; 100")
    parser.add_argument("--base-errors", default="0.5%", metavar="SHARE", help="of stable's answers that fail; 0.5%%")
    parser.add_argument("--errors", default="x1", metavar="TIMES", help="the candidate's, as x5 or 2.5%%; x1")
    parser.add_argument("--latency", default="x1", metavar="TIMES", help="the candidate's, as 1.2x or +100%%; x1")
    parser.add_argument(
        "--median", default="30ms", metavar="SPAN", help="stable's latency; 30ms, p99 is four times that"
    )
    parser.add_argument("--clump", type=_at_least(1), default=1.0, help="failures come in clumps of so many; 1")
    parser.add_argument("--runs", type=_whole(1), default=200, help="rollouts to play; 200")
    parser.add_argument("--seed", type=int, default=1, help="the same seed plays the same rollouts; 1")
    parser.add_argument(
        "--minutes", type=_at_least(0), default=0.0, help="to play at most; until analysis.deadline, if left out"
    )
    parser.add_argument("--scrape-interval", default="15s", metavar="SPAN", help="Prometheus' own; 15s")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting below spec.analysis or spec.strategy, such as analysis.interval=10s; may come several times",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    return parser


def _at_least(least: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} on")
        return value

    return number


def _whole(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return value

    return whole_number
