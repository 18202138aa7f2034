"""Tries what the model server has to stand: load for minutes, its own end, and what nobody should send."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.progress import Progress
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.server_trials.amount import Amount
from benchmarks.server_trials.fuzz_trial import fuzzing_report, try_fuzzing
from benchmarks.server_trials.greedy import greedy_report, try_greed
from benchmarks.server_trials.small_memory import small_memory_report, try_starts
from benchmarks.server_trials.soak import soak
from benchmarks.server_trials.soak_report import soak_report
from benchmarks.server_trials.stopping_trial import stopping_report, try_stopping

Result = tuple[str, bool]
"""A report, and whether all is as it should be."""
Trial = Callable[[Path, argparse.Namespace, Progress], Result]


def main() -> int:
    """The exit code: 0, 1 when something isn't as it should be, 2 when it can't be tried here."""
    options = _options()
    all_good = True
    for name in options.trials or TRIALS:
        try:
            with tempfile.TemporaryDirectory(prefix="tidegate-trial-") as folder:
                report, good = TRIALS[name](Path(folder), options, Progress(1))
            if options.write:
                ReportSection(name, DOCS / "server-trials.md").write(report)
        except BenchmarkError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 2
        all_good &= good
        sys.stdout.write(f"\n## {name}\n\n{report}\n")
        sys.stdout.flush()
    return 0 if all_good else 1


def _soak(folder: Path, options: argparse.Namespace, progress: Progress) -> Result:
    soaked = soak(folder, options.minutes, dict(options.set), progress)
    return soak_report(soaked), soaked.is_good


def _stopping(folder: Path, options: argparse.Namespace, progress: Progress) -> Result:
    endings = try_stopping(folder, options.rounds, options.peers, dict(options.set), progress)
    return stopping_report(endings), all(ending.result.is_good for ending in endings if ending.is_ours)


def _fuzz(folder: Path, options: argparse.Namespace, progress: Progress) -> Result:
    amount = Amount(options.cases, 60 * options.most_minutes) if options.cases else Amount(seconds=options.seconds)
    fuzzing = try_fuzzing(folder, amount, options.seconds / 2, options.examples, options.seed, progress)
    return fuzzing_report(fuzzing), fuzzing.is_good


def _greedy(folder: Path, options: argparse.Namespace, progress: Progress) -> Result:
    plain, few = try_greed(folder, Amount(options.requests, 60 * options.most_minutes), options.seed, progress)
    return greedy_report(plain, few), plain.is_good and few.is_good


def _small_memory(_folder: Path, _options: argparse.Namespace, progress: Progress) -> Result:
    starts = try_starts(progress)
    return small_memory_report(starts), all(start.is_good for start in starts)


TRIALS: dict[str, Trial] = {
    "soak": _soak,
    "stopping": _stopping,
    "fuzz": _fuzz,
    "greedy": _greedy,
    "small-memory": _small_memory,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_trials", description=__doc__)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of {', '.join(TRIALS)} (all)")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak (10)")
    parser.add_argument("--rounds", type=int, default=10, help="of each end (10); three of the other servers' ends")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="stop our server only")
    parser.add_argument("--seconds", type=float, default=180, help="of fuzzing on the wire (180)")
    parser.add_argument("--cases", type=int, help="of fuzzing on the wire, however long it takes (as --seconds allows)")
    parser.add_argument("--examples", type=int, default=50, help="of schemathesis for each operation (50)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of greedy clients (1,000,000)")
    parser.add_argument("--most-minutes", type=float, default=60, help="of greedy clients and of --cases (60)")
    parser.add_argument("--seed", type=int, default=1, help="of fuzzing (1)")
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", help="in our server's environment"
    )
    parser.add_argument("--write", action="store_true", help="put the results into docs/server-trials.md")
    options = parser.parse_args()
    for name in options.trials:
        if name not in TRIALS:
            parser.error(f"{name!r} isn't one of {', '.join(TRIALS)}")
    return options


def _setting(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{said!r} isn't NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
