"""The two tables of `tidegate history`. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegate.cli.common.ages import age, span
from tidegate.cli.common.columns import Cell, Column, Style, lines_of
from tidegate.model.reasons import Outcome
from tidegate.model.units import parse_instant
from tidegate.view.rollout_view import HistoryView, RolloutView

OUTCOMES = {Outcome.PROMOTED.value: Style.GOOD, Outcome.ROLLED_BACK.value: Style.BAD}


def text_of(view: RolloutView, revisions: Sequence[Mapping[str, Any]], now: datetime, *, colour: bool) -> str:
    """Revisions, the newest first; then rollouts, the newest first, each with its sentence."""
    kept = [Column(title, left=True) for title in ("REVISION", "NAME", "ROLE", "AGE", "MODEL")]
    ended = [
        Column(title, left=True) for title in ("ROLLOUT", "REVISION", "OUTCOME", "ENDED", "LASTED", "MOST", "FAILED")
    ]
    lines = lines_of(kept, [_revision(view, each, now) for each in revisions], colour=colour)
    if view.history:
        table = lines_of(ended, [_rollout(each, now) for each in view.history], colour=colour)
        lines += ["", table[0], *_with_sentences(table[1:], view.history)]
    return "\n".join(lines)


def _revision(view: RolloutView, manifest: Mapping[str, Any], now: datetime) -> list[Cell]:
    metadata = manifest["metadata"]
    created = metadata.get("creationTimestamp")
    role = next((each.role.value for each in view.revisions if each.name == metadata["name"]), "")
    role = role or ("rolled back" if metadata["name"] == view.rejected else "")
    cells = [
        str(manifest.get("revision", "")),
        metadata["name"],
        role,
        age(parse_instant(created) if created else None, now),
    ]
    return [Cell(text) for text in (*cells, (manifest.get("data") or {}).get("model", {}).get("uri", ""))]


def _rollout(each: HistoryView, now: datetime) -> list[Cell]:
    ended, lasted = f"{age(each.finished_at, now)} ago", span(each.finished_at - each.started_at)
    failed = f"{each.failed:,} of {each.requests:,}" if each.requests else ""
    if each.shadow_requests:
        failed += f"{' ' if failed else '0 users, '}+{each.shadow_requests:,} shadow"
    outcome = Cell(each.outcome, OUTCOMES.get(each.outcome, Style.DOUBTFUL))
    rest = (ended, lasted, f"{each.most_weight}%", failed)
    return [Cell(str(each.number)), Cell(each.revision), outcome, *map(Cell, rest)]


def _with_sentences(rows: Sequence[str], history: Sequence[HistoryView]) -> Iterator[str]:
    for row, each in zip(rows, history, strict=True):
        yield row
        yield f"  {each.reason}: {each.message}"
