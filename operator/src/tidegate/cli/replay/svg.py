"""A replay as one SVG: the evidence both ways with what it needs, steps of weight behind it, failures below. Pure.

Colours are Okabe and Ito's, which people with any colour vision can tell apart; a browser that prefers dark gets a dark
picture, and a program that knows no media queries the light one.
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from html import escape

from tidegate.cli.replay import report as sentences
from tidegate.cli.replay.engine import Row
from tidegate.cli.replay.report import ReplayReport
from tidegate.judge.explain import number
from tidegate.model.evidence import Counts, total
from tidegate.model.units import format_duration

WIDTH, HEIGHT = 980, 500
LEFT, RIGHT = 78, 830
TOP, BOTTOM = 118, 358
CANDIDATE_FLOOR, STABLE_FLOOR = 404, 444
TALLEST_TICK = 28
LEAST_DECADE, MOST_DECADE = -3, 9
"""What lies beyond is drawn at the edge: nobody reads an e-value of 10⁴⁰."""
SECONDS_BETWEEN_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #3d444d }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.paper { fill: #ffffff } .band { fill: #0072b2 } .grid { stroke: #d8dee4 } .edge { stroke: #818b98 }
.worse { stroke: #d55e00 } .acceptable { stroke: #00795a } .stable { stroke: #6e7781 }
text.worse { fill: #b34700; stroke: none } text.acceptable { fill: #00694e; stroke: none }
circle.worse { fill: #d55e00 } circle.acceptable { fill: #00795a }
path { fill: none; stroke-width: 2; stroke-linejoin: round } .failed { stroke-width: 3 }
.needed { stroke-width: 1.2; stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) {
  text { fill: #c3ccd6 } .title { fill: #f0f6fc }
  .paper { fill: #0d1117 } .band { fill: #56b4e9 } .grid { stroke: #2a313b } .edge { stroke: #7d8590 }
  .worse { stroke: #ff8c42 } .acceptable { stroke: #2fc79a } .stable { stroke: #9aa4af }
  text.worse { fill: #ff9f63 } text.acceptable { fill: #4fd3ab }
  circle.worse { fill: #ff8c42 } circle.acceptable { fill: #2fc79a }
}
""".strip()


def svg_of(report: ReplayReport) -> str:
    """The whole file."""
    canvas = _Canvas(report)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'role="img" aria-labelledby="title conclusion">',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
            *_heading(report),
            *canvas.bands(),
            *canvas.axes(),
            *canvas.evidence(),
            *canvas.failures(),
            "</svg>",
            "",
        ]
    )


def _heading(report: ReplayReport) -> Iterator[str]:
    title, conclusion = sentences.title(report), sentences.conclusion(report)
    yield f'<title id="title">{escape(title)}</title>'
    yield f'<desc id="conclusion">{escape(conclusion)}</desc>'
    yield _text(20, 30, title, "title")
    for index, line in enumerate(textwrap.wrap(conclusion, 140)[:2]):
        yield _text(20, 52 + 17 * index, line)
    yield _text(20, 92, "rollback evidence", "worse")
    yield _text(165, 92, "promotion evidence", "acceptable")
    yield _text(320, 92, "dashed: thresholds")


class _Canvas:
    """Where things are: seconds from left to right, e-values from bottom to top in powers of ten."""

    def __init__(self, report: ReplayReport) -> None:
        self._report = report
        self._rows = report.replay.rows
        self._worse_needed = 1 / report.analysis.false_rollback
        self._end = max(self._rows[-1].at, report.recorded.until - report.recorded.began).total_seconds()
        self._low, self._high = self._decades()

    def bands(self) -> Iterator[str]:
        """Each time of one weight: the more traffic, the deeper."""
        shifts, began = self._report.recorded.shifts, self._report.recorded.began
        starts = [(shift.at - began).total_seconds() for shift in shifts]
        for shift, start, end in zip(shifts, starts, [*starts[1:], self._end], strict=True):
            left, right = self._x(start), self._x(end)
            opacity = 0.05 + 0.2 * shift.weight / 100
            yield (
                f'<rect class="band" fill-opacity="{opacity:.3f}" x="{left:.1f}" y="{TOP}" '
                f'width="{max(0.0, right - left):.1f}" height="{STABLE_FLOOR - TOP}"/>'
            )
            if right - left > 26:
                yield _text((left + right) / 2, TOP - 7, f"{shift.weight}%", anchor="middle")

    def axes(self) -> Iterator[str]:
        """Powers of ten, and time."""
        every = max(1, math.ceil((self._high - self._low) / 8))
        for decade in range(self._low, self._high + 1, every):
            y = self._y(10.0**decade)
            yield _line(LEFT, y, RIGHT, y, "grid")
            yield _text(LEFT - 8, y + 4, number(10.0**decade), anchor="end")
        for floor, name in ((CANDIDATE_FLOOR, "candidate"), (STABLE_FLOOR, "stable")):
            yield _line(LEFT, floor, RIGHT, floor, "edge")
            yield _text(LEFT - 8, floor, name, anchor="end")
        seconds = next((s for s in SECONDS_BETWEEN_TICKS if self._end / s <= 10), SECONDS_BETWEEN_TICKS[-1])
        for index in range(int(self._end // seconds) + 1):
            x = self._x(index * seconds)
            yield _line(x, STABLE_FLOOR, x, STABLE_FLOOR + 5, "edge")
            yield _text(x, STABLE_FLOOR + 19, format_duration(timedelta(seconds=index * seconds)), anchor="middle")
        yield _text((LEFT + RIGHT) / 2, HEIGHT - 14, "since the candidate's first request", anchor="middle")

    def evidence(self) -> Iterator[str]:
        """Two thresholds, two lines, and where a line passed its threshold."""
        y, needed = self._y(self._worse_needed), self._rows[-1].acceptable_needed
        yield f'<path class="worse needed" data-needed="{self._worse_needed:g}" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield _text(RIGHT + 8, y + 4, f"{number(self._worse_needed)}: roll back", "worse")
        yield f'<path class="acceptable needed" data-needed="{needed:g}" d="{self._steps()}"/>'
        below = max(self._y(needed), y + 15) if abs(self._y(needed) - y) < 15 else self._y(needed)
        yield _text(RIGHT + 8, below + 4, f"{number(needed)}: {self._next_goal()}", "acceptable")
        yield f'<path class="worse" d="{self._path(lambda row: row.worse)}"/>'
        yield f'<path class="acceptable" d="{self._path(lambda row: row.acceptable)}"/>'
        yield from self._marks()

    def failures(self) -> Iterator[str]:
        """A tick for each increment with failures, as tall as their share."""
        arms: Sequence[tuple[int, str, Callable[[Row], Counts]]] = (
            (CANDIDATE_FLOOR, "worse", lambda row: row.candidate),
            (STABLE_FLOOR, "stable", lambda row: row.stable),
        )
        highest = max(_share(counts(row)) for row in self._rows for _, _, counts in arms)
        for floor, kind, counts in arms:
            for row in self._rows:
                if counts(row).failed:
                    x = self._x((self._start_of(row) + row.at.total_seconds()) / 2)
                    tall = 4 + (TALLEST_TICK - 4) * _share(counts(row)) / highest
                    yield _line(x, floor, x, floor - tall, f"{kind} failed")
            both = total([Counts(counts(row).requests, counts(row).failed) for row in self._rows])
            yield _text(RIGHT + 8, floor, f"{both.failed:,} of {both.requests:,} failed")

    def _marks(self) -> Iterator[str]:
        rows = {row.at: row for row in self._rows}
        for finding in self._report.replay.findings:
            row, x = rows[finding.at], self._x(finding.at.total_seconds())
            back = finding.step == 0
            if back:
                yield _line(x, TOP, x, STABLE_FLOOR, "worse")
            kind, value = ("worse", row.worse) if back else ("acceptable", row.acceptable)
            what = "rolled back" if back else f"acceptable for {sentences.goal(finding, self._report.replay)}"
            tip = f"<title>{escape(what)} at {format_duration(finding.at)}</title>"
            yield f'<circle class="{kind}" cx="{x:.1f}" cy="{self._y(value):.1f}" r="4.5">{tip}</circle>'

    def _next_goal(self) -> str:
        last = self._rows[-1]
        strictest = 1 / self._report.analysis.false_promotion
        return "promote" if math.isclose(last.acceptable_needed, strictest) else "next step"

    def _path(self, value: Callable[[Row], float]) -> str:
        """From 1, which is no evidence, through all increments. 0 is where nothing can be said yet, and isn't drawn."""
        known = [row for row in self._rows if value(row) > 0]
        points = [(self._x(row.at.total_seconds()), self._y(value(row))) for row in known]
        if known:
            points.insert(0, (self._x(self._start_of(known[0])), self._y(1.0)))
        return " ".join(f"{'M' if index == 0 else 'L'}{x:.1f} {y:.1f}" for index, (x, y) in enumerate(points))

    def _steps(self) -> str:
        parts = [f"M{LEFT} {self._y(self._rows[0].acceptable_needed):.1f}"]
        for row in self._rows:
            parts.append(f"V{self._y(row.acceptable_needed):.1f}H{self._x(row.at.total_seconds()):.1f}")
        return "".join([*parts, f"H{RIGHT}"])

    def _decades(self) -> tuple[int, int]:
        shown = [value for row in self._rows for value in (row.worse, row.acceptable) if value > 0]
        needed = [self._worse_needed, *(row.acceptable_needed for row in self._rows)]
        low = math.floor(math.log10(min([*shown, 1.0])))
        high = math.ceil(math.log10(max([*shown, *needed])))
        return max(LEAST_DECADE, min(low, -1)), min(MOST_DECADE, max(high, 3))

    def _start_of(self, row: Row) -> float:
        return (row.at - self._report.analysis.interval).total_seconds()

    def _x(self, seconds: float) -> float:
        return LEFT + (RIGHT - LEFT) * seconds / self._end

    def _y(self, value: float) -> float:
        decade = min(self._high, max(self._low, math.log10(value))) if value > 0 else self._low
        return BOTTOM - (BOTTOM - TOP) * (decade - self._low) / (self._high - self._low)


def _share(counts: Counts) -> float:
    return counts.failed / counts.requests if counts.requests else 0.0


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'
