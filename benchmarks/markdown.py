"""Tables that read as well in a terminal as in Markdown. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

UNKNOWN = "–"


def table(rows: Sequence[Sequence[str]], *, labels: int = 0) -> str:
    """A table with aligned columns, or '' without rows. The first row is the head.

    Columns of figures stand to the right, but for the first `labels`, which are names whatever they begin with.
    """
    if len(rows) < 2:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    figures = [column >= labels and all(_is_figure(row[column]) for row in rows[1:]) for column in range(len(widths))]
    lines = []
    for row in rows:
        cells = (c.rjust(w) if f else c.ljust(w) for c, w, f in zip(row, widths, figures, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    rule = "|".join("-" * (width + 1) + (":" if figure else "-") for width, figure in zip(widths, figures, strict=True))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def bullets(values: Mapping[str, object]) -> str:
    """A line `- name: value` for each."""
    return "\n".join(f"- {name}: {value}" for name, value in values.items())


def counted(counts: Counter[int] | Counter[str]) -> str:
    """What was counted and how often, in one line, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "none"


def met(is_met: bool) -> str:
    """What came of a goal, in a word."""
    return "met" if is_met else "missed"


def in_ms(value: float) -> str:
    """Three digits at most behind the point, and none from 10 on."""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _is_figure(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell in (UNKNOWN, "!")
