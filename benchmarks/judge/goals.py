"""What the judge set out to reach, and whether it does. Pure.

A bound of 1 % isn't missed by chance: it is when so many mistakes, or more, have a chance of less than 1 % under it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.judge.outcomes import Rule
from benchmarks.judge.results import Figures, Results, ScenarioResult
from benchmarks.judge.scenarios import Scenario, Table
from benchmarks.judge.tidegate_defaults import strict
from tidegate.model.spec import Analysis

STRICT = (Rule.TIDEGATE_STRICT, Rule.TIDEGATE_STRICT_DIRECT)
OURS = (Rule.TIDEGATE, Rule.TIDEGATE_DIRECT, *STRICT)
UNLIKELY = 0.01
BEHIND = 0.10
"""How much less than an oracle finds is as good."""
ROUNDING = 1e-9
ENOUGH_TRAFFIC = 10
"""Requests a second from which on an oracle has to be matched."""
PLACES: tuple[tuple[str, tuple[Table, ...]], ...] = (
    ("", (Table.SAME, Table.ERRORS, Table.LATENCY)),
    (" under stress", (Table.STRESS,)),
)


@dataclass(frozen=True)
class Goal:
    """`worst` is the figure that is nearest to missing it, or misses it most, and its scenario."""

    words: str
    worst: str
    met: bool

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "met" if self.met else "NOT MET"


def judge(results: Results) -> list[Goal]:
    """Every goal for which there are figures."""
    found = (
        *(_false_rollbacks(results, rule, *where) for rule in OURS for where in PLACES),
        *(_detection(results, *of) for table in (Table.ERRORS, Table.LATENCY) for of in _comparisons(table)),
        *(_false_promotions(results, rule) for rule in (Rule.TIDEGATE, Rule.TIDEGATE_DIRECT)),
    )
    return [goal for goal in found if goal is not None]


def is_harmless(scenario: Scenario, rule: str, analysis: Analysis) -> bool:
    """Whether this rule of ours promises to leave such a candidate."""
    return scenario.is_tolerated(strict(analysis) if rule in STRICT else analysis)


def exempt(scenario: Scenario, analysis: Analysis) -> str:
    """Why a rollback of a harmless candidate breaks no promise; '' where it does."""
    if scenario.overdispersion is not None:
        return "not promised"
    return "above the ceiling" if scenario.is_above_ceiling(analysis) else ""


def is_refuted(mistakes: int, runs: int, bound: float) -> bool:
    """Whether a chance of at most `bound` can't be believed any more (one-sided binomial test)."""
    fewer = math.fsum(_exactly(count, runs, bound) for count in range(mistakes))
    return 1 - fewer < UNLIKELY


def percent(share: float) -> str:
    """As it is written in the report."""
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def _false_rollbacks(results: Results, rule: str, where: str, tables: tuple[Table, ...]) -> Goal | None:
    bound = results.analysis.false_rollback
    harmless = [
        result
        for result in results.of(*tables)
        if rule in result.figures
        and is_harmless(result.scenario, rule, results.analysis)
        and not exempt(result.scenario, results.analysis)
    ]
    words = f"{rule}: false rollbacks at most {bound:.0%} in every cell without a difference{where}"
    return _bounded(words, harmless, rule, bound, lambda figures: figures.rolled_back + figures.early)


def _false_promotions(results: Results, rule: str) -> Goal | None:
    bound = results.analysis.false_promotion
    beyond = [result for result in results.of(Table.PROMOTION) if not result.scenario.is_equal]
    words = f"{rule}: false promotions at most {bound:.0%} exactly at what is acceptable"
    return _bounded(words, beyond, rule, bound, lambda figures: figures.promoted)


def _bounded(
    words: str, scenarios: Sequence[ScenarioResult], rule: str, bound: float, mistakes: Callable[[Figures], int]
) -> Goal | None:
    if not scenarios:
        return None
    counted = [(result.scenario, mistakes(result.figures[rule]), result.figures[rule].runs) for result in scenarios]
    scenario, count, runs = max(counted, key=lambda each: each[1] / each[2])
    missed = sum(is_refuted(wrong, of, bound) for _, wrong, of in counted)
    overall = sum(wrong for _, wrong, _ in counted) / sum(of for _, _, of in counted)
    seen = f"{percent(count / runs)} in {scenario.title}; {percent(overall)} in all {len(counted)} cells together"
    return Goal(words, seen + (f"; missed in {missed} of them" if missed else ""), not missed)


def _comparisons(table: Table) -> list[tuple[str, str, Table]]:
    pairs = (
        (Rule.TIDEGATE_STRICT, Rule.ORACLE_60),
        (Rule.TIDEGATE_STRICT, Rule.ORACLE_BEST),
        (Rule.TIDEGATE, Rule.ORACLE_TOLERANCE),
    )
    return [(rule, oracle, table) for rule, oracle in pairs]


def _detection(results: Results, rule: str, oracle: str, table: Table) -> Goal | None:
    harmful = [
        result
        for result in results.of(table)
        if oracle in result.figures
        and result.scenario.rate >= ENOUGH_TRAFFIC
        and not is_harmless(result.scenario, rule, results.analysis)
    ]
    if not harmful:
        return None
    gaps = [(result.figures[oracle].share - result.figures[rule].share, result) for result in harmful]
    _, worst = max(gaps, key=lambda each: each[0])
    missed = sum(each > BEHIND + ROUNDING for each, _ in gaps)
    found, theirs = (percent(worst.figures[of].share) for of in (rule, oracle))
    seen = f"{found} against {theirs} in {worst.scenario.title}"
    words = (
        f"{rule}: finds as many as `{oracle}` or at most {BEHIND * 100:.0f} points fewer, "
        f"from {ENOUGH_TRAFFIC}/s on ({table.value})"
    )
    many = f"; missed in {missed} of {len(gaps)} cells" if missed else f" (of {len(gaps)} cells)"
    return Goal(words, seen + many, not missed)


def _exactly(count: int, runs: int, chance: float) -> float:
    choose = math.lgamma(runs + 1) - math.lgamma(count + 1) - math.lgamma(runs - count + 1)
    return math.exp(choose + count * math.log(chance) + (runs - count) * math.log1p(-chance))
