"""Text in, label and score out: the predictor of a model for text.

    {"text": "..."}            ->  {"label": "positive", "score": 0.987123, "positive": true, "model": ..., ...}
    {"texts": ["...", "..."]}  ->  {"predictions": [{"label": ...}, {"label": ...}], "model": ..., "revision": ...}

A bare string or list, and "inputs" in place of "text" and "texts", are understood as well. Token ids by the name of
the input go through as they are, and are answered with tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tidegate_server.errors import InvalidRequest, ModelFailed
from tidegate_server.predict.classes import Classes, LabelledPredictor, Prediction, find_classes
from tidegate_server.predict.cut import Cut, Cutter, Run
from tidegate_server.predict.labels import Labels, two_classes
from tidegate_server.predict.predictor import Asked, Outputs, PlainPredictor
from tidegate_server.protocol.document import dump_json, shown
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, WantedOutput
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import json_ready

MAX_TEXTS = 256
MAX_TEXT_BYTES = 64 * 1024  # far more than a model reads, and little enough to be cut into tokens within milliseconds
MAX_REQUEST_BYTES = 1024 * 1024
QUICK_TEXT_BYTES = 4096  # cut into tokens within two milliseconds

_ONE: Mapping[str, Any] = {"type": "string", "maxLength": MAX_TEXT_BYTES}
_SEVERAL: Mapping[str, Any] = {"type": "array", "minItems": 1, "maxItems": MAX_TEXTS, "items": _ONE}


def _field(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: schema}}


_SCHEMAS: Sequence[Mapping[str, Any]] = (
    {"title": "a text", **_field("text", _ONE)},
    {"title": "several texts", **_field("texts", _SEVERAL)},
    {"title": "one or several, as inputs", **_field("inputs", {"anyOf": [_ONE, _SEVERAL]})},
    {"title": "one or several, bare", "anyOf": [_ONE, _SEVERAL]},
)
_FORMS = 'give {"text": "..."}, or {"texts": ["...", "..."]} for several'


@dataclass(frozen=True)
class TextPredictor:
    cutter: Cutter
    classes: Classes | None
    """None for a model that doesn't classify: its outputs are given as they are, a row for each text."""

    @property
    def forms(self) -> Sequence[Mapping[str, Any]]:
        return _SCHEMAS

    @property
    def quick_bytes(self) -> int:
        return QUICK_TEXT_BYTES

    def read(self, document: Any, signature: Signature, limits: Limits) -> Asked:
        if _is_about_tensors(document):
            beside = LabelledPredictor(self.classes) if self.classes else PlainPredictor()
            return beside.read(document, signature, limits)
        texts, several = _texts(document)
        # Outputs that are shown as they are would show the padding too.
        cut = self.cutter.cut(texts, pad=self.classes is not None)
        _check_elements(cut.runs, limits)
        wanted = tuple(map(WantedOutput, self._outputs(signature)))
        requests = tuple(InferRequest(run.arrays, wanted) for run in cut.runs)
        return Asked(requests, partial(_write, self.classes, cut, several))

    def example(self, signature: Signature) -> Any:
        return {"text": "A quiet evening, good food and friendly people."}

    def _outputs(self, signature: Signature) -> Sequence[str]:
        return [self.classes.output] if self.classes else [spec.name for spec in signature.outputs]


def text_classes(labels: Labels, signature: Signature) -> Classes | None:
    """None when nobody named classes and no output looks like two of them. Raises ModelRefused."""
    if labels.names:
        return find_classes(labels, signature)
    pairs = [spec for spec in signature.outputs if spec.datatype.startswith("FP") and spec.shape[1:] == (2,)]
    if len(pairs) != 1 and labels.output is None:
        return None
    usual = two_classes().names
    return find_classes(replace(labels, names=usual), signature)


def _is_about_tensors(document: Any) -> bool:
    """Token ids, by name or nested to their shape, or rows of them: what /predict takes for any model."""
    given = document.get("inputs") if isinstance(document, dict) else document
    nested = isinstance(given, list) and bool(given) and isinstance(given[0], list)
    by_name = isinstance(document, dict) and (isinstance(given, dict) or "rows" in document)
    return nested or by_name


def _texts(document: Any) -> tuple[list[str], bool]:
    """The texts, and whether they came as a list."""
    place, given = _given(document)
    if isinstance(given, str):
        _check_text(place, given)
        return [given], False
    if not isinstance(given, list):
        raise InvalidRequest(f"{place} must be a string or a list of strings; {_FORMS}")
    if not 1 <= len(given) <= MAX_TEXTS:
        raise InvalidRequest(f"{place} has {len(given)} texts; give 1 to {MAX_TEXTS} in one request")
    total = sum(_check_text(f"{place}[{position}]", text) for position, text in enumerate(given))
    if total > MAX_REQUEST_BYTES:
        raise InvalidRequest(f"{place} has {total} bytes of text; give at most {MAX_REQUEST_BYTES} in one request", 413)
    return given, True


def _given(document: Any) -> tuple[str, Any]:
    if not isinstance(document, dict):
        return "the body", document
    unknown = sorted(set(document) - {"text", "texts", "inputs"})
    if unknown:
        raise InvalidRequest(f"unknown field {shown(unknown[0])}; {_FORMS}")
    if len(document) != 1:
        raise InvalidRequest(f"the body needs one of text, texts and inputs; {_FORMS}")
    ((field, given),) = document.items()
    if field == "text" and not isinstance(given, str):
        raise InvalidRequest(f"text must be a string; {_FORMS}")
    if field == "texts" and not isinstance(given, list):
        raise InvalidRequest(f"texts must be a list of strings; {_FORMS}")
    return field, given


def _check_text(place: str, text: Any) -> int:
    """Its size in bytes."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{place} must be a string; {_FORMS}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"{place} has half of a surrogate pair; it isn't text") from None
    if size > MAX_TEXT_BYTES:
        raise InvalidRequest(f"{place} has {size} bytes; give at most {MAX_TEXT_BYTES} in one text", 413)
    return size


def _check_elements(runs: Sequence[Run], limits: Limits) -> None:
    elements = sum(array.size for run in runs for array in run.arrays.values())
    if elements > limits.max_elements:
        raise InvalidRequest(
            f"the texts make tensors of {elements} numbers; at most {limits.max_elements} are allowed in one request",
            413,
        )


def _write(
    classes: Classes | None, cut: Cut, several: bool, model: str, revision: str, outputs: Sequence[Outputs]
) -> bytes:
    predictions: list[Prediction] = [{} for _ in cut.shortened]
    for run, given in zip(cut.runs, outputs, strict=True):
        rows = classes.predictions(given) if classes else _raw(given)
        if len(rows) != run.rows:
            raise ModelFailed(f"the model gave {len(rows)} rows for {run.rows} texts")
        for position, row in zip(run.positions, rows, strict=False):  # rows beyond the positions are filling
            predictions[position] = {**row, **({"truncated": True} if cut.shortened[position] else {})}
    identity = {"model": model, "revision": revision}
    if several:
        return dump_json({"predictions": predictions, **identity})
    return dump_json({**predictions[0], **identity})


def _raw(outputs: Outputs) -> list[Prediction]:
    """Each text's row of every output."""
    rows = {array.shape[:1] for array in outputs.values()}
    if len(rows) != 1 or () in rows:
        raise ModelFailed("the model's outputs don't have a row for each text")
    ((count,),) = rows
    values = {name: json_ready(name, array) for name, array in outputs.items()}
    return [{"outputs": {name: array[row] for name, array in values.items()}} for row in range(count)]
