"""Text in, label and score out: the predictor of a model for text.

    {"text": "..."}            ->  {"label": "positive", "score": 0.987123, "positive": true, "model": ..., ...}
    {"texts": ["...", "..."]}  ->  {"predictions": [{"label": ...}, {"label": ...}], "model": ..., "revision": ...}

A bare string or list, and "inputs" in place of "text" and "texts", are understood as well. Token ids by the name of
the input go through as they are, and give tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tidegate_server.errors import InvalidRequest, ModelFailed
from tidegate_server.predict.classes import Classes, LabelledPredictor, Prediction, find_classes
from tidegate_server.predict.labels import Labels, binary_labels
from tidegate_server.predict.predictor import ParsedRequest, PlainPredictor
from tidegate_server.predict.text_encoder import EncodedTexts, TextBatch, TextEncoder
from tidegate_server.protocol.json_codec import dump_json, quoted
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensor_schemas import Schema, record
from tidegate_server.protocol.tensors import Outputs, json_ready

MAX_TEXTS = 256
MAX_TEXT_BYTES = 64 * 1024  # far more than a model reads, and little enough to be tokenized within milliseconds
MAX_REQUEST_BYTES = 1024 * 1024
MAX_LOOP_TEXT_BYTES = 2048  # one word of so many letters is cut into tokens within two milliseconds

_TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT_BYTES}
_TEXTS: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_TEXTS, "items": _TEXT}


_SCHEMAS: Sequence[Mapping[str, Any]] = (
    {"title": "a text", **record({"text": _TEXT})},
    {"title": "several texts", **record({"texts": _TEXTS})},
    {"title": "one or several, as inputs", **record({"inputs": {"anyOf": [_TEXT, _TEXTS]}})},
    {"title": "one or several, bare", "anyOf": [_TEXT, _TEXTS]},
)
_FORMS = 'give {"text": "..."}, or {"texts": ["...", "..."]} for several'


@dataclass(frozen=True)
class TextPredictor:
    """Texts in; a label and a score for each out."""

    body_schemas = _SCHEMAS
    max_loop_bytes = MAX_LOOP_TEXT_BYTES

    encoder: TextEncoder
    classes: Classes | None
    """None for a model that doesn't classify: its outputs are given as they are, a row for each text."""

    def read(self, document: Any, signature: Signature, limits: Limits) -> ParsedRequest:
        """Texts, or tensors as for any model. Raises InvalidRequest."""
        if _has_tensors(document):
            predictor = LabelledPredictor(self.classes) if self.classes else PlainPredictor()
            return predictor.read(document, signature, limits)
        texts, is_list = _texts(document)
        # Outputs that are shown as they are would show the padding too.
        encoded = self.encoder.encode(texts, pad=self.classes is not None)
        _check_elements(encoded.batches, limits)
        requested = tuple(map(RequestedOutput, self._outputs(signature)))
        requests = tuple(InferRequest(batch.arrays, requested) for batch in encoded.batches)
        return ParsedRequest(requests, partial(_write, self.classes, encoded, is_list))

    def example(self, signature: Signature) -> Any:
        """A body with one text."""
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
    default = binary_labels().names
    return find_classes(replace(labels, names=default), signature)


def _has_tensors(document: Any) -> bool:
    """Token ids, by name or nested to their shape, or rows of them: what /predict takes for any model."""
    value = document.get("inputs") if isinstance(document, dict) else document
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    by_name = isinstance(document, dict) and (isinstance(value, dict) or "rows" in document)
    return nested or by_name


def _texts(document: Any) -> tuple[list[str], bool]:
    """The texts, and whether they came as a list."""
    where, value = _field_and_value(document)
    if isinstance(value, str):
        _check_text(where, value)
        return [value], False
    if not isinstance(value, list):
        raise InvalidRequest(f"{where} must be a string or a list of strings; {_FORMS}")
    if not 1 <= len(value) <= MAX_TEXTS:
        raise InvalidRequest(f"{where} has {len(value)} texts; give 1 to {MAX_TEXTS} in one request")
    total = sum(_check_text(f"{where}[{position}]", text) for position, text in enumerate(value))
    if total > MAX_REQUEST_BYTES:
        raise InvalidRequest(f"{where} has {total} bytes of text; give at most {MAX_REQUEST_BYTES} in one request", 413)
    return value, True


def _field_and_value(document: Any) -> tuple[str, Any]:
    if not isinstance(document, dict):
        return "the body", document
    unknown = sorted(set(document) - {"text", "texts", "inputs"})
    if unknown:
        raise InvalidRequest(f"unknown field {quoted(unknown[0])}; {_FORMS}")
    if len(document) != 1:
        raise InvalidRequest(f"the body needs one of text, texts and inputs; {_FORMS}")
    ((field, value),) = document.items()
    if field == "text" and not isinstance(value, str):
        raise InvalidRequest(f"text must be a string; {_FORMS}")
    if field == "texts" and not isinstance(value, list):
        raise InvalidRequest(f"texts must be a list of strings; {_FORMS}")
    return field, value


def _check_text(where: str, text: Any) -> int:
    """Its size in bytes."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{where} must be a string; {_FORMS}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"{where} has half of a surrogate pair; it isn't text") from None
    if size > MAX_TEXT_BYTES:
        raise InvalidRequest(f"{where} has {size} bytes; give at most {MAX_TEXT_BYTES} in one text", 413)
    return size


def _check_elements(batches: Sequence[TextBatch], limits: Limits) -> None:
    elements = sum(array.size for batch in batches for array in batch.arrays.values())
    if elements > limits.max_elements:
        raise InvalidRequest(
            f"the texts make tensors of {elements} numbers; at most {limits.max_elements} are allowed in one request",
            413,
        )


def _write(
    classes: Classes | None, encoded: EncodedTexts, is_list: bool, model: str, revision: str, outputs: Sequence[Outputs]
) -> bytes:
    predictions: list[Prediction] = [{} for _ in encoded.truncated]
    for batch, value in zip(encoded.batches, outputs, strict=True):
        rows = classes.predictions(value) if classes else _output_rows(value)
        if len(rows) != batch.rows:
            raise ModelFailed(f"the model gave {len(rows)} rows for {batch.rows} texts")
        for position, row in zip(batch.positions, rows, strict=False):  # rows beyond the positions are padding
            predictions[position] = {**row, **({"truncated": True} if encoded.truncated[position] else {})}
    identity = {"model": model, "revision": revision}
    if is_list:
        return dump_json({"predictions": predictions, **identity})
    return dump_json({**predictions[0], **identity})


def _output_rows(outputs: Outputs) -> list[Prediction]:
    """Each text's row of every output."""
    rows = {array.shape[:1] for array in outputs.values()}
    if len(rows) != 1 or () in rows:
        raise ModelFailed("the model's outputs don't have a row for each text")
    ((count,),) = rows
    values = {name: json_ready(name, array) for name, array in outputs.items()}
    return [{"outputs": {name: array[row] for name, array in values.items()}} for row in range(count)]
