"""One picture of the whole story, from what Prometheus remembers: who had the traffic, who failed, who was slow, and
what the judge made of it. Four panels on one clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tidegate_demo.history import STEP_SECONDS, History, Series, Span, by_version

# Okabe and Ito's palette, which people with any colour vision can tell apart; the faulty models get the warm colours.
COLOURS = {
    "v1": "#7f7f7f",
    "v2": "#0072b2",
    "v3": "#d55e00",
    "v4": "#e69f00",
    "v5": "#009e73",
    "v6": "#cc79a7",
}
OTHER = "#000000"
ROLL_BACK_AT, PROMOTE_AT = 100, 20
EVIDENCE_RANGE = (0.05, 1e5)
GAP_SECONDS = 3 * STEP_SECONDS
SOFT: dict[str, Any] = {"color": "#555555", "fontsize": 8}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "svg.hashsalt": "tidegate",  # the same data make the same file
    "svg.fonttype": "none",
}

Numbers = NDArray[np.float64]


def draw(history: History, versions: Mapping[str, str], spans: Sequence[Span], files: Sequence[Path]) -> None:
    """Writes the picture to each of the files, in the format that the name's ending says."""
    with matplotlib.rc_context(STYLE):
        figure = _figure(history, versions, spans)
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"Date": None} if file.suffix == ".svg" else None
            figure.savefig(file, dpi=150, metadata=metadata, facecolor="white")


def _figure(history: History, versions: Mapping[str, str], spans: Sequence[Span]) -> Figure:
    figure = Figure(figsize=(12, 9.6), layout="constrained")
    ratios = {"height_ratios": [1.3, 0.9, 1.1, 1.1]}
    share, errors, latency, evidence = figure.subplots(4, 1, sharex=True, gridspec_kw=ratios)
    zero = spans[0].began
    _draw_shares(share, history, versions, zero)
    _draw_errors(errors, history, versions, zero)
    _draw_latency(latency, history, versions, zero)
    _draw_evidence(evidence, history, zero)
    for panel in (share, errors, latency, evidence):
        _mark_spans(panel, spans, zero)
        panel.margins(x=0)
        panel.set_xlim(0, spans[-1].ended - zero)
    _name_spans(share, spans, zero)
    evidence.set_xlabel("seconds since the first kubectl apply")
    return figure


def _draw_shares(panel: Axes, history: History, versions: Mapping[str, str], zero: float) -> None:
    rates = by_version(history.requests, versions)
    clock = _clock(rates.values())
    if clock.size:
        stack = np.array([_on(clock, series) for series in rates.values()])
        total = stack.sum(axis=0)
        share = 100 * np.divide(stack, total, out=np.zeros_like(stack), where=total > 0)
        colours = [COLOURS.get(version, OTHER) for version in rates]
        panel.stackplot(clock - zero, share, labels=list(rates), colors=colours, alpha=0.85, linewidth=0)
        panel.legend(ncols=len(rates), loc="lower left", bbox_to_anchor=(0.0, -0.17), frameon=False, fontsize=8)
    _draw_wanted(panel, history, rates, versions, zero)
    panel.set_ylim(0, 100)
    panel.set_ylabel("share of requests, %")
    panel.set_title("Traffic: seen by the router (areas) and wanted by the operator (lines)", pad=34)


def _draw_wanted(
    panel: Axes, history: History, rates: Mapping[str, Series], versions: Mapping[str, str], zero: float
) -> None:
    """The wanted boundary between each version and the next: the weights, stacked in the order of the areas."""
    wanted = by_version(history.weights, versions)
    clock = _clock(wanted.values())
    below = np.zeros_like(clock)
    for version in list(rates)[:-1]:
        if version in wanted:
            below = below + _on(clock, wanted[version])
            edge = np.where((below > 0) & (below < 100), below, np.nan)
            panel.plot(clock - zero, edge, color="#222222", linewidth=1.1, drawstyle="steps-post")


def _draw_errors(panel: Axes, history: History, versions: Mapping[str, str], zero: float) -> None:
    requests, errors = by_version(history.requests, versions), by_version(history.errors, versions)
    highest = 0.0
    for version, series in requests.items():
        failing = dict(errors[version].points) if version in errors else {}
        points = tuple((at, 100 * failing.get(at, 0.0) / rate) for at, rate in series.points if rate > 0)
        highest = max([highest, *(value for _, value in points)])
        _line(panel, Series(series.labels, points), version, zero)
    panel.set_ylim(-0.03 * max(highest, 5.0), 1.15 * max(highest, 5.0))
    panel.set_ylabel("errors, % of answers")
    panel.set_title("Error rate")


def _draw_latency(panel: Axes, history: History, versions: Mapping[str, str], zero: float) -> None:
    for quantile, all_series in history.latency.items():
        for version, series in by_version(all_series, versions).items():
            points = tuple((at, 1000 * seconds) for at, seconds in series.points)
            style = "-" if quantile <= 0.5 else ":"
            _line(panel, Series(series.labels, points), version, zero, style=style)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.set_ylabel("model server, ms")
    panel.set_title("Latency: p50 solid, p90 dotted")


def _draw_evidence(panel: Axes, history: History, zero: float) -> None:
    looks = {
        "worse": ("#b2182b", "it is worse", ROLL_BACK_AT),
        "acceptable": ("#01665e", "it is acceptable", PROMOTE_AT),
    }
    for series in sorted(history.evidence, key=lambda series: series.labels["direction"], reverse=True):
        colour, label, _ = looks[series.labels["direction"]]
        # An e-value of 0 is one that isn't there yet; a logarithm has no place for it.
        points = tuple((at, float(np.clip(value, *EVIDENCE_RANGE))) for at, value in series.points if value > 0)
        clock, values = _with_gaps(points)
        panel.plot(clock - zero, values, color=colour, linewidth=1.6, label=label)
    for colour, label, threshold in looks.values():
        panel.axhline(threshold, color=colour, linewidth=0.8, linestyle="--")
        ends = "rolls back" if label == "it is worse" else "lets it go on"
        panel.annotate(
            f" {threshold}: {ends}",
            (1, threshold),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=colour,
        )
    panel.set_yscale("log")
    panel.set_ylim(*EVIDENCE_RANGE)
    panel.set_ylabel("e-value")
    panel.set_title("Evidence about the candidate, over the whole rollout")
    if history.evidence:
        panel.legend(loc="upper left", frameon=False, fontsize=8)


def _line(panel: Axes, series: Series, version: str, zero: float, style: str = "-") -> None:
    clock, values = _with_gaps(series.points)
    panel.plot(clock - zero, values, style, color=COLOURS.get(version, OTHER), linewidth=1.5)


def _mark_spans(panel: Axes, spans: Sequence[Span], zero: float) -> None:
    for number, span in enumerate(spans):
        if number % 2:
            panel.axvspan(span.began - zero, span.ended - zero, color="#000000", alpha=0.045, linewidth=0, zorder=0)
        panel.axvline(span.began - zero, color="#999999", linewidth=0.6, zorder=0)


def _name_spans(panel: Axes, spans: Sequence[Span], zero: float) -> None:
    for span in spans:
        middle = (span.began + span.ended) / 2 - zero
        panel.annotate(
            span.label,
            (middle, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            **SOFT,
        )


def _clock(all_series: Iterable[Series]) -> Numbers:
    """Every instant at which any of the series has a value."""
    return np.array(sorted({at for series in all_series for at, _ in series.points}), dtype=np.float64)


def _on(clock: Numbers, series: Series) -> Numbers:
    """The series at the clock's instants; 0 where it has no value: a revision without a series has no traffic."""
    known = dict(series.points)
    return np.array([known.get(float(at), 0.0) for at in clock], dtype=np.float64)


def _with_gaps(points: Sequence[tuple[float, float]]) -> tuple[Numbers, Numbers]:
    """The points as two arrays, broken by a nan wherever some are missing, so that no line crosses a silence."""
    if not points:
        return np.array([]), np.array([])
    at, value = np.array(points, dtype=np.float64).T
    holes = np.flatnonzero(np.diff(at) > GAP_SECONDS) + 1
    return np.insert(at, holes, np.nan), np.insert(value, holes, np.nan)
