"""Draws the results: tables that read as well in a terminal as in Markdown. Pure."""

from collections.abc import Sequence

from benchmarks.judge.goals import OURS, exempt, is_harmless, is_refuted, judge, percent
from benchmarks.judge.outcomes import Rule
from benchmarks.judge.results import Figures, Results, ScenarioResult
from benchmarks.judge.scenarios import Table
from benchmarks.judge.traffic import HORIZON, WEIGHT
from benchmarks.markdown import UNKNOWN, table

BASELINES = (Rule.ARGO, Rule.FLAGGER, Rule.KAYENTA)
FEWER = (
    *BASELINES,
    Rule.ORACLE_60,
    Rule.TIDEGATE_STRICT,
    Rule.TIDEGATE_STRICT_DIRECT,
    Rule.TIDEGATE,
    Rule.TIDEGATE_DIRECT,
)
ALL = tuple(Rule)
PROMOTED = (Rule.TIDEGATE, Rule.TIDEGATE_DIRECT)


def report(results: Results) -> str:
    """Everything that there is to say about one run of the benchmark."""
    parts = [
        about(results),
        _section("1. False rollbacks: the candidate is no worse", _rollbacks(results, Table.SAME, FEWER)),
        _section("2. Detection: the candidate fails more often", _rollbacks(results, Table.ERRORS, ALL)),
        _section("3. Latency: the candidate is slower", _rollbacks(results, Table.LATENCY, ALL)),
        _section("4. Stress: no difference unless the cell names one", _rollbacks(results, Table.STRESS, FEWER)),
        _section("5. Promotion", _promotion(results)),
        _section("Goals", _goals(results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def about(results: Results) -> str:
    """What was simulated, in a few lines."""
    return (
        f"{HORIZON // 60} minutes of analysis with {WEIGHT:.0%} of the requests on the candidate; seed {results.seed}, "
        f"{results.runs} runs a cell, and more where they are fast or mistakes are rare. Cells say which share of the "
        "runs was rolled back, and after how many seconds (median). Promotions end no run in tables 1 to 4."
    )


def _section(title: str, body: str) -> str:
    return f"### {title}\n\n{body}" if body else ""


def _rollbacks(results: Results, which: Table, rules: Sequence[str]) -> str:
    of_table = results.of(which)
    tried = [rule for rule in rules if any(rule in result.figures for result in of_table)]
    rows = [[result.scenario.name, *(_found(results, result, rule) for rule in tried)] for result in of_table]
    return table([["", *tried], *rows], labels=1)


def _promotion(results: Results) -> str:
    ends = ["promoted", "after", "rolled back", "undecided"]
    head = ["", *ends, *(f"{end}, each second" for end in ends)]
    rows = [
        [result.scenario.name, *(end for rule in PROMOTED for end in _ends(results, result, rule))]
        for result in results.of(Table.PROMOTION)
    ]
    return table([head, *rows], labels=1)


def _goals(results: Results) -> str:
    return "\n".join(f"- **{goal.verdict}**: {goal.words}. Worst: {goal.worst}." for goal in judge(results))


def _found(results: Results, result: ScenarioResult, rule: str) -> str:
    """Ours is held to its bound where it promises one; others' figures stand as they are."""
    figures = result.figures.get(rule)
    if figures is None:
        return UNKNOWN
    if rule in OURS and is_harmless(result.scenario, rule, results.analysis):
        beyond_table_1 = not result.scenario.is_equal and result.scenario.table is not Table.SAME
        return _tidegate(results, result, rule) + (" (tolerated)" if beyond_table_1 else "")
    if result.scenario.table is Table.SAME:
        return percent(figures.share)
    early = f", {percent(figures.early / figures.runs)} too early" if figures.early else ""
    return f"{percent(figures.share)}{_after(figures.seconds)}{early}"


def _tidegate(results: Results, result: ScenarioResult, rule: str) -> str:
    figures = result.figures[rule]
    if why := exempt(result.scenario, results.analysis):
        return f"{percent(figures.share)} ({why})"
    return percent(figures.share) + _marked(
        figures.rolled_back + figures.early, figures, results.analysis.false_rollback
    )


def _marked(mistakes: int, figures: Figures, bound: float) -> str:
    """What is above its bound says so, and whether chance explains it."""
    if mistakes <= bound * figures.runs:
        return ""
    return " **missed**" if is_refuted(mistakes, figures.runs, bound) else " (by chance)"


def _ends(results: Results, result: ScenarioResult, rule: str) -> list[str]:
    figures = result.figures.get(rule)
    if figures is None:
        return [UNKNOWN] * 4
    marked = "" if result.scenario.is_equal else _marked(figures.promoted, figures, results.analysis.false_promotion)
    undecided = figures.runs - figures.promoted - figures.rolled_back
    return [
        percent(figures.promoted / figures.runs) + marked,
        _after(figures.promoted_seconds).strip() or UNKNOWN,
        percent(figures.share),
        percent(undecided / figures.runs),
    ]


def _after(seconds: float | None) -> str:
    return "" if seconds is None else f" {seconds:.0f} s"
