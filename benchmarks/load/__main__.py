"""Releases equal models, and a slower one, on deployments that are busy to some degree; counts what becomes of them.

Latency is s/(1 - ρ), where ρ is a pod's load by what it can bear: whoever has more to do is slower. Everything else is
the product's: decide() with all its default steps, the judge with its defaults, and the pods that it asks for.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from typing import NamedTuple

from benchmarks.command import MISSED, SUCCEEDED, Report, add_output_options, positive, run_command
from benchmarks.judge.tidegate_defaults import default_spec
from benchmarks.markdown import met, table
from benchmarks.progress import Progress
from benchmarks.report_page import DOCS, ReportSection
from tidegate.model.reasons import Outcome
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.simulation.engine import simulate_rollout
from tidegate.simulation.synthetic_metrics import Scenario
from tidegate.simulation.synthetic_traffic import Behaviour

SECTION = ReportSection("load", DOCS / "judge-benchmark.md")
RUNS, SEED, GOAL = 1000, 20260101, 0.01
ENOUGH = 300
"""Rollouts of which none is rolled back, from which on the goal is known to be met (with 95 %)."""
UTILISATIONS = (30, 40, 50, 60, 70, 80, 90)
REPLICAS = (3, 10, 30)
SLOWER = (1.0, 1.5)
"""Times the service time of stable: an equal model, and one whose pods bear two thirds as much."""
PER_POD = 100.0
"""Requests per second that a pod can bear."""
SERVICE = 0.03
"""Seconds of a request that waits for nobody."""
LUCK, BURSTS = 0.05, 0.03
"""How much the nodes of two pods, and the traffic of two blocks, differ: σ of a logarithm."""


class Cell(NamedTuple):
    """Percent of what stable's pods can bear, pods that all requests need, and how many times as slow the candidate."""

    utilisation: int
    replicas: int
    slower: float


@dataclass(frozen=True)
class Figures:
    """Of one cell: how its rollouts ended, and why those that were rolled back were."""

    cell: Cell
    runs: int
    outcomes: Counter[str]
    reasons: Counter[str]

    def share(self, outcome: str) -> float:
        """Of the runs that ended so."""
        return self.outcomes[outcome] / self.runs


def main() -> int:
    """The exit code: 0 where the goal is met in each cell, 1 where it isn't."""
    options = _options()
    return run_command(options, SECTION, lambda: _measure(options))


def simulate(cell: Cell, seed: int, run: int) -> tuple[str, str]:
    """One rollout's outcome and reason; the same cell, seed and number always give the same."""
    stable = Behaviour(0.001, SERVICE, capacity=PER_POD)
    scenario = Scenario(
        rate=cell.utilisation / 100 * cell.replicas * PER_POD,
        stable=stable,
        candidate=stable.times(latency=cell.slower),
        scrape_interval=timedelta(seconds=15),
        luck=LUCK,
        bursts=BURSTS,
    )
    ended = simulate_rollout(replace(_spec(), replicas=cell.replicas), scenario, f"{seed} {cell} {run}")
    return ended.outcome, ended.reason


@cache
def _spec() -> ModelDeploymentSpec:
    return default_spec()


def report(figures: Sequence[Figures], seed: int) -> str:
    """The tables: rollbacks of equal models, and of a slower one."""
    return (
        f"Seed {seed}; each cell with its number of rollouts, all default steps. A pod bears {PER_POD:.0f} requests a "
        f"second, latency is {SERVICE * 1000:.0f} ms / (1 - ρ); pods differ by {LUCK:.0%}, traffic from block to block "
        f"by {BURSTS:.0%}.\n\n#### Equal models that are rolled back\n\n{_table(figures, 1.0)}\n\n"
        f"#### Models of {SLOWER[1]:g} times the service time that are rolled back\n\n{_table(figures, SLOWER[1])}\n\n"
        f"The goal is at most {GOAL:.0%} of equal models in each cell: {met(_is_met(figures))}{_too_few(figures)}.\n"
    )


def _too_few(figures: Sequence[Figures]) -> str:
    cells = sum(each.cell.slower == 1.0 and each.runs < ENOUGH for each in figures)
    return f", as far as fewer than {ENOUGH} rollouts can show it in {cells} of them" if cells else ""


def _table(figures: Sequence[Figures], slower: float) -> str:
    found = {each.cell: each for each in figures}
    head = ["pods", *(f"{utilisation} %" for utilisation in UTILISATIONS)]
    rows = [
        [str(pods), *(_rolled_back(found.get(Cell(utilisation, pods, slower))) for utilisation in UTILISATIONS)]
        for pods in REPLICAS
    ]
    return table([head, *rows])


def _rolled_back(figures: Figures | None) -> str:
    return "–" if figures is None else f"{figures.share(Outcome.ROLLED_BACK) * 100:.1f} % of {figures.runs:,}"


def _is_met(figures: Sequence[Figures]) -> bool:
    return all(each.share(Outcome.ROLLED_BACK) <= GOAL for each in figures if each.cell.slower == 1.0)


def _measure(options: argparse.Namespace) -> Report:
    cells = [Cell(u, pods, slower) for slower in SLOWER for pods in REPLICAS for u in options.only]
    progress, figures = Progress(len(cells)), []
    with ProcessPoolExecutor(options.processes) as pool:
        for cell in cells:
            progress.step(f"{cell.utilisation} %, {cell.replicas} pods, {cell.slower:g} times as slow")
            runs = options.runs if cell.slower == 1.0 else max(1, options.runs // 10)
            ended = list(pool.map(partial(simulate, cell, options.seed), range(runs), chunksize=10))
            bad = Counter(reason for outcome, reason in ended if outcome == Outcome.ROLLED_BACK)
            figures.append(Figures(cell, runs, Counter(outcome for outcome, _ in ended), bad))
    return Report(report(figures, options.seed), _document(figures), SUCCEEDED if _is_met(figures) else MISSED)


def _document(figures: Sequence[Figures]) -> dict[str, object]:
    cells = [
        {**each.cell._asdict(), "runs": each.runs, "ended": each.outcomes, "why": each.reasons} for each in figures
    ]
    return {"cells": cells}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--runs", type=positive, default=RUNS, help=f"of equal models in a cell ({RUNS})")
    parser.add_argument("--seed", type=positive, default=SEED, help=f"the same seed draws the same traffic ({SEED})")
    parser.add_argument(
        "--only", type=int, nargs="+", default=UTILISATIONS, choices=UTILISATIONS, help="percent of what pods can bear"
    )
    parser.add_argument("--processes", type=positive, help="at the same time (one for each core)")
    add_output_options(parser, SECTION)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
