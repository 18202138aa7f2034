"""How often a group of requests that suffers is found, how soon, and how often one is blamed that doesn't.

`python -m` this module, with `--runs N`. Failures are drawn by chance; the test is `tidegate.judge.sequential_test`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median

import numpy as np

from benchmarks.command import MISSED, SUCCEEDED, Report, run_command, runs_options
from benchmarks.goals import Goals
from benchmarks.markdown import UNKNOWN, table
from benchmarks.report_page import DOCS, ReportSection
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import CellCounts, Counts, Increment
from tidegate.model.slices import OTHER, Slice, cells_of
from tidegate.model.spec import Analysis, ModelDeploymentSpec
from tidegate.model.units import format_percent

SECTION = ReportSection("slices", DOCS / "slices.md")
SEED = 20260101
LOOKS, REQUESTS, WEIGHT = 48, 500, 0.25
"""Increments of five seconds, requests in each, and the candidate's share of them."""
TENANTS = Slice("tenant", "x-tenant", ("tenth", "hundredth", "c", "d", "e", "f", "g", "h", "i"))
SHARES = {"tenth": 0.1, "hundredth": 0.01, **dict.fromkeys(TENANTS.values[2:], 0.1), OTHER: 0.19}
CELLS = [cells_of((TENANTS,))["tenant", group][0] for group in TENANTS.groups]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
GOALS = Goals(wrong=0.01, found=0.99)
"""Found: of the candidates that fail a fifth of a tenth of the requests."""


@dataclass(frozen=True)
class Case:
    """Of each group the share that fails; `others` of those that aren't named."""

    name: str
    stable: float
    candidate: float
    """Of all other groups."""
    group: str = "tenth"
    of_group: float | None = None
    """The candidate's in that group."""
    spread: float = 1.0
    """How many times as much fails of every other group, by both."""
    is_within: bool = False
    is_goal: bool = False

    def rates(self, *, candidate: bool) -> list[float]:
        """By group."""
        all_others = self.candidate if candidate else self.stable
        found = [all_others * (self.spread if at % 2 else 1.0) for at in range(len(CELLS))]
        if candidate and self.of_group is not None:
            found[TENANTS.groups.index(self.group)] = self.of_group
        return found


CASES = (
    Case("as good, 1% fail of each group", 0.01, 0.01, is_within=True),
    Case("as good, 0.1% or 4% fail by group", 0.001, 0.001, spread=40.0, is_within=True),
    Case("1.25 times as bad for each (tolerated)", 0.01, 0.0125, is_within=True),
    Case("as good overall: 20% of a tenth instead of 2% of all", 0.02, 0.0, of_group=0.2, is_goal=True),
    Case("20% of a tenth, 1% of the others", 0.01, 0.01, of_group=0.2, is_goal=True),
    Case("5% of a tenth, 1% of the others", 0.01, 0.01, of_group=0.05),
    Case("20% of a hundredth, 1% of the others", 0.01, 0.01, "hundredth", 0.2),
)


@dataclass(frozen=True)
class Figures:
    """What came of a case. `without` is how many of the same runs go back where nobody looks at groups."""

    runs: int
    rolled_back: int
    by_group: int
    requests_of_group: float | None
    """Of the candidate, until then."""
    without: int


def measure(options: argparse.Namespace) -> Report:
    """All cases."""
    analysis = replace(ModelDeploymentSpec.parse({"model": {"uri": "http://models/1"}}).analysis, slices=(TENANTS,))
    found = {case.name: figures_of(case, options.runs, analysis) for case in CASES}
    goals = [_is_met(case, found[case.name]) for case in CASES]
    document = {name: asdict(figures) for name, figures in found.items()}
    return Report(f"{text_of(found, options.runs)}\n", document, SUCCEEDED if all(goals) else MISSED)


def figures_of(case: Case, runs: int, analysis: Analysis) -> Figures:
    """So many runs, with groups and without."""
    chance = np.random.default_rng([SEED, CASES.index(case)])
    told = [increments(case, chance) for _ in range(runs)]
    ended = [one_run(each, analysis) for each in told]
    without = [one_run(each, replace(analysis, slices=())) for each in told]
    back = [end for end in ended if end]
    by_group = [requests for heaviest, requests in back if heaviest == "slices"]
    return Figures(
        runs, len(back), len(by_group), median(by_group) if by_group else None, sum(end is not None for end in without)
    )


def increments(case: Case, chance: np.random.Generator) -> list[Increment]:
    """One run's."""
    ours, theirs = case.rates(candidate=True), case.rates(candidate=False)
    asked = round(REQUESTS * WEIGHT)
    return [
        Increment(
            BEGAN + (at + 1) * timedelta(seconds=5),
            arm(REQUESTS - asked, theirs, chance),
            arm(asked, ours, chance),
        )
        for at in range(LOOKS)
    ]


def arm(requests: int, rates: Sequence[float], chance: np.random.Generator) -> Counts:
    """One arm of an increment."""
    of_group = chance.multinomial(requests, list(SHARES.values()))
    failed = chance.binomial(of_group, rates)
    cells = {
        cell: CellCounts(int(many), int(bad)) for cell, many, bad in zip(CELLS, of_group, failed, strict=True) if many
    }
    return Counts(requests, int(failed.sum()), cells=cells)


def one_run(told: Sequence[Increment], analysis: Analysis) -> tuple[str, int] | None:
    """What weighed most in a rollback, and how many of the blamed group's requests the candidate had answered."""
    test = SequentialTest(SequentialTestParameters(analysis))
    for increment in told:
        test.update(increment)
        if test.rejected_at:
            blamed = test.slices and test.slices.heaviest()
            requests = blamed.counted(test.candidate.cells).requests if blamed else 0
            return test.rejected_at.heaviest, requests
    return None


def text_of(found: Mapping[str, Figures], runs: int) -> str:
    """A row for each case, and the goals."""
    head = ("candidate", "rolled back", "for a group", "its requests until then", "without slices", "goal")
    rows = [head, *(_row(case, found[case.name]) for case in CASES)]
    said = (
        f"{runs:,} runs of each candidate at {format_percent(WEIGHT)} of {LOOKS * REQUESTS:,} requests in {LOOKS} "
        f"increments; {len(CELLS)} groups, latency is left out."
    )
    return f"{said}\n\n{table(rows, labels=1)}"


def _row(case: Case, figures: Figures) -> Sequence[str]:
    return (
        case.name,
        format_percent(figures.rolled_back / figures.runs),
        format_percent(figures.by_group / figures.runs),
        UNKNOWN if figures.requests_of_group is None else f"{figures.requests_of_group:,.0f}",
        format_percent(figures.without / figures.runs),
        GOALS.told(case, are_met=_is_met(case, figures)),
    )


def _is_met(case: Case, figures: Figures) -> bool:
    return GOALS.are_met(case, figures.rolled_back, figures.rolled_back, figures.runs)


if __name__ == "__main__":
    given = runs_options("benchmarks.slices", __doc__, SECTION)
    sys.exit(run_command(given, SECTION, lambda: measure(given)))
