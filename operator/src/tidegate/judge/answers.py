"""Whether two models' answers to one request are the same, within tolerances. Pure.

Known are answers of the Open Inference Protocol (tensors with names, types and shapes) and of /predict (labels, scores,
and tensors by name), and so any other JSON of names, numbers and text. What only says who answered isn't compared.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

OK = 200
WHO = frozenset({"id", "model", "model_name", "model_version", "revision"})
"""Fields of an answer that name the request or the server."""
LABELS = frozenset({"label", "labels"})
SCORES = frozenset({"score", "scores"})
FLOATING = ("FP", "BF")
"""How the datatypes begin whose numbers have a fraction."""


class Compare(StrEnum):
    """What has to be the same."""

    CLASSES = "classes"
    """The best class, text and whole numbers; how sure the model is doesn't matter."""
    VALUES = "values"
    """All of that, and every number within tolerances."""


class Kind(StrEnum):
    """In what two answers differ, the gravest first."""

    REFUSED = "refused"
    """The candidate doesn't answer what stable answers."""
    NAMES = "names"
    TYPE = "type"
    SHAPE = "shape"
    CLASS = "class"
    TEXT = "text"
    SCORE = "score"
    NUMBER = "number"


@dataclass(frozen=True)
class Reply:
    """What came back. `status` 0: nothing did."""

    status: int
    body: bytes = b""

    @property
    def is_answer(self) -> bool:
        """Whether there is something to compare."""
        return self.status == OK


@dataclass(frozen=True)
class Tolerances:
    """By how much a number may differ: `absolute`, or `relative` to the larger one, whichever is more."""

    compare: Compare = Compare.VALUES
    relative: float = 1e-3
    absolute: float = 1e-4
    scores: float = 0.01
    """The same of scores, which are between 0 and 1."""


def difference(stable: Reply, other: Reply, tolerances: Tolerances) -> Kind | None:
    """In what `other` differs from an answer of stable; the gravest kind, or None where they are the same."""
    if not other.is_answer:
        return Kind.REFUSED
    if stable.body == other.body:
        return None
    try:
        ours, theirs = orjson.loads(stable.body), orjson.loads(other.body)
    except ValueError:
        return Kind.TEXT
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        ours, theirs = _without_names(ours), _without_names(theirs)
    kinds = set(_Comparison(tolerances).differences("", ours, theirs))
    return next((kind for kind in Kind if kind in kinds), None)


def _without_names(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in answer.items() if name not in WHO}


@dataclass(frozen=True)
class _Comparison:
    tolerances: Tolerances

    def differences(self, name: str, stable: Any, other: Any) -> Iterator[Kind]:
        """Of two values of a field of that name."""
        if isinstance(stable, Mapping) and isinstance(other, Mapping):
            yield from self._of_objects(stable, other)
        elif isinstance(stable, list) and isinstance(other, list):
            yield from self._of_lists(name, stable, other)
        elif _is_number(stable) and _is_number(other):
            yield from self._of_numbers(name, stable, other)
        elif type(stable) is not type(other):
            yield Kind.TYPE
        elif stable != other:
            yield Kind.CLASS if name in LABELS else Kind.TEXT

    def _of_objects(self, stable: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Kind]:
        if stable.keys() != other.keys():
            yield Kind.NAMES
        elif _is_tensor(stable):
            yield from self._of_tensors(stable, other)
        else:
            for name in stable:
                yield from self.differences(name, stable[name], other[name])

    def _of_tensors(self, stable: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Kind]:
        if stable["name"] != other["name"]:
            yield Kind.NAMES
        elif stable["datatype"] != other["datatype"]:
            yield Kind.TYPE
        elif stable["shape"] != other["shape"]:
            yield Kind.SHAPE
        else:
            ours, theirs = rows_of(stable), rows_of(other)
            yield from self._of_lists("", ours, theirs)

    def _of_lists(self, name: str, stable: Sequence[Any], other: Sequence[Any]) -> Iterator[Kind]:
        if len(stable) != len(other):
            yield Kind.SHAPE
        elif self.tolerances.compare is Compare.CLASSES and is_row_of_scores(stable) and is_row_of_scores(other):
            if best_column(stable) != best_column(other):
                yield Kind.CLASS
        else:
            for ours, theirs in zip(stable, other, strict=True):
                yield from self.differences(name, ours, theirs)

    def _of_numbers(self, name: str, stable: float, other: float) -> Iterator[Kind]:
        tolerances = self.tolerances
        if isinstance(stable, int) and isinstance(other, int):  # a class, or a count
            if stable != other:
                yield Kind.CLASS
        elif tolerances.compare is Compare.CLASSES:
            return
        elif name in SCORES:
            if abs(stable - other) > tolerances.scores:
                yield Kind.SCORE
        elif not math.isclose(stable, other, rel_tol=tolerances.relative, abs_tol=tolerances.absolute):
            yield Kind.NUMBER


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tensor(value: Mapping[str, Any]) -> bool:
    return {"name", "datatype", "shape", "data"} <= value.keys()


def rows_of(tensor: Mapping[str, Any]) -> list[Any]:
    """Its data; of numbers with a fraction and two dimensions or more, cut into rows of the last one."""
    data = tensor["data"]
    if not str(tensor["datatype"]).startswith(FLOATING) or not isinstance(data, list):
        return data if isinstance(data, list) else [data]
    numbers = [float(each) if _is_number(each) else each for each in data]
    width = tensor["shape"][-1] if len(tensor["shape"]) > 1 else 0
    return [numbers[at : at + width] for at in range(0, len(numbers), width)] if width else numbers


def is_row_of_scores(values: Sequence[Any]) -> bool:
    """Whether they are numbers with a fraction, of several classes."""
    return len(values) > 1 and all(isinstance(value, float) for value in values)


def best_column(row: Sequence[float]) -> int:
    """The first of the largest."""
    return max(range(len(row)), key=row.__getitem__)
