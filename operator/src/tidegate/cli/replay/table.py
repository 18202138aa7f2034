"""A replay on a terminal: a header, a row for each increment, and what follows from it. Pure."""

import math

from tidegate.cli.common.columns import Cell, Column, Style, lines_of, styled
from tidegate.cli.replay import report as sentences
from tidegate.cli.replay.engine import Row
from tidegate.cli.replay.report import ReplayReport
from tidegate.judge.explain import number
from tidegate.judge.latency import quantile_seconds
from tidegate.judge.sequential_test import WATCHFUL
from tidegate.model.evidence import Counts
from tidegate.model.units import format_duration


def text_of(report: ReplayReport, *, colour: bool) -> str:
    """The whole report, without a line end at its end."""
    rows = [_cells(row, report) for row in report.replay.rows]
    summary = styled(sentences.conclusion(report), Style.GOOD if report.same else Style.BAD, colour=colour)
    return "\n".join(
        [
            *_header(report),
            "",
            *lines_of(_columns(report), rows, colour=colour),
            "",
            *sentences.findings(report.replay),
            summary,
            *([report.record.agreement + "."] if report.record else []),
        ]
    )


def _header(report: ReplayReport) -> list[str]:
    return [
        sentences.title(report),
        f"recorded   {sentences.recorded_end(report.recorded)}",
        f"judged by  {sentences.judged_by(report)}",
        f"increments {sentences.sampling(report)}",
        *(f"beware     {warning}" for warning in sentences.warnings(report)),
    ]


def _columns(report: ReplayReport) -> list[Column]:
    arms = [
        Column(title, group, left=False) for group in ("candidate", "stable") for title in ("requests", "failed", "p99")
    ]
    return [
        Column("time"),
        Column("weight"),
        *arms,
        Column(f"threshold {number(1 / report.analysis.false_rollback)}", "rollback evidence"),
        Column("metric", "rollback evidence", left=True),
        Column("of threshold", "promotion evidence"),
        Column("metric", "promotion evidence", left=True),
        Column("times stable's errors", left=True),
        Column("", left=True),
    ]


def _cells(row: Row, report: ReplayReport) -> list[Cell]:
    needed = 1 / report.analysis.false_rollback
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
        _mark(row, report),
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


def _mark(row: Row, report: ReplayReport) -> Cell:
    replay = report.replay
    finding = next((finding for finding in replay.findings if finding.at == row.at), None)
    if finding is None:
        return Cell("")
    if finding.step == 0:
        return Cell("◀ rolled back", Style.BAD)
    return Cell(f"▶ {sentences.goal(finding, replay)}", Style.GOOD)
