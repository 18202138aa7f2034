"""How `tidegate rehearse` decides, again and again: equal and better models pass, failing and slow ones don't.

`python -m` this module, with `--runs N`. Each run is the command itself, on the models of examples/rehearsal.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.errors import BenchmarkError
from benchmarks.markdown import table
from benchmarks.report_page import DOCS, ReportSection

MODELS = Path(__file__).resolve().parents[1] / "examples" / "rehearsal"
SECTION = ReportSection("rehearsals", DOCS / "rehearse.md")
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Case:
    """A candidate beside stable.onnx, and how each of its releases should end."""

    name: str
    candidate: str
    outcome: str


CASES = (
    Case("equal: the same file", "stable.onnx", "Promoted"),
    Case("another network, as good", "better.onnx", "Promoted"),
    Case("fails on one image in five", "failing.onnx", "RolledBack"),
    Case("100 ms of extra work", "slow.onnx", "RolledBack"),
)


@dataclass(frozen=True)
class Ended:
    """One rehearsal. `seconds` are of the release, from the candidate's start."""

    outcome: str
    reason: str
    seconds: float
    exposed: int
    unsent: int


def measure(options: argparse.Namespace) -> Report:
    """All cases in turns, so that whatever the machine does is in all of them."""
    ended: dict[str, list[Ended]] = {case.name: [] for case in CASES}
    for number in range(options.runs):
        for case in CASES:
            found = rehearse(case.candidate, options.rate)
            ended[case.name].append(found)
            said = f"{number + 1} of {options.runs}, {case.name}: {found.outcome}, {found.seconds:.0f} s"
            print(said, file=sys.stderr, flush=True)  # noqa: T201 - progress
    right = all(each.outcome == case.outcome for case in CASES for each in ended[case.name])
    document = {name: [vars(each) for each in runs] for name, runs in ended.items()}
    return Report(f"{text_of(ended, options.rate)}\n", document, SUCCEEDED if right else MISSED)


def rehearse(candidate: str, rate: float) -> Ended:
    """One run of the command. Raises BenchmarkError where it ends without a verdict."""
    stable, other, requests = (str(MODELS / name) for name in ("stable.onnx", candidate, "requests.jsonl"))
    command = [sys.executable, "-m", "tidegate", "rehearse", stable, other, "--requests", requests]
    command += ["--rate", f"{rate:g}", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise BenchmarkError(f"a rehearsal ended with {done.returncode}: {done.stderr[-500:]}") from error
    exposed = (told["exposure"] or {"requests": 0})["requests"]
    return Ended(told["outcome"], told["reason"], told["seconds"], exposed, told["users"]["unsent"])


def text_of(ended: dict[str, list[Ended]], rate: float) -> str:
    """A row for each case."""
    head = ("candidate", "promoted", "rolled back", "undecided", "release took", "its requests", "reasons")
    rows = [head, *(_row(case, ended[case.name]) for case in CASES)]
    return f"{machine.described()}; {rate:g} requests a second.\n\n{table(rows, labels=1)}"


def _row(case: Case, runs: Sequence[Ended]) -> tuple[str, ...]:
    outcomes = Counter(each.outcome for each in runs)
    reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(each.reason for each in runs).most_common())
    seconds, exposed = [each.seconds for each in runs], [each.exposed for each in runs]
    return (
        case.name,
        *(f"{outcomes[outcome]} of {len(runs)}" for outcome in ("Promoted", "RolledBack", "Undecided")),
        f"{median(seconds):.0f} s (≤ {max(seconds):.0f})",
        f"{median(exposed):,.0f} (≤ {max(exposed):,})",
        reasons,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rehearsals", description=__doc__.splitlines()[0])
    add_output_options(parser, SECTION)
    parser.add_argument("--runs", type=positive, default=20, help="of each candidate; 20")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second; 200")
    return parser.parse_args()


if __name__ == "__main__":
    given = _options()
    sys.exit(run_command(given, SECTION, lambda: measure(given)))
