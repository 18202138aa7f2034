"""The page with what came of each disturbance, drawn from the newest result of each."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.machine import described
from benchmarks.markdown import UNKNOWN, table
from benchmarks.report_page import DOCS, ReportSection
from tests.disturbed.trial import Row

SECTION = ReportSection("disturbed trials", DOCS / "disturbed-trials.md")
DISTURBANCES = (
    "PodMonitor labels",
    "Two Prometheus replicas",
    "Samples 20 s late",
    "An own query that hangs",
    "A webhook refuses patches",
    "Stable's pods are killed",
    "An autoscaler, canary",
    "An autoscaler, blue-green",
    "The status is erased",
    "The leader is frozen",
)


def write_if_whole(folder: Path) -> None:
    """Writes the page once there is a result of every disturbance."""
    rows = {row.disturbance: row for path in folder.glob("*.json") if (row := Row(**json.loads(path.read_text())))}
    if all(name in rows for name in DISTURBANCES):
        SECTION.write(report([rows[name] for name in DISTURBANCES]))


def report(rows: Sequence[Row]) -> str:
    """The table, and what it was measured on."""
    head = ["disturbance", "ended", "first to last bad answer", "requests", "bad", *LOST, ""]
    lines = [
        [
            row.disturbance,
            f"{row.outcome}, {row.reason}",
            UNKNOWN if row.seconds is None else f"{row.seconds:.1f} s",
            f"{row.sent:,}",
            str(row.bad),
            str(row.unready),
            str(row.unconnected),
            str(row.otherwise),
            "as it should" if row.as_it_should else "**MISSED**",
        ]
        for row in rows
    ]
    notes = [f"- {row.disturbance}: {row.notes}." for row in rows if row.notes]
    ended = sorted(datetime.fromisoformat(row.ended) for row in rows)
    span = f"between {ended[0]:%H:%M on %Y-%m-%d} and {ended[-1]:%H:%M on %Y-%m-%d} UTC"
    when = f"The trials ended {span}, on {described()}, which ran cluster, models and load."
    return "\n\n".join([table([head, *lines], labels=1), "\n".join(notes), when])


LOST = ("lost: no ready pod", "lost: no connection", "lost otherwise")
