"""Measures the model server beside the bare runtime and its peers, says what it does meanwhile, and draws a report."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks.server import campaign, table
from benchmarks.server.campaign import Plan
from benchmarks.server.errors import BenchmarkError
from benchmarks.server.goals import judge
from benchmarks.server.models import MODELS
from benchmarks.server.page import write_page
from benchmarks.server.results import Results
from benchmarks.server.rounds import Effort

QUICK = Effort(seconds=2, rounds=1, trials=False)


def main() -> int:
    """The exit code: 0, or 1 when nothing can be measured. A goal that isn't met is a result, not an error."""
    options = _options()
    effort = QUICK if options.quick else Effort(options.seconds, options.rounds)
    try:
        results = campaign.run(Plan(options.only, options.models, effort))
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.write:
        write_page(table.report(results))
    sys.stdout.write(_as_json(results) if options.output == "json" else "\n" + table.report(results))
    return 0


def _options() -> argparse.Namespace:
    sizes = tuple(MODELS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument(
        "--only",
        type=_choice(campaign.PARTS),
        default=campaign.PARTS,
        metavar="PARTS",
        help=f"some of {','.join(campaign.PARTS)} (all)",
    )
    parser.add_argument("--models", type=_choice(sizes), default=sizes, help=f"some of {','.join(sizes)} (all)")
    parser.add_argument("--seconds", type=float, default=5, help="of one measurement at saturation (5)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians over these (3)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of 2 s, no trials of settings: figures to look at, not to quote"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--write", action="store_true", help="put the report into docs/benchmarks.md")
    return parser.parse_args()


def _choice(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def choose(said: str) -> tuple[str, ...]:
        chosen = tuple(word.strip() for word in said.split(","))
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} isn't one of {', '.join(known)}")
        return chosen

    return choose


def _as_json(results: Results) -> str:
    goals = [{**asdict(goal), "met": goal.met} for goal in judge(results)]
    return json.dumps({**asdict(results), "goals": goals}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
