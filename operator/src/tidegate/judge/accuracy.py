"""Whether a candidate is as often right as it has to be, on requests whose answers are known. Pure.

The requests are a fixed set, so what is compared are counts of that set: no chance is in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tidegate.judge.answers import LABELS, WHO, best_column, is_row_of_scores, rows_of
from tidegate.model.units import format_percent


@dataclass(frozen=True)
class AccuracyRules:
    """Shares of the rows, 0 to 1."""

    least: float = 0.0
    """That have to be right."""
    tolerate: float = 0.0
    """By how much the candidate's may be below stable's."""


@dataclass(frozen=True)
class Accuracy:
    """How many rows were asked about, and who was right on them."""

    rows: int = 0
    candidate: int = 0
    stable: int | None = None
    """None where stable wasn't asked."""
    lost: int = 0
    """That only stable has right."""
    won: int = 0
    """That only the candidate has right."""

    def with_row(self, *, candidate: bool, stable: bool | None) -> "Accuracy":
        """One row more, and who was right on it; None for who wasn't asked."""
        return Accuracy(
            self.rows + 1,
            self.candidate + candidate,
            None if stable is None else (self.stable or 0) + stable,
            self.lost + (stable is True and not candidate),
            self.won + (stable is False and candidate),
        )


def is_accurate(found: Accuracy, rules: AccuracyRules) -> bool:
    """Whether the candidate is."""
    if found.candidate < rules.least * found.rows:
        return False
    return found.stable is None or found.candidate >= found.stable - rules.tolerate * found.rows


def told(found: Accuracy, rules: AccuracyRules) -> str:
    """The numbers in one sentence, for people."""
    said = f"the candidate is right on {found.candidate:,} of {found.rows:,} rows ({_share(found.candidate, found)})"
    if rules.least:
        said += f", {format_percent(rules.least)} are wanted"
    if found.stable is None:
        return said
    return (
        f"{said}, stable on {found.stable:,} ({_share(found.stable, found)}): {found.lost:,} that only stable has "
        f"right, {found.won:,} that only the candidate has; {format_percent(rules.tolerate)} fewer are tolerated"
    )


def predicted(body: bytes, answer: str = "") -> tuple[str, ...]:
    """The class of each row of an answer; () where there is none to be found.

    `answer` names the field or the output that has it. Else it is a field of labels, else whole numbers or text, else
    the best column of each row of scores.
    """
    try:
        document = orjson.loads(body)
    except ValueError:
        return ()
    fields = dict(_fields(document)) if isinstance(document, Mapping) else {}
    if answer:
        return _classes(fields.get(answer)) or _best_columns(fields.get(answer))
    labelled = [_classes(value) for name, value in fields.items() if name in LABELS]
    whole = [_classes(value) for value in fields.values()]
    scored = [_best_columns(value) for value in fields.values()]
    return next((found for found in (*labelled, *whole, *scored) if found), ())


def expected_classes(value: Any) -> tuple[str, ...]:
    """What a file of labelled requests says of one of them: a class, or one for each row; () for what is neither."""
    return _classes(value)


def _fields(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    outputs = document.get("outputs")
    if isinstance(outputs, list):  # of the Open Inference Protocol
        for output in outputs:
            yield output["name"], rows_of(output)
        return
    yield from ((name, value) for name, value in document.items() if name not in WHO)


def _classes(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    known = all(isinstance(each, int | str) and not isinstance(each, bool) for each in values)
    return tuple(map(str, values)) if known else ()


def _best_columns(value: Any) -> tuple[str, ...]:
    rows: Sequence[Any] = value if isinstance(value, list) else ()
    scored = rows and all(isinstance(row, list) and is_row_of_scores(row) for row in rows)
    return tuple(str(best_column(row)) for row in rows) if scored else ()


def _share(right: int, found: Accuracy) -> str:
    return format_percent(right / found.rows)
