"""Rollouts under users who stay with one revision: how often the judge blames an equal candidate for its users.

`python -m` this package, with `--runs N`. Each run draws users anew, and what they do before the rollout and in three
steps of ten minutes each; the judge is the product's own, with its default analysis.
"""

import argparse
import sys
from collections.abc import Sequence
from statistics import median

from numpy.random import default_rng

from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.markdown import table
from benchmarks.report_page import DOCS, ReportSection
from benchmarks.users.crowd import Users
from benchmarks.users.trial import Outcome, Rule, judged

SECTION = ReportSection("users", DOCS / "shadow-and-match.md")
CROWDS = {
    "1,000 alike": Users(),
    "1,000, Zipf 1, σ 0.5": Users(zipf=1, sigma=0.5),
    "1,000, Zipf 1, σ 1": Users(zipf=1, sigma=1),
    "10,000, Zipf 1, σ 1": Users(10_000, zipf=1, sigma=1),
    "100, Zipf 1, σ 1": Users(100, zipf=1, sigma=1),
    "1,000, Zipf 1, σ 2": Users(zipf=1, sigma=2),
    "1,000, Zipf 1, σ 1, clumps of 10": Users(zipf=1, sigma=1, clump=10),
    "the same, there 30 % of the time": Users(zipf=1, sigma=1, clump=10, present=0.3),
    "1,000, Zipf 1, σ 1, 10 requests a second": Users(zipf=1, sigma=1, clump=5, rate=10),
    "1,000, Zipf 1, σ 1, all fail twice as often in the rollout": Users(zipf=1, sigma=1, later=2),
}
FAILING = 40.0
"""Times stable's 0.5 %: a candidate that fails a fifth of the requests."""
BOUND = 0.01
"""Of equal candidates no more may be rolled back: `analysis.falseRollback` of the defaults."""
FEWER = 5
"""So many times fewer runs are for all but the bound: what they show needs no hundreds."""


def measure(options: argparse.Namespace) -> Report:
    """A row for each crowd; missed where more equal candidates were rolled back by user than the bound lets."""
    rows, document, kept = [HEAD], {}, True
    for name in options.only:
        users, fewer = CROWDS[name], max(1, options.runs // FEWER)
        equal = {rule: _runs(users, rule, options.runs if rule is Rule.BY_USER else fewer) for rule in Rule}
        bad = {rule: _runs(users, rule, fewer, FAILING) for rule in Rule}
        rows.append((name, *(_false(equal[rule]) for rule in Rule), *(_found(bad[rule]) for rule in Rule)))
        document[name] = {
            rule.value: {"equal": _plain(equal[rule]), "failing a fifth": _plain(bad[rule])} for rule in Rule
        }
        kept &= sum(each.weight is not None for each in equal[Rule.BY_USER]) <= BOUND * options.runs
        print(f"{name}: {rows[-1][1:]}", file=sys.stderr, flush=True)  # noqa: T201 - progress
    return Report(f"{table(rows, labels=1)}\n", document, SUCCEEDED if kept else MISSED)


HEAD = (
    "users",
    "equal, by request: rolled back",
    "equal, by user: rolled back",
    "fails a fifth, by request: rolled back (its requests, median)",
    "fails a fifth, by user",
)


def _runs(users: Users, rule: Rule, runs: int, times: float = 1.0) -> list[Outcome]:
    return [judged(users, default_rng((run, int(times))), rule, times) for run in range(runs)]


def _false(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(each.weight is not None for each in outcomes)} of {len(outcomes)}"


def _found(outcomes: Sequence[Outcome]) -> str:
    exposed = [each.exposed.requests for each in outcomes if each.weight is not None]
    return f"{_false(outcomes)} ({f'{median(exposed):,.0f}' if exposed else '–'})"


def _plain(outcomes: Sequence[Outcome]) -> list[list[int | None]]:
    """At which weight each was rolled back, and the candidate's requests and failures until then."""
    return [[each.weight, each.exposed.requests, each.exposed.failed] for each in outcomes]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.users", description=__doc__.splitlines()[0])
    add_output_options(parser, SECTION)
    parser.add_argument("--runs", type=positive, default=400, help="of each crowd; 400")
    parser.add_argument("--only", nargs="+", choices=tuple(CROWDS), default=tuple(CROWDS), help="crowds; all")
    return parser.parse_args()


if __name__ == "__main__":
    given = _options()
    sys.exit(run_command(given, SECTION, lambda: measure(given)))
