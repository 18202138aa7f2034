"""Draws the results as Markdown. What is missed stands out. Pure."""

from collections.abc import Sequence

from benchmarks.markdown import UNKNOWN, table
from benchmarks.scale.figures import Measured
from benchmarks.scale.goals import OPERATOR, ROUTER, Figure, Goal, growth, judge

MISSED = "**MISSED**"


def report(everything: Sequence[Measured], machine: str) -> str:
    """Everything that there is to say about one run."""
    parts = [
        goals(judge(everything)),
        "### Operator",
        _table(OPERATOR, everything),
        _calls(everything),
        "### Router",
        _table(ROUTER, everything),
        _troubles(everything),
        f"Measured on {machine}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def goals(judged: Sequence[Goal]) -> str:
    """Each promise, and whether it was kept."""
    lines = [[goal.words, goal.seen, goal.before, "met" if goal.met else MISSED] for goal in judged]
    return table([["goal", "seen", "before", ""], *lines], labels=4)


def _table(figures: Sequence[Figure], everything: Sequence[Measured]) -> str:
    """Each figure at each size, this code's and the baseline's, and how many times it grows."""
    sizes = sorted({each.models for each in everything})
    codes = sorted({each.code for each in everything})
    found = {(each.code, each.models): each for each in everything}
    head = ["", "code", *(f"{size:,}" for size in sizes), "grows"]
    rows = [
        [
            figure.words if code == codes[0] else "",
            code or "this code",
            *(figure.text(found.get((code, size))) for size in sizes),
            _times(growth(figure, everything, code)),
        ]
        for figure in figures
        for code in codes
    ]
    return table([head, *rows], labels=2 + len(sizes) + 1)


def _times(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}×"


def _calls(everything: Sequence[Measured]) -> str:
    """What an operator asked for, in numbers."""
    lines = [
        f"- {each.code or 'this code'}, {each.models:,}: in a quiet minute {_listed(each.operator.idle_calls)}, and "
        f"{each.operator.idle_watches} watches opened anew; while rolling {_listed(each.operator.rolling_calls)}"
        for each in everything
        if each.operator
    ]
    return "\n".join(lines)


def _listed(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in calls.items()) or "nothing"


def _troubles(everything: Sequence[Measured]) -> str:
    lines = [
        f"- {MISSED} {each.code or 'this code'}, {each.models:,}: {each.trouble}" for each in everything if each.trouble
    ]
    return "\n".join(lines)
