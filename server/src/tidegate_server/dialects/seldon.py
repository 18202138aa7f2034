"""Seldon Core's first protocol: `{"data": {"ndarray": [[...]]}}` or a tensor, answered in the same form. Pure."""

from collections.abc import Sequence
from math import prod
from typing import Any

from tidegate_server.dialects.dialect import Call, Dialect, ServedModel, call_of, json_object, written
from tidegate_server.errors import InvalidRequest
from tidegate_server.predict.predictor import ParsedRequest
from tidegate_server.predict.text_predictor import TextPredictor
from tidegate_server.protocol.json_codec import dump_json
from tidegate_server.protocol.signature import Signature
from tidegate_server.protocol.tensors import Array, Outputs, json_ready

_WANTED = '{"data": {"ndarray": [[...]]}}, or "tensor" with "shape" and "values" in place of "ndarray"'


def _read(body: bytes, _content_type: str, model: ServedModel) -> Call:
    document = json_object(body, _WANTED)
    meta = {"requestPath": {model.name: model.revision}}
    if isinstance(model.predictor, TextPredictor):
        parsed = model.predictor.read_texts(_texts(document), "the texts", model.signature, model.limits)
        return call_of(parsed, lambda rows: {"jsonData": rows, "meta": meta})
    data = document.get("data")
    if not isinstance(data, dict) or ("ndarray" in data) == ("tensor" in data):
        raise InvalidRequest(f"the body must be {_WANTED}")
    values = data["ndarray"] if "ndarray" in data else _nested(data["tensor"])
    parsed = model.read({"inputs": values})
    return Call(parsed.requests, lambda outputs: _write(outputs, parsed, "tensor" in data, meta, model))


def _texts(document: dict[str, Any]) -> Any:
    data = document.get("data")
    if isinstance(document.get("strData"), str):
        return [document["strData"]]
    found = data.get("ndarray") if isinstance(data, dict) else document.get("jsonData")
    if isinstance(found, list) and all(isinstance(row, list) and len(row) == 1 for row in found):
        return [row[0] for row in found]
    return found


def _nested(tensor: Any) -> Any:
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    values = tensor.get("values") if isinstance(tensor, dict) else None
    if not isinstance(shape, list) or not isinstance(values, list) or not all(type(size) is int for size in shape):
        raise InvalidRequest('data.tensor must be {"shape": [...], "values": [...]}')
    if not shape or min(shape) < 1 or prod(shape) != len(values):
        raise InvalidRequest(f"data.tensor: shape {shape[:8]} doesn't fit {len(values)} values")
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


def _write(
    outputs: Sequence[Outputs], parsed: ParsedRequest, as_tensor: bool, meta: dict[str, Any], model: ServedModel
) -> bytes:
    (only,) = outputs
    name, array = _answer(only, model.signature)
    ready = json_ready(name, array)
    names = [f"t:{column}" for column in range(array.shape[1])] if array.ndim == 2 else []
    values = {"tensor": {"shape": array.shape, "values": ready.ravel()}} if as_tensor else {"ndarray": ready}
    return written({"data": {"names": names, **values}, "meta": meta}, outputs)


def _answer(outputs: Outputs, signature: Signature) -> tuple[str, Array]:
    """The protocol has one array: a model's scores for each class where it has some, else its first output."""
    scores = [
        spec.name for spec in signature.outputs if spec.datatype.startswith("FP") and outputs[spec.name].ndim == 2
    ]
    name = scores[0] if scores else signature.outputs[0].name
    return name, outputs[name]


def _write_error(status: int, sentence: str) -> bytes:
    return dump_json({"status": {"code": status, "info": sentence, "reason": "", "status": "FAILURE"}})


SELDON = Dialect(_read, _write_error)
