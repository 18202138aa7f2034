"""Text in, label and score out: the predictor of a model for text.

    {"text": "..."}            ->  {"label": "positive", "score": 0.987123, "positive": true, "model": ..., ...}
    {"texts": ["...", "..."]}  ->  {"predictions": [{"label": ...}, {"label": ...}], "model": ..., "revision": ...}

A bare string or list, and "inputs" in place of "text" and "texts", are understood as well, and a second text beside
each one as "text_pair". Token ids by the name of the input go through as they are, and give tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tidegate_server.errors import InvalidRequest, ModelFailed
from tidegate_server.predict.classes import Classes, LabelledPredictor
from tidegate_server.predict.predictor import ParsedRequest, PlainPredictor
from tidegate_server.predict.text_encoder import EncodedTexts, Prediction, Text, TextBatch, TextEncoder, TextReader
from tidegate_server.protocol.json_codec import dump_json, quoted
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, all_outputs
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensor_schemas import Schema, record
from tidegate_server.protocol.tensors import Outputs, json_ready

MAX_TEXTS = 256
MAX_TEXT_BYTES = 64 * 1024  # far more than a model reads, and little enough to be tokenized within milliseconds
MAX_REQUEST_BYTES = 1024 * 1024
MAX_LOOP_TEXT_BYTES = 2048  # one word of so many letters is cut into tokens within two milliseconds

PROBE_TEXTS = (
    "good",
    "It broke after two days.",
    "Where can I change my address, and how long does it take?",
    "The acting is fine, but the story is slow and the end makes no sense at all.",
    "Guten Tag, ich habe eine Frage zu meiner Bestellung vom 3. Mai: Sie ist noch nicht da!",
    " ".join(["We came late, sat by the window, and had fish with lemon, bread and a very good soup."] * 3),
)
"""Of different lengths and meanings: whether a row's answer depends on others is tried with them."""

_TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT_BYTES}
_TEXTS: Schema = {"type": "array", "minItems": 1, "maxItems": MAX_TEXTS, "items": _TEXT}


_PAIR: Schema = record({"text": _TEXT, "text_pair": _TEXT})

_SCHEMAS: Sequence[Mapping[str, Any]] = (
    {"title": "a text", **record({"text": _TEXT})},
    {"title": "several texts", **record({"texts": _TEXTS})},
    {"title": "a text and what it is compared with", **_PAIR},
    {"title": "one or several, as inputs", **record({"inputs": {"anyOf": [_TEXT, _TEXTS]}})},
    {"title": "one or several, bare", "anyOf": [_TEXT, _TEXTS]},
)
_FORMS = 'give {"text": "..."}, or {"texts": ["...", "..."]} for several'


@dataclass(frozen=True)
class OutputReader:
    """Each text's row of every output: for a model of which nobody has said what its numbers mean."""

    pads = False

    def outputs(self, signature: Signature) -> Sequence[str]:
        """All of them."""
        return signature.output_names

    def predictions(self, outputs: Outputs, batch: TextBatch, texts: EncodedTexts) -> list[Prediction]:
        """`outputs` of each text."""
        rows = {array.shape[:1] for array in outputs.values()}
        if len(rows) != 1 or () in rows:
            raise ModelFailed("the model's outputs don't have a row for each text")
        ((count,),) = rows
        _require_rows(count, batch)
        values = {name: json_ready(name, array) for name, array in outputs.items()}
        return [{"outputs": {name: array[row] for name, array in values.items()}} for row in range(count)]


@dataclass(frozen=True)
class ClassReader:
    """A label and a score of each text; or every label with its score, the best first, as `labels`."""

    classes: Classes
    every: bool = False
    pads = True

    def outputs(self, signature: Signature) -> Sequence[str]:
        """The scores alone."""
        return [self.classes.output]

    def predictions(self, outputs: Outputs, batch: TextBatch, texts: EncodedTexts) -> list[Prediction]:
        """As the classes give them."""
        if self.every:
            predictions = [{"labels": labels} for labels in self.classes.ranked(outputs)]
        else:
            predictions = self.classes.predictions(outputs)
        _require_rows(len(predictions), batch)
        return predictions


def _require_rows(count: int, batch: TextBatch) -> None:
    if count != batch.rows:
        raise ModelFailed(f"the model gave {count} rows for {batch.rows} texts")


@dataclass(frozen=True)
class TextPredictor:
    """Texts in; for each one what `reader` makes of the outputs out."""

    body_schemas = _SCHEMAS
    max_loop_bytes = MAX_LOOP_TEXT_BYTES

    encoder: TextEncoder
    reader: TextReader
    prompt: str = ""
    """Goes before every text."""

    @property
    def classes(self) -> Classes | None:
        """None for a model that doesn't classify whole texts."""
        return self.reader.classes if isinstance(self.reader, ClassReader) else None

    def read(self, document: Any, signature: Signature, limits: Limits) -> ParsedRequest:
        """Texts, or tensors as for any model. Raises InvalidRequest."""
        if type(document) is dict and len(document) == 1 and type(document.get("text")) is str:
            # By far the most bodies: this is their path.
            _check_text("text", document["text"])
            return self._parsed([document["text"]], False, signature, limits)
        if _has_tensors(document):
            predictor = LabelledPredictor(self.classes) if self.classes else PlainPredictor()
            return predictor.read(document, signature, limits)
        texts, is_list = _texts(document)
        return self._parsed(texts, is_list, signature, limits)

    def read_texts(self, texts: Any, where: str, signature: Signature, limits: Limits) -> ParsedRequest:
        """A list of texts, which a client calls `where`; each may be {"text", "text_pair"}. Raises InvalidRequest."""
        if not isinstance(texts, list):
            raise InvalidRequest(f"{where} must be a list of strings")
        return self._parsed(_checked(where, texts), True, signature, limits)

    def _parsed(self, texts: Sequence[Text], is_list: bool, signature: Signature, limits: Limits) -> ParsedRequest:
        if self.prompt:
            texts = [_with_prompt(self.prompt, text) for text in texts]
        encoded = self.encoder.encode(texts, pad=self.reader.pads)
        _check_elements(encoded.batches, limits)
        requested = all_outputs(tuple(self.reader.outputs(signature)))
        requests = tuple(
            [InferRequest(batch.arrays, requested, is_derived=True, padding=batch.padding) for batch in encoded.batches]
        )
        rows = partial(_predictions, self.reader, encoded)
        return ParsedRequest(requests, partial(_write, rows, is_list), rows, encoded.count_tokens)

    def example(self, signature: Signature) -> Any:
        """A body with one text."""
        return {"text": "A quiet evening, good food and friendly people."}


def _with_prompt(prompt: str, text: Text) -> Text:
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])


def _has_tensors(document: Any) -> bool:
    """Token ids, by name or nested to their shape, or rows of them: what /predict takes for any model."""
    value = document.get("inputs") if isinstance(document, dict) else document
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    by_name = isinstance(document, dict) and (isinstance(value, dict) or "rows" in document)
    return nested or (by_name and not _is_pair(value))


def _is_pair(value: Any) -> bool:
    """{"text": "...", "text_pair": "..."}, which pipelines take; an input of such a name has a list."""
    return isinstance(value, dict) and isinstance(value.get("text"), str) and set(value) <= {"text", "text_pair"}


def _texts(document: Any) -> tuple[Sequence[Text], bool]:
    """The texts, and whether they came as a list."""
    where, value = _field_and_value(document)
    if isinstance(value, str) or _is_pair(value):
        return [_checked_text(where, value)], False
    if not isinstance(value, list):
        raise InvalidRequest(f"{where} must be a string or a list of strings; {_FORMS}")
    return _checked(where, value), True


def _checked(where: str, value: list[Any]) -> Sequence[Text]:
    if not 1 <= len(value) <= MAX_TEXTS:
        raise InvalidRequest(f"{where} has {len(value)} texts; give 1 to {MAX_TEXTS} in one request")
    texts = [_checked_text(f"{where}[{position}]", text) for position, text in enumerate(value)]
    total = sum(
        len(text.encode()) if isinstance(text, str) else sum(len(one.encode()) for one in text) for text in texts
    )
    if total > MAX_REQUEST_BYTES:
        raise InvalidRequest(f"{where} has {total} bytes of text; give at most {MAX_REQUEST_BYTES} in one request", 413)
    return texts


def _field_and_value(document: Any) -> tuple[str, Any]:
    if not isinstance(document, dict):
        return "the body", document
    unknown = sorted(set(document) - {"text", "texts", "inputs", "text_pair", "text_pairs"})
    if unknown:
        raise InvalidRequest(f"unknown field {quoted(unknown[0])}; {_FORMS}")
    for one, pair in (("text", "text_pair"), ("texts", "text_pairs")):
        if pair in document:
            return one, _paired(document, one, pair)
    if len(document) != 1:
        raise InvalidRequest(f"the body needs one of text, texts and inputs; {_FORMS}")
    ((field, value),) = document.items()
    if field == "text" and not isinstance(value, str):
        raise InvalidRequest(f"text must be a string; {_FORMS}")
    if field == "texts" and not isinstance(value, list):
        raise InvalidRequest(f"texts must be a list of strings; {_FORMS}")
    return field, value


def _paired(document: Mapping[str, Any], one: str, pair: str) -> Any:
    """Texts each with the one beside it."""
    first, second = document.get(one), document[pair]
    if set(document) != {one, pair}:
        raise InvalidRequest(f"{pair} goes with {one} and nothing else")
    if one == "text":
        return {"text": first, "text_pair": second}
    if not isinstance(first, list) or not isinstance(second, list) or len(first) != len(second):
        raise InvalidRequest("texts and text_pairs must be lists of one length")
    return [{"text": text, "text_pair": other} for text, other in zip(first, second, strict=True)]


def _checked_text(where: str, value: Any) -> Text:
    if not isinstance(value, dict):
        _check_text(where, value)
        return str(value)
    if "text" not in value or set(value) - {"text", "text_pair"}:
        raise InvalidRequest(f'{where} must be a string, or {{"text": "...", "text_pair": "..."}}')
    _check_text(f"{where}.text", value["text"])
    if "text_pair" not in value:
        return str(value["text"])
    _check_text(f"{where}.text_pair", value["text_pair"])
    return value["text"], value["text_pair"]


def _check_text(where: str, text: Any) -> None:
    if not isinstance(text, str):
        raise InvalidRequest(f"{where} must be a string; {_FORMS}")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"{where} has half of a surrogate pair; it isn't text") from None
    if size > MAX_TEXT_BYTES:
        raise InvalidRequest(f"{where} has {size} bytes; give at most {MAX_TEXT_BYTES} in one text", 413)


def _check_elements(batches: Sequence[TextBatch], limits: Limits) -> None:
    elements = sum([array.size for batch in batches for array in batch.arrays.values()])
    if elements > limits.max_elements:
        raise InvalidRequest(
            f"the texts make tensors of {elements} numbers; at most {limits.max_elements} are allowed in one request",
            413,
        )


def _predictions(reader: TextReader, encoded: EncodedTexts, outputs: Sequence[Outputs]) -> list[Prediction]:
    """In the order of the texts."""
    if len(encoded.truncated) == 1:
        row = reader.predictions(outputs[0], encoded.batches[0], encoded)[0]
        return [{**row, "truncated": True} if encoded.truncated[0] else row]
    predictions: list[Prediction] = [{} for _ in encoded.truncated]
    for batch, value in zip(encoded.batches, outputs, strict=True):
        rows = reader.predictions(value, batch, encoded)
        for position, row in zip(batch.positions, rows, strict=False):  # rows beyond the positions are padding
            predictions[position] = {**row, "truncated": True} if encoded.truncated[position] else row
    return predictions


def _write(
    rows: Callable[[Sequence[Outputs]], list[Prediction]],
    is_list: bool,
    model: str,
    revision: str,
    outputs: Sequence[Outputs],
) -> bytes:
    predictions = rows(outputs)
    if is_list:
        return dump_json({"predictions": predictions, "model": model, "revision": revision})
    return dump_json({**predictions[0], "model": model, "revision": revision})
