"""What a model predicts, counted: classes, the top score, and outputs that aren't numbers. Pure.

The rules, so that nobody has to guess:

* The class is the first INT64 output of shape (rows,) or (rows, 1); without one, the largest column of the scores.
* The scores are the first float output of shape (rows, columns) with two columns or more.
* A row of scores whose columns are all within 0..1 and add up to 1 is taken as it is; any other is put through softmax.
* Rows with NaN or infinity have no score, and no class by score; they are counted for themselves.
* An output with more than 10,000 elements a row is left alone: it's no classification, and reading it would cost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, Outputs

MAX_CLASSES = 100
DEFAULT_CLASSES = 10
OTHER = "other"
"""The label's value for whatever has no series of its own."""
MAX_ELEMENTS_PER_ROW = 10_000
MAX_CLASS_NAME = 64
SCORE_BOUNDS = tuple(round(0.05 * step, 2) for step in range(1, 21))
SUM_TOLERANCE = 1e-3
_SCORE_BOUNDS = np.array(SCORE_BOUNDS)
_FLOATS = frozenset({"FP16", "FP32", "FP64"})


@dataclass(frozen=True)
class PredictionPlan:
    """Which outputs are read, and as what. All class names that can ever be counted are in `classes`."""

    class_output: str | None = None
    score_output: str | None = None
    finite_outputs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    """By index; whatever is beyond is OTHER. Empty when the model has no class."""

    @property
    def counted_outputs(self) -> tuple[str, ...]:
        """Names of the outputs that are read."""
        names = (self.class_output, self.score_output, *self.finite_outputs)
        return tuple(dict.fromkeys(name for name in names if name is not None))


@dataclass(frozen=True)
class PredictionCounts:
    """What some rows of outputs held."""

    classes: tuple[int, ...]
    """As in the plan, and one more for OTHER."""
    scores: tuple[int, ...]
    """By bucket of SCORE_BOUNDS. No score is above the last bound."""
    score_total: float
    not_finite: int
    """Rows of an output with NaN or infinity in them."""

    def __add__(self, other: "PredictionCounts") -> "PredictionCounts":
        """Of the same plan."""
        return PredictionCounts(
            tuple([a + b for a, b in zip(self.classes, other.classes, strict=True)]),
            tuple([a + b for a, b in zip(self.scores, other.scores, strict=True)]),
            self.score_total + other.score_total,
            self.not_finite + other.not_finite,
        )


def prediction_plan(signature: Signature, labels: Sequence[str] = ()) -> PredictionPlan:
    """What can be counted of a model's outputs. `labels` are the classes' names, by index, where the model has some."""
    score_output = next((spec for spec in signature.outputs if _is_score(spec)), None)
    labels = labels or (score_output.classes if score_output else ())
    class_output = next(
        (spec for spec in signature.outputs if _is_class(spec) and _is_index(labels, score_output)), None
    )
    return PredictionPlan(
        class_output=class_output.name if class_output else None,
        score_output=score_output.name if score_output else None,
        finite_outputs=tuple(spec.name for spec in signature.outputs if spec.datatype in _FLOATS),
        classes=_classes(labels, score_output) if class_output or score_output else (),
    )


def _is_class(spec: TensorSpec) -> bool:
    return spec.datatype == "INT64" and (len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1))


def _is_index(labels: Sequence[str], score_output: TensorSpec | None) -> bool:
    """A class is given by its number among the columns, and not by a name that is a number, such as 3 of 3, 7 and 9."""
    named = score_output.classes if score_output else ()
    return not named or tuple(map(str, range(len(named)))) == named


def _is_score(spec: TensorSpec) -> bool:
    return spec.datatype in _FLOATS and len(spec.shape) == 2 and (spec.shape[1] == -1 or spec.shape[1] >= 2)


def _classes(labels: Sequence[str], score_output: TensorSpec | None) -> tuple[str, ...]:
    if labels:
        return tuple(str(label)[:MAX_CLASS_NAME] for label in labels[:MAX_CLASSES])
    columns = score_output.shape[1] if score_output else -1
    known = columns if columns > 0 else DEFAULT_CLASSES
    return tuple(str(index) for index in range(min(known, MAX_CLASSES)))


def count_predictions(plan: PredictionPlan, batches: Iterable[Outputs]) -> PredictionCounts:
    """Counts what some batches predicted; outputs that no request wanted are missing from a batch."""
    classes = np.zeros(len(plan.classes) + 1, dtype=np.int64)
    scores = np.zeros(len(SCORE_BOUNDS), dtype=np.int64)
    score_total, not_finite = 0.0, 0
    for outputs in _concatenated(plan, batches):
        finite = {name: _finite_rows(outputs[name]) for name in plan.finite_outputs if name in outputs}
        not_finite += sum(int(rows.size - np.count_nonzero(rows)) for rows in finite.values())
        top, columns = _top_scores(plan, outputs, finite)
        found = _class_of(plan, outputs, columns)
        if found is not None:
            inside = (found >= 0) & (found < len(plan.classes))
            classes += np.bincount(np.where(inside, found, len(plan.classes)), minlength=len(classes))
        if top is not None:
            scores += np.bincount(np.searchsorted(_SCORE_BOUNDS, top), minlength=len(scores))
            score_total += float(top.sum())
    return PredictionCounts(tuple(classes.tolist()), tuple(scores.tolist()), score_total, not_finite)


def _concatenated(plan: PredictionPlan, batches: Iterable[Outputs]) -> Iterable[dict[str, Array]]:
    """Batches of one shape become one: a hundred rows cost hardly more than one."""
    alike: dict[tuple[Any, ...], list[dict[str, Array]]] = {}
    for batch in batches:
        read = {name: batch[name] for name in plan.counted_outputs if name in batch and _is_small(batch[name])}
        key = tuple((name, array.dtype.char, array.shape[1:]) for name, array in read.items())
        alike.setdefault(key, []).append(read)
    for group in alike.values():
        yield {name: np.concatenate([batch[name] for batch in group]) for name in group[0]}


def _is_small(array: Array) -> bool:
    return array.ndim > 0 and array.size <= MAX_ELEMENTS_PER_ROW * len(array)


def _finite_rows(array: Array) -> Array:
    """Extremes are enough: NaN and infinity come through them, without an array of booleans in between."""
    if not array.size:
        return np.ones(len(array), dtype=np.bool_)
    columns = tuple(range(1, array.ndim))
    return np.asarray(np.isfinite(array.max(axis=columns)) & np.isfinite(array.min(axis=columns)))


def _top_scores(
    plan: PredictionPlan, outputs: Outputs, finite: Mapping[str, Array]
) -> tuple[Array | None, Array | None]:
    """The top score and its column, of finite rows only."""
    array = outputs.get(plan.score_output) if plan.score_output else None
    if array is None or array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] < 2:
        return None, None
    good = finite[plan.score_output or ""]
    rows = array if good.all() else array[good]
    if rows.dtype == np.float16:
        rows = rows.astype(np.float32)
    return np.minimum(_shares(rows, rows.max(axis=1)), 1.0), rows.argmax(axis=1)


def _shares(rows: Array, largest: Array) -> Array:
    """The largest column's share of each row."""
    with np.errstate(over="ignore"):  # sums and differences of the largest floats there are
        are_shares = (np.abs(rows.sum(axis=1) - 1) <= SUM_TOLERANCE) & (rows.min(axis=1) >= 0)
        if are_shares.all():
            return largest
        others = ~are_shares
        logits = rows if others.all() else rows[others]
        shares = largest.copy()
        shares[others] = 1 / np.exp(logits - largest[others, None]).sum(axis=1)
    return shares


def _class_of(plan: PredictionPlan, outputs: Outputs, columns: Array | None) -> Array | None:
    if plan.class_output is None:
        return columns
    array = outputs.get(plan.class_output)
    if array is None or array.dtype.kind != "i" or array.size != len(array):
        return None
    return array.reshape(-1)
