"""What the rules did in all runs of a scenario, as plain values. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.judge.oracle import EQUAL, TOLERATED, WINDOWS, Oracle, oracles_for
from benchmarks.judge.outcomes import Outcome, Rule
from benchmarks.judge.scenarios import Scenario, Table
from tidegate.model.spec import Analysis


@dataclass(frozen=True)
class Figures:
    """How many of the runs one rule rolled back, and promoted, and the median seconds of those.

    `early` were rolled back before the candidate became worse; `seconds` count from then on.
    """

    runs: int
    rolled_back: int
    seconds: float | None = None
    early: int = 0
    promoted: int = 0
    promoted_seconds: float | None = None

    @property
    def share(self) -> float:
        """Of the runs, those that were rolled back in time."""
        return self.rolled_back / self.runs


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario, and the figures of each rule that was tried on it."""

    scenario: Scenario
    figures: Mapping[str, Figures]


@dataclass(frozen=True)
class Results:
    """One run of the benchmark, and what it takes to repeat it."""

    analysis: Analysis
    seed: int
    runs: int
    scenarios: tuple[ScenarioResult, ...]

    def of(self, *tables: Table) -> list[ScenarioResult]:
        """The scenarios of these tables."""
        return [result for result in self.scenarios if result.scenario.table in tables]


def summarize(scenario: Scenario, analysis: Analysis, outcomes: Mapping[str, Sequence[Outcome]]) -> ScenarioResult:
    """One scenario's figures. Of the oracles only the best are kept: nobody could choose them beforehand."""
    figures = {rule: figures_of(scenario, of_rule) for rule, of_rule in outcomes.items()}
    oracles = [oracle for oracle in oracles_for(scenario, analysis) if oracle.name in figures]
    measured = {oracle: figures.pop(oracle.name) for oracle in oracles}
    for column, eligible in _oracles_by_column(scenario, analysis, oracles):
        figures[column] = max((measured[oracle] for oracle in eligible), key=_rank)
    return ScenarioResult(scenario, figures)


def figures_of(scenario: Scenario, outcomes: Sequence[Outcome]) -> Figures:
    """Of one rule."""
    ends = [outcome.rolled_back for outcome in outcomes if outcome.rolled_back is not None]
    found = [seconds - scenario.begins for seconds in ends if seconds > scenario.begins]
    promoted = [outcome.promoted for outcome in outcomes if outcome.promoted is not None]
    return Figures(
        len(outcomes),
        len(found),
        median(found) if found else None,
        len(ends) - len(found),
        len(promoted),
        median(promoted) if promoted else None,
    )


def _oracles_by_column(
    scenario: Scenario, analysis: Analysis, oracles: Iterable[Oracle]
) -> list[tuple[str, list[Oracle]]]:
    """The oracles that each column is the best of; where there is nothing to find, none can be the best of several."""
    equal = [oracle for oracle in oracles if oracle.tuned_for == EQUAL]
    tolerated = [oracle for oracle in oracles if oracle.tuned_for == TOLERATED]
    columns = [
        (Rule.ORACLE_60, [oracle for oracle in equal if oracle.window == WINDOWS[0]]),
        (Rule.ORACLE_BEST, [] if scenario.is_equal else equal),
        (Rule.ORACLE_TOLERANCE, [] if scenario.is_tolerated(analysis) else tolerated),
    ]
    return [(column, few) for column, few in columns if len(few) == 1 or (few and not scenario.is_equal)]


def _rank(figures: Figures) -> tuple[int, float]:
    """More found is better, and then sooner."""
    return figures.rolled_back, -(figures.seconds or 0.0)
