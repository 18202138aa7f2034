"""From a model's numbers to a label and a score. Pure.

Which output holds the classes is decided once, from the signature, when the model is opened: a mistake in labels.json
or config.json keeps the server from starting and never shows up in a response.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import exp, isfinite
from typing import Any, Literal

import numpy as np

from tidegate_server.errors import ModelFailed, ModelRefused, NotFiniteOutput
from tidegate_server.predict.labels import LABELS_FILE, Labels, Scores
from tidegate_server.predict.package_files import unusable
from tidegate_server.predict.predictor import MAX_LOOP_BYTES, ParsedRequest, output_writer
from tidegate_server.predict.text_encoder import Prediction
from tidegate_server.protocol.json_codec import dump_json
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.predict_json import read_predict
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, Outputs, require_finite

SCORE_DECIMALS = 6
FEW_LABELS, FEW_SCORES = 16, 4096
"""Of an output with so many of them at most, Python reads the best label of a row sooner than numpy does."""
_MULTI_LABEL_THRESHOLD = 0.5  # a class that doesn't compete with the others is given from here on

Kind = Literal["scores", "one score", "position", "tokens"]
"""A number per class, one number for one or two classes, the number of the class itself, or scores for each token."""


@dataclass(frozen=True)
class Classes:
    """How to read the classes out of one output."""

    names: tuple[str, ...]
    positive: int | None
    output: str
    kind: Kind
    scores: Scores

    def predictions(self, outputs: Outputs) -> list[Prediction]:
        """One for each row. Raises NotFiniteOutput, and ModelFailed for an output that has another shape."""
        array = outputs[self.output]
        if self._has_few and array.shape[1:] == (len(self.names),) and array.size <= FEW_SCORES:
            return [self._best(row) for row in array.tolist()]
        if self.kind == "position":
            return [self._prediction(position) for position in self._positions(array)]
        return self.of_scores(self._scores(array))

    @cached_property
    def _has_few(self) -> bool:
        return self.kind == "scores" and self.scores in ("softmax", "none") and 2 <= len(self.names) <= FEW_LABELS

    def _best(self, row: list[float]) -> Prediction:
        """As `of_scores` says it of one row."""
        if not all(map(isfinite, row)):
            raise NotFiniteOutput(self.output)
        shares = _softmax_of_few(row) if self.scores == "softmax" else row
        score = max(shares)
        position = shares.index(score)
        return {"label": self.names[position], "score": _rounded(score), **self._positive_field(position)}

    def of_scores(self, scores: Array) -> list[Prediction]:
        """One for each row of scores, a column for each label."""
        if scores.shape[1] == 1:
            return [{**self._only_label, "score": _rounded(row[0])} for row in scores]
        if self.scores == "raw":
            return [{"scores": self._by_name(row)} for row in scores]
        if self.scores == "sigmoid" and self.kind != "one score":
            return [self._multi_label(row) for row in scores]
        best = scores.argmax(axis=1)
        return [
            {"label": self.names[position], "score": _rounded(row[position]), **self._positive_field(position)}
            for position, row in zip(best.tolist(), scores, strict=True)
        ]

    def ranked(self, outputs: Outputs) -> list[list[Prediction]]:
        """For each row every label with its score, the best first; one without a score where the model gives none."""
        if self.kind == "position":
            return [[{**prediction, "score": 1.0}] for prediction in self.predictions(outputs)]
        rows = self._scores(outputs[self.output])
        names = self.names or ("score",)
        return [
            [{"label": names[at], "score": _rounded(row[at])} for at in np.argsort(-row, kind="stable")] for row in rows
        ]

    @property
    def _only_label(self) -> Prediction:
        return {"label": self.names[0]} if self.names else {}

    def _by_name(self, row: Array) -> dict[str, float]:
        return dict(zip(self.names, map(_rounded, row), strict=True))

    def _prediction(self, position: int) -> Prediction:
        return {"label": self.names[position], **self._positive_field(position)}

    def _positive_field(self, position: int) -> Prediction:
        return {} if self.positive is None else {"positive": position == self.positive}

    def _multi_label(self, row: Array) -> Prediction:
        labels = [name for name, score in zip(self.names, row, strict=True) if score >= _MULTI_LABEL_THRESHOLD]
        return {"labels": labels, "scores": self._by_name(row)}

    def _positions(self, array: Array) -> list[int]:
        positions: list[int] = array.ravel().tolist()
        for position in positions:
            if not 0 <= position < len(self.names):
                raise ModelFailed(f"output {self.output} is class {position}, and there are {len(self.names)} labels")
        return positions

    def _scores(self, array: Array) -> Array:
        columns = max(1, len(self.names)) if self.kind == "scores" else 1
        fits = array.ndim <= 2 and array.size % columns == 0
        if not fits or (self.kind == "scores" and array.shape[-1:] != (columns,)):
            raise self.misfit(array)
        scores = self.probabilities(array.reshape(-1, columns))
        return np.hstack([1 - scores, scores]) if self.kind == "one score" and len(self.names) == 2 else scores

    def misfit(self, array: Array) -> ModelFailed:
        """The output has a shape that the signature didn't promise."""
        sentence = f"output {self.output} has shape {list(array.shape)}, and there are {len(self.names)} labels"
        return ModelFailed(sentence)

    def probabilities(self, rows: Array) -> Array:
        """As the labels want them, in float64. Raises NotFiniteOutput."""
        require_finite(self.output, rows)
        return _TO_PROBABILITIES[self.scores](rows.astype(np.float64))


def softmax(rows: Array) -> Array:
    """In each row, shares that add up to one; float64 in, float64 out, and no number is too large for it."""
    powers: Array = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _softmax_of_few(row: list[float]) -> list[float]:
    largest = max(row)
    powers = [exp(value - largest) for value in row]
    total = sum(powers)
    return [power / total for power in powers]


def sigmoid(values: Array) -> Array:
    """Between 0 and 1, without an overflow at either end."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small))


_TO_PROBABILITIES: dict[Scores, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda scores: scores,
    "raw": lambda scores: scores,
}


def find_classes(labels: Labels, signature: Signature) -> Classes:
    """Raises ModelRefused with a sentence about the labels' file when no output fits them, or more than one does."""
    spec, kind = _find_output(labels, signature)
    if labels.scores == "softmax" and (kind == "one score" or len(labels.names) == 1):
        raise unusable(labels.file, f'scores is "softmax", but output {spec.name} has one column; use "sigmoid"')
    if labels.scores == "raw" and kind == "one score" and len(labels.names) == 2:
        raise unusable(labels.file, f"2 labels for the one number of output {spec.name}; give one label, or none")
    scores = labels.scores or _default_scores(spec, kind, len(labels.names))
    return Classes(labels.names, labels.positive, spec.name, kind, scores)


def _default_scores(spec: TensorSpec, kind: Kind, count: int) -> Scores:
    # What exporters call "probabilities" has been through a softmax; a second one would flatten it.
    if "prob" in spec.name.lower():
        return "none"
    return "softmax" if kind != "one score" and count > 1 else "sigmoid"


def _find_output(labels: Labels, signature: Signature) -> tuple[TensorSpec, Kind]:
    specs = [spec for spec in signature.outputs if labels.output in (None, spec.name)]
    if not specs:
        names = ", ".join(spec.name for spec in signature.outputs)
        raise unusable(labels.file, f"output is {labels.output!r}, which the model hasn't; it has {names}")
    count = max(1, len(labels.names))  # a number that nobody has named is one column
    for fits, kind in _RULES:
        fitting = [spec for spec in specs if fits(spec, count)]
        if len(fitting) > 1:
            names = ", ".join(spec.name for spec in fitting)
            sentence = f'outputs {names} could all hold the classes; say which one as "output" in {LABELS_FILE}'
            raise unusable(labels.file, sentence)
        if fitting:
            return fitting[0], kind
    raise misfit(labels, specs)


def misfit(labels: Labels, specs: Sequence[TensorSpec]) -> ModelRefused:
    """None of these outputs has a column for each label."""
    shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
    count = max(1, len(labels.names))
    return unusable(labels.file, f"{count} labels fit no output of the model ({shapes}); give one label per column")


def _is_float(spec: TensorSpec) -> bool:
    return spec.datatype.startswith("FP")


def _is_column(spec: TensorSpec) -> bool:
    return len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1)


# In the order of how sure one can be. Scores before a position: they also say how sure the model is.
_RULES: tuple[tuple[Callable[[TensorSpec, int], bool], Kind], ...] = (
    (lambda spec, count: _is_float(spec) and len(spec.shape) in (1, 2) and spec.shape[-1] == count, "scores"),
    (lambda spec, _: _is_float(spec) and len(spec.shape) == 2 and spec.shape[-1] == -1, "scores"),
    (lambda spec, count: _is_float(spec) and count in (1, 2) and _is_column(spec), "one score"),
    (lambda spec, count: _is_float(spec) and len(spec.shape) == 3 and spec.shape[-1] in (count, -1), "tokens"),
    (lambda spec, _: spec.datatype in ("INT64", "INT32") and _is_column(spec), "position"),
    # Old exporters leave shapes out. If it's a single number after all, the answer to a request says so.
    (lambda spec, _: _is_float(spec) and spec.shape == (), "scores"),
)


@dataclass(frozen=True)
class LabelledPredictor:
    """Tensors in; tensors and a label for each row out: the predictor of a model that has labels and no tokenizer."""

    body_schemas = ()
    max_loop_bytes = MAX_LOOP_BYTES

    classes: Classes

    def read(self, document: Any, signature: Signature, limits: Limits) -> ParsedRequest:
        """One run. Raises InvalidRequest."""
        request = read_predict(document, signature, limits)
        write = output_writer(document, request, signature, limits)
        return ParsedRequest((request,), partial(self._write, write), self._rows)

    def example(self, signature: Signature) -> Any:
        """None: only the model's owner knows one."""
        return None

    def _rows(self, outputs: Sequence[Outputs]) -> list[Any]:
        (only,) = outputs
        return self.classes.predictions(only)

    def _write(
        self,
        write: Callable[[str, str, Sequence[Outputs]], bytes],
        model: str,
        revision: str,
        outputs: Sequence[Outputs],
    ) -> bytes:
        (only,) = outputs
        predictions = dump_json({"predictions": self.classes.predictions(only)})
        # Both are objects with at least one field: the labels come first, where a person sees them.
        return predictions[:-1] + b"," + write(model, revision, outputs)[1:]


def _rounded(score: Any) -> float:
    return round(float(score), SCORE_DECIMALS)
