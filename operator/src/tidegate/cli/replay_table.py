"""A replay on a terminal: a header, a row for each poll, and what follows from it. Pure."""

import math

from tidegate.cli import retelling
from tidegate.cli.replaying import Row
from tidegate.cli.retelling import Retold
from tidegate.cli.table import Cell, Column, Style, lines_of, styled
from tidegate.judge.explain import number
from tidegate.judge.latency import quantile_seconds
from tidegate.judge.verdict import WATCHFUL
from tidegate.model.evidence import Answer, Counts
from tidegate.model.units import format_duration


def text_of(retold: Retold, *, colour: bool) -> str:
    """The whole report, without a line end at its end."""
    rows = [_cells(row, retold) for row in retold.replay.rows]
    ending = styled(retelling.conclusion(retold), Style.GOOD if retold.same else Style.BAD, colour=colour)
    return "\n".join(
        [
            *_header(retold),
            "",
            *lines_of(_columns(retold), rows, colour=colour),
            "",
            *retelling.findings(retold.replay),
            ending,
        ]
    )


def _header(retold: Retold) -> list[str]:
    return [
        retelling.title(retold),
        f"recorded   {retelling.recorded_end(retold.recorded)}",
        f"judged by  {retelling.judged_by(retold)}",
        f"polls      {retelling.polls(retold)}",
        *(f"beware     {warning}" for warning in retelling.warnings(retold)),
    ]


def _columns(retold: Retold) -> list[Column]:
    arms = [
        Column(title, group, left=False) for group in ("candidate", "stable") for title in ("requests", "failed", "p99")
    ]
    worse = f"worse, of {number(1 / retold.analysis.false_rollback)}"
    return [
        Column("time"),
        Column("weight"),
        *arms,
        Column(worse, "evidence that it is"),
        Column("by", "evidence that it is", left=True),
        Column("acceptable", "evidence that it is"),
        Column("by", "evidence that it is", left=True),
        Column("times stable's errors", left=True),
        Column("", left=True),
    ]


def _cells(row: Row, retold: Retold) -> list[Cell]:
    needed = 1 / retold.analysis.false_rollback
    worse = Style.BAD if row.worse >= needed else Style.DOUBTFUL if row.worse >= WATCHFUL else Style.PLAIN
    acceptable = Style.GOOD if row.acceptable >= row.acceptable_needed else Style.PLAIN
    return [
        Cell(format_duration(row.at)),
        Cell(f"{row.weight}%"),
        *_counted(row.candidate),
        *_counted(row.stable),
        Cell(number(row.worse), worse),
        Cell(row.heaviest),
        Cell(f"{number(row.acceptable)} of {number(row.acceptable_needed)}", acceptable),
        Cell(row.weakest),
        Cell(_times(row)),
        _mark(row, retold),
    ]


def _counted(counts: Counts) -> list[Cell]:
    p99 = quantile_seconds(counts.durations, 99)
    return [
        Cell(f"{counts.requests:,}"),
        Cell(f"{counts.failed:,}"),
        Cell("-" if math.isnan(p99) else f"{p99 * 1000:.3g} ms"),
    ]


def _times(row: Row) -> str:
    if row.low == 0 and math.isinf(row.high):
        return "-"
    if math.isinf(row.high):
        return f"{row.low:.2g}× or more"
    return f"up to {row.high:.2g}×" if row.low == 0 else f"{row.low:.2g}× to {row.high:.2g}×"


def _mark(row: Row, retold: Retold) -> Cell:
    replay = retold.replay
    finding = next((finding for finding in replay.findings if finding.at == row.at), None)
    if finding is None:
        return Cell("")
    if finding.answer is Answer.WORSE:
        return Cell("◀ rolled back", Style.BAD)
    return Cell(f"▶ {retelling.goal(finding, replay)}", Style.GOOD)
