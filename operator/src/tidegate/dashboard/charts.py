"""Lines for the pages: where the points of a chart lie, and what it shows in words. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from tidegate.dashboard.measures import MeasuredPoint, highest
from tidegate.dashboard.trends import Point

WIDTH, HEIGHT = 600, 100
"""Of the drawing, in units of its own."""
MOST_ROWS = 24
"""Of the table that says the same."""


class Dated(Protocol):
    """Whatever a chart is made of."""

    @property
    def at(self) -> datetime:
        """When it was so."""


P = TypeVar("P", bound=Dated)
Lines = Sequence[tuple[str, str, Callable[[P], float | None]]]
"""Of each line its class, its label, and its value at a point."""


@dataclass(frozen=True)
class Line:
    """`pieces` are drawn each by itself: between them nothing was known."""

    name: str
    label: str
    pieces: tuple[str, ...]
    last: float | None


@dataclass(frozen=True)
class Chart:
    """One drawing, its text, and its rows."""

    id: str
    title: str
    unit: str
    top: float
    lines: tuple[Line, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    begin: str
    end: str

    @property
    def in_words(self) -> str:
        """What the drawing says last."""
        shown = (f"{line.label} {format_value(line.last, self.unit)}" for line in self.lines if line.last is not None)
        return f"{self.title}: now " + (", ".join(shown) or "nothing known")


def format_value(value: float | None, unit: str) -> str:
    """Three significant digits with the unit; a dash for what isn't known."""
    return "–" if value is None else f"{value:.3g}{unit}"


def weight_chart(points: Sequence[Point]) -> Chart | None:
    """How the candidate's share of the requests went; None before there are two points."""
    lines: Lines[Point] = (
        ("wanted", "wanted", lambda point: point.wanted),
        ("applied", "applied by the routers", lambda point: point.applied),
        ("observed", "observed", lambda point: point.observed),
    )
    return _chart("weights", "Candidate's share of the requests", "%", 100.0, points, lines)


def evidence_chart(points: Sequence[Point]) -> Chart | None:
    """How far both kinds of evidence had come."""
    lines: Lines[Point] = (
        ("worse", "for a rollback", lambda point: _percent(point.worse)),
        ("acceptable", "for a promotion", lambda point: _percent(point.acceptable)),
    )
    return _chart("evidence-trend", "Evidence, part of its threshold", "%", 100.0, points, lines)


def error_chart(points: Sequence[MeasuredPoint]) -> Chart | None:
    """Both arms' failed requests, in percent."""
    lines: Lines[MeasuredPoint] = (
        ("stable", "stable", lambda point: point.stable.error_percent),
        ("candidate", "candidate", lambda point: point.candidate.error_percent),
    )
    top = max(1.0, highest(points, lambda arm: arm.error_percent))
    return _chart("error-rate", "Error rate", "%", top, points, lines, holds=False)


def latency_chart(points: Sequence[MeasuredPoint]) -> Chart | None:
    """Both arms' 95th percentile."""
    lines: Lines[MeasuredPoint] = (
        ("stable", "stable", lambda point: point.stable.p95_milliseconds),
        ("candidate", "candidate", lambda point: point.candidate.p95_milliseconds),
    )
    top = highest(points, lambda arm: arm.p95_milliseconds) * 1.1 or 1.0
    return _chart("latency", "Latency, 95th percentile", " ms", top, points, lines, holds=False)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _chart(
    chart: str, title: str, unit: str, top: float, points: Sequence[P], lines: Lines[P], *, holds: bool = True
) -> Chart | None:
    """`holds` where a value is so until the next, rather than between the two."""
    if len(points) < 2:
        return None
    known = [(name, label, get) for name, label, get in lines if any(get(point) is not None for point in points)]
    if not known:
        return None
    begin, end = points[0].at, points[-1].at
    step = max(1, -(-len(points) // MOST_ROWS))
    chosen = [*points[:-1:step], points[-1]]
    return Chart(
        chart,
        title,
        unit,
        top,
        tuple(Line(name, label, _pieces(points, get, top, holds), get(points[-1])) for name, label, get in known),
        tuple((_iso(point.at), tuple(format_value(get(point), unit) for *_, get in known)) for point in chosen),
        _iso(begin),
        _iso(end),
    )


def _pieces(points: Sequence[P], get: Callable[[P], float | None], top: float, holds: bool) -> tuple[str, ...]:
    """Of one line, each without a gap."""
    begin = points[0].at
    span = max((points[-1].at - begin).total_seconds(), 1e-9)
    pieces: list[list[str]] = [[]]
    last: float | None = None
    for point in points:
        value, x = get(point), WIDTH * (point.at - begin).total_seconds() / span
        if last is not None and holds:
            pieces[-1].append(f"{x:.1f},{HEIGHT * (1 - last / top):.1f}")
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x:.1f},{HEIGHT * (1 - min(value, top) / top):.1f}")
        last = None if value is None else min(value, top)
    return tuple(" ".join(piece) for piece in pieces if len(piece) > 1)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
