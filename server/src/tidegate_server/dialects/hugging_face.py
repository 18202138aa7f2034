"""Hugging Face's inference API: `{"inputs": "..."}`, answered as the pipeline of the model's task answers. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tidegate_server.dialects.dialect import Call, Dialect, ServedModel, json_object, written
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.predictor import ParsedRequest
from tidegate_server.predict.text_encoder import Prediction
from tidegate_server.predict.text_predictor import ClassReader, TextPredictor
from tidegate_server.predict.token_classes import TokenReader
from tidegate_server.protocol.tensors import Outputs

_WANTED = '{"inputs": "..."}'
_OUTSIDE = "O"
"""What taggers call a token that is part of nothing; pipelines leave it out."""


def _read(body: bytes, _content_type: str, model: ServedModel) -> Call:
    document = json_object(body, _WANTED)
    predictor = model.predictor
    if "inputs" not in document:
        raise InvalidRequest(f"the body must be {_WANTED}")
    if not isinstance(predictor, TextPredictor):
        raise InvalidRequest("this model takes no texts; send tensors to /predict or /v2/models/NAME/infer")
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters must be an object")
    if parameters.get("function_to_apply") is not None:
        raise InvalidRequest("parameters.function_to_apply isn't offered: scores are as the model's own files say")
    if isinstance(predictor.reader, ClassReader):
        predictor = replace(predictor, reader=replace(predictor.reader, every=True))
    inputs, top = document["inputs"], _top(parameters.get("top_k"))
    is_list = isinstance(inputs, list)
    parsed = predictor.read_texts(inputs if is_list else [inputs], "inputs", model.signature, model.limits)
    return Call(parsed.requests, lambda outputs: _write(parsed, outputs, predictor, top, is_list))


def _top(given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 1):
        raise InvalidRequest("parameters.top_k must be a whole number from 1")
    return given


def _write(
    parsed: ParsedRequest, outputs: Sequence[Outputs], predictor: TextPredictor, top: int | None, is_list: bool
) -> bytes:
    rows = parsed.rows(outputs)
    if isinstance(predictor.reader, TokenReader):
        found = [[_entity(token) for token in row["tokens"] if token["label"] != _OUTSIDE] for row in rows]
        return written(found if is_list else found[0], outputs)
    return written([_answer(row, top) for row in rows], outputs)


def _answer(row: Prediction, top: int | None) -> Any:
    if "embedding" in row:
        return row["embedding"]
    if "outputs" in row:
        values = list(row["outputs"].values())
        return values[0] if len(values) == 1 else row["outputs"]
    return row["labels"][:top]


def _entity(token: Prediction) -> Prediction:
    return {"entity": token["label"], "word": token["token"], **{key: token[key] for key in ("score", "start", "end")}}


HUGGING_FACE = Dialect(_read)
