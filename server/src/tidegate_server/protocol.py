"""The two ways to ask: a plain /predict and the Open Inference Protocol v2, against a model's signature. Pure.

Any JSON value gives a request or an InvalidRequest; any outputs give an answer or NotFiniteOutput. Nothing else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.signature import Signature, TensorSpec
from tidegate_server.tensors import Array, array_from_flat_json, array_from_json, json_from_array

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    arrays: dict[str, Array]
    outputs: tuple[str, ...]
    """Names of the wanted outputs, in the wanted order."""
    id: str | None = None


def parse_json(body: bytes) -> Any:
    """Raises InvalidRequest. NaN and Infinity pass here: the input that holds them is named later."""
    try:
        return json.loads(body)
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except ValueError as error:  # not JSON, not UTF-8, or a number with thousands of digits
        detail = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequest(f"the body isn't valid JSON{detail}") from None


def read_plain(document: Any, signature: Signature) -> Request:
    """`{"inputs": {...}}` by name, or for a model with one input `{"inputs": [...]}` or the bare list."""
    data = _plain_data(document)
    every_output = tuple(spec.name for spec in signature.outputs)
    if isinstance(data, dict):
        given = {name: array_from_json(_known(name, signature), values) for name, values in data.items()}
        return Request(_complete(given, signature), every_output)
    if len(signature.inputs) != 1:
        raise InvalidRequest(f'the model has several inputs: give {{"inputs": {{...}}}} with {_names(signature)}')
    (only,) = signature.inputs
    return Request({only.name: array_from_json(only, data)}, every_output)


def _plain_data(document: Any) -> Any:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or "inputs" not in document:
        raise InvalidRequest('the body must be {"inputs": ...}')
    unknown = sorted(set(document) - {"inputs"})
    if unknown:
        raise InvalidRequest(f'unknown field {unknown[0]!r}; the body must be {{"inputs": ...}}')
    return document["inputs"]


def read_infer(document: Any, signature: Signature) -> Request:
    """The protocol's inference request. Unknown fields and parameters are ignored, as the protocol allows."""
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise InvalidRequest('the body must be an object with a list "inputs"')
    identifier = document.get("id")
    if not isinstance(identifier, str | None):
        raise InvalidRequest('"id" must be a string')
    given: dict[str, Array] = {}
    for position, item in enumerate(document["inputs"]):
        name, array = _tensor(item, f"inputs[{position}]", signature)
        if name in given:
            raise InvalidRequest(f"input {name} is given twice")
        given[name] = array
    return Request(_complete(given, signature), _wanted(document.get("outputs"), signature), identifier)


def _tensor(item: Any, place: str, signature: Signature) -> tuple[str, Array]:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise InvalidRequest(f'{place} must be an object with a "name"')
    spec = _known(item["name"], signature)
    if "data" not in item:
        raise InvalidRequest(f'input {spec.name}: "data" is missing')
    if item.get("datatype") != spec.datatype:
        raise InvalidRequest(f"input {spec.name}: the datatype must be {spec.datatype}")
    shape = item.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise InvalidRequest(f'input {spec.name}: "shape" must be a list of sizes')
    return spec.name, array_from_flat_json(spec, shape, item["data"])


def _wanted(outputs: Any, signature: Signature) -> tuple[str, ...]:
    known = [spec.name for spec in signature.outputs]
    if outputs is None or outputs == []:
        return tuple(known)
    if not isinstance(outputs, list):
        raise InvalidRequest('"outputs" must be a list')
    wanted = []
    for position, item in enumerate(outputs):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise InvalidRequest(f'outputs[{position}] must be an object with a "name"')
        if name not in known:
            raise InvalidRequest(f"the model has no output {name!r}; it has {', '.join(known)}")
        wanted.append(name)
    if len(set(wanted)) != len(wanted):
        raise InvalidRequest('"outputs" names an output twice')
    return tuple(wanted)


def _known(name: str, signature: Signature) -> TensorSpec:
    spec = signature.input(name)
    if spec is None:
        raise InvalidRequest(f"the model has no input {name!r}; it has {_names(signature)}")
    return spec


def _complete(given: dict[str, Array], signature: Signature) -> dict[str, Array]:
    missing = [spec.name for spec in signature.inputs if spec.name not in given]
    if missing:
        raise InvalidRequest(f"input {missing[0]} is missing")
    return given


def _names(signature: Signature) -> str:
    return ", ".join(spec.name for spec in signature.inputs) or "none"


def plain_answer(model: str, revision: str, outputs: Mapping[str, Array]) -> Json:
    """Raises NotFiniteOutput."""
    nested = {name: json_from_array(name, array, flat=False) for name, array in outputs.items()}
    return {"model": model, "revision": revision, "outputs": nested}


def infer_answer(
    model: str, revision: str, request: Request, outputs: Mapping[str, Array], specs: Sequence[TensorSpec]
) -> Json:
    """The protocol's inference response, with flat row-major data. Raises NotFiniteOutput."""
    datatypes = {spec.name: spec.datatype for spec in specs}
    tensors = [
        {
            "name": name,
            "datatype": datatypes[name],
            "shape": list(outputs[name].shape),
            "data": json_from_array(name, outputs[name], flat=True),
        }
        for name in request.outputs
    ]
    named = {} if request.id is None else {"id": request.id}
    return {"model_name": model, "model_version": revision, **named, "outputs": tensors}


def server_metadata(version: str) -> Json:
    return {"name": "tidegate-server", "version": version, "extensions": []}


def model_metadata(model: str, revision: str, signature: Signature) -> Json:
    return {
        "name": model,
        "versions": [revision],
        "platform": "onnxruntime_onnx",
        "inputs": [spec.as_json() for spec in signature.inputs],
        "outputs": [spec.as_json() for spec in signature.outputs],
    }
