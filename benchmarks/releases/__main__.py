"""Measures on a real cluster how fast bad releases are taken back, and that a release as good as stable stays.

Brings the demo's one-node cluster up if it isn't, and takes it down again. All of it takes about an hour.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.page import NoPlace, Place
from benchmarks.releases.campaign import run
from benchmarks.releases.errors import CannotMeasure
from benchmarks.releases.goals import judge
from benchmarks.releases.report import report
from benchmarks.releases.results import Measured
from benchmarks.releases.scenarios import Kind, Scenario, planned

MET, MISSED, CANNOT, INTERRUPTED = 0, 1, 2, 130


PLACE = Place("releases")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, 1 when a goal is missed, 2 when it can't be measured here, 130 after Ctrl-C."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    try:
        if options.write:
            PLACE.check()
        everything = run(_scenarios(options), keep_cluster=options.keep_cluster)
        drawn = report(everything, machine())
        sys.stdout.write(_as_json(everything) if options.output == "json" else f"\n{drawn}")
        if options.write:
            PLACE.write(drawn)
    except (CannotMeasure, NoPlace) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing is reported\n")
        return INTERRUPTED
    return MET if all(goal.met for goal in judge(everything)) else MISSED


def machine() -> str:
    """What it was measured on, in words."""
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores ({_processor()}), {system}, which run the cluster, the load and the models alike"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _scenarios(options: argparse.Namespace) -> tuple[Scenario, ...]:
    return planned(options.only, options.scrape, failures=options.releases, slows=options.slow, equals=options.equal)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    kinds = tuple(Kind)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description=__doc__)
    parser.add_argument("--releases", type=_count, default=10, metavar="N", help="of the failing candidate (10)")
    parser.add_argument("--slow", type=_count, default=5, metavar="N", help="releases of the slow candidate (5)")
    parser.add_argument("--equal", type=_count, default=10, metavar="N", help="releases of the equal candidate (10)")
    parser.add_argument("--only", type=_kinds, default=kinds, metavar="KINDS", help=f"some of {','.join(kinds)} (all)")
    parser.add_argument(
        "--scrape",
        type=_scrapes,
        default=(2, 5),
        help="seconds between scrapes (2,5); the shortest for all but failing",
    )
    parser.add_argument("--keep-cluster", action="store_true", help="leave the cluster up, with the shortest scrape")
    parser.add_argument("--write", action="store_true", help="put the report into docs/judge-benchmark.md")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    return parser.parse_args(arguments)


def _count(said: str) -> int:
    if not said.isdigit() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said!r} isn't a whole number from 1 on")
    return int(said)


def _scrapes(said: str) -> tuple[int, ...]:
    seconds = tuple(_count(word.strip()) for word in said.split(","))
    if max(seconds) > 60:
        raise argparse.ArgumentTypeError("a scrape every 60 s is the rarest that is of use here")
    return tuple(dict.fromkeys(seconds))


def _kinds(said: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(word.strip()) for word in said.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{said!r} isn't one or some of {', '.join(Kind)}") from error


def _as_json(everything: Sequence[Measured]) -> str:
    goals = [asdict(goal) for goal in judge(everything)]
    scenarios = [asdict(measured) for measured in everything]
    return json.dumps({"scenarios": scenarios, "goals": goals}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
