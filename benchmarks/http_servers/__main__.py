"""Compares what could stand between the network and the model: same handler, same client, one worker process each."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from benchmarks.http_servers import campaign, table
from benchmarks.http_servers.campaign import Effort
from benchmarks.http_servers.page import write_page
from benchmarks.http_servers.seen import Results
from benchmarks.server.errors import BenchmarkError

THOROUGH = Effort(seconds=3, rounds=3, idle_seconds=62)
QUICK = Effort(seconds=1, rounds=1, idle_seconds=35)


def main() -> int:
    """The exit code: 0, or 1 when nothing can be measured. A front that fails a probe is a result, not an error."""
    options = _options()
    try:
        results = campaign.run(options.only, QUICK if options.quick else THOROUGH)
        if options.write:
            write_page(table.report(results))
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(_as_json(results) if options.output == "json" else "\n" + table.report(results))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_servers", description=__doc__)
    parser.add_argument(
        "--only",
        type=_choice(campaign.PARTS),
        default=campaign.PARTS,
        metavar="PARTS",
        help=f"some of {','.join(campaign.PARTS)} (all)",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: figures to look at, not to quote")
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
    return json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
