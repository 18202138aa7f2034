"""The page with what came of each event behind each implementation, drawn from the newest result of each."""

import json
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.machine import described
from benchmarks.markdown import met, table
from benchmarks.report_page import DOCS, ReportSection
from tests.gateways import beside
from tests.gateways.beside import FLAGGER, TIMES_FASTER, Release
from tests.gateways.trial import BARE, TIDEGATE, Row

SECTION = ReportSection("gateways", DOCS / "gateways-benchmark.md")


def write(folder: Path) -> None:
    """Puts what there is a result of onto the page."""
    rows = [Row(**json.loads(path.read_text())) for path in sorted(folder.glob("row-*.json"))]
    SECTION.write(report(rows, beside.read(folder)))


def report(rows: Sequence[Row], releases: Sequence[Release]) -> str:
    """The tables, and what they were measured on."""
    parts = [
        part
        for by, title in ((TIDEGATE, "### Releases by Tidegate"), (BARE, "### A bare HTTPRoute, without Tidegate"))
        if (of := [row for row in rows if row.by == by])
        for part in (title, _events(of))
    ]
    if releases:
        parts += ["### The same bad release, beside Flagger", _releases(releases)]
    if {each.by for each in releases} == {TIDEGATE, FLAGGER}:
        parts.append(_goal(releases))
    return "\n\n".join([*parts, _when(rows)])


def _events(rows: Sequence[Row]) -> str:
    head = ["event", "implementation", "requests", "lost", "the model's own errors", ""]
    ordered = sorted(rows, key=lambda row: (row.event, row.gateway))
    lines = [[row.event, row.gateway, f"{row.sent:,}", row.lost_told, str(row.errors), row.notes] for row in ordered]
    return table([head, *lines], labels=2)


def _releases(releases: Sequence[Release]) -> str:
    head = ["release by", "first to last bad answer", "bad answers", "requests to the bad model", "requests", "lost"]
    lines = [
        [each.by, f"{each.seconds:.1f} s", f"{each.bad:,}", f"{each.served:,}", f"{each.sent:,}", _lost(each)]
        for each in releases
    ]
    return table([head, *lines], labels=1)


def _lost(release: Release) -> str:
    return f"{release.lost:,} ({release.why})" if release.why else f"{release.lost:,}"


def _goal(releases: Sequence[Release]) -> str:
    ours, theirs = (statistics.median(each.seconds for each in releases if each.by == by) for by in (TIDEGATE, FLAGGER))
    times = theirs / ours if ours else float("inf")
    return (
        f"Medians: Tidegate {ours:.1f} s, Flagger {theirs:.1f} s, which is {times:.0f} times as long. "
        f"Goal: at least {TIMES_FASTER} times, {met(times >= TIMES_FASTER)}."
    )


def _when(rows: Sequence[Row]) -> str:
    ended = sorted(datetime.fromisoformat(row.ended) for row in rows)
    span = (
        f"The events ended between {ended[0]:%H:%M on %Y-%m-%d} and {ended[-1]:%H:%M on %Y-%m-%d} UTC. "
        if ended
        else ""
    )
    return f"{span}Measured on {described()}, which ran cluster, Gateways, models and load."
