"""The rows of `tidegate get`: kubectl's columns, from as little of each object as they take. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.cli.common.ages import age
from tidegate.cli.common.columns import Cell, Column, Style, lines_of
from tidegate.model.reasons import Phase
from tidegate.model.units import parse_instant

STYLES = {
    Phase.LIVE: Style.GOOD,
    Phase.HELD: Style.DOUBTFUL,
    Phase.PAUSED: Style.DOUBTFUL,
    Phase.ROLLED_BACK: Style.BAD,
    Phase.FAILED: Style.BAD,
    Phase.INVALID: Style.BAD,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One model."""

    namespace: str
    name: str
    stable: str
    candidate: str
    weight: str
    step: str
    status: str
    created: str
    message: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Row":
        """Whatever is missing is empty: a status that is odd must not keep the others from being shown."""
        metadata, status = manifest["metadata"], manifest.get("status") or {}
        weight = (status.get("traffic") or {}).get("appliedCandidate")
        return cls(
            metadata.get("namespace") or "",
            metadata["name"],
            _text(status, "stable", "revision"),
            _text(status, "candidate", "revision"),
            "" if weight is None else str(weight),
            _text(status, "rollout", "progress"),
            str(status.get("phase") or ""),
            str(metadata.get("creationTimestamp") or ""),
            str(status.get("message") or ""),
        )


def _text(status: Mapping[str, Any], part: str, field: str) -> str:
    inside = status.get(part)
    return str(inside.get(field) or "") if isinstance(inside, Mapping) else ""


def table(rows: Sequence[Row], now: datetime, *, namespaces: bool, wide: bool, colour: bool) -> list[str]:
    """The headings and the rows."""
    titles = ["NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "STATUS", "AGE"]
    titles = [*(["NAMESPACE"] if namespaces else []), *titles, *(["MESSAGE"] if wide else [])]
    cells = [_cells(row, now, namespaces=namespaces, wide=wide) for row in rows]
    return lines_of([Column(title, left=True) for title in titles], cells, colour=colour)


def _cells(row: Row, now: datetime, *, namespaces: bool, wide: bool) -> list[Cell]:
    created = parse_instant(row.created) if row.created else None
    cells = [Cell(each) for each in (row.name, row.stable, row.candidate, row.weight, row.step)]
    cells += [Cell(row.status, _style(row.status)), Cell(age(created, now))]
    return [*([Cell(row.namespace)] if namespaces else []), *cells, *([Cell(row.message)] if wide else [])]


def _style(status: str) -> Style:
    return next((style for phase, style in STYLES.items() if phase == status), Style.PLAIN)
