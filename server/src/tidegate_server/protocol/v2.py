"""The Open Inference Protocol, version 2, over REST: bytes to requests, outputs to bytes, and the metadata. Pure.

Any bytes give a request or an InvalidRequest whose sentence names the tensor; any outputs give a response,
NotFiniteOutput or, for text that JSON can't carry, InvalidRequest. Nothing else.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.binary import array_from_bytes, bytes_from_array, element_bytes, text_from_bytes
from tidegate_server.protocol.classification import requested_array
from tidegate_server.protocol.json_codec import dump_json, parse_json
from tidegate_server.protocol.limits import Limits, NotFinite
from tidegate_server.protocol.parameters import flag, parameters_of, requested_outputs, timeout_seconds
from tidegate_server.protocol.request import InferRequest, all_outputs, known_input, require_all_inputs
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import (
    Array,
    Outputs,
    array_from_flat_json,
    check_shape,
    string_array,
    text_values,
    too_many_elements,
    with_not_finite,
)

Json = dict[str, Any]

EXTENSIONS = ("binary_tensor_data", "classification", "statistics")
"""What is offered whole. "schedule_policy" isn't: `timeout` counts, `priority` doesn't."""

# The protocol lists it for ONNX; no client of ours or of others decides anything by Triton's "onnxruntime_onnx".
PLATFORM = "onnx_onnxv1"

READY = "READY"
"""Of a model in the repository index."""

_SERVER = "tidegate-server"
LENGTH_HEADER = "Inference-Header-Content-Length"


class EncodedResponse(NamedTuple):
    """`json_bytes` is None for a response of JSON alone; else the bytes of tensors follow so many bytes of JSON."""

    body: bytes
    json_bytes: int | None


# --- reading


def read_infer(body: bytes, json_bytes: int | None, signature: Signature, limits: Limits) -> InferRequest:
    """A request from its body. `json_bytes` is the header Inference-Header-Content-Length. Raises InvalidRequest.

    Unknown fields and parameters are ignored, as the protocol allows. Some clients say "id": null for no id.
    """
    if json_bytes == 0:
        return _read_raw(body, signature, limits)
    binary_data = None if json_bytes is None else _BinaryData(body, json_bytes)
    document = parse_json(body if json_bytes is None else memoryview(body)[:json_bytes])
    if type(document) is not dict:
        raise InvalidRequest('the body must be an object with a list "inputs"')
    arrays = _arrays(document.get("inputs"), signature, limits, binary_data)
    if binary_data is not None and binary_data.at != len(body):
        sentence = f"{len(body) - binary_data.at} bytes are left after the last binary input; check binary_data_size"
        raise InvalidRequest(sentence)
    identifier = document.get("id")
    if identifier is not None and type(identifier) is not str:
        raise InvalidRequest('"id" must be a string')
    parameters = parameters_of(document, "the request")
    requested = requested_outputs(
        document.get("outputs"), flag(parameters, "binary_data_output", False, "the request"), signature
    )
    return InferRequest(arrays, requested, identifier, timeout_seconds(parameters.get("timeout")))


class _BinaryData:
    """The bytes after the JSON, taken from the front."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, json_bytes: int) -> None:
        if not 0 <= json_bytes <= len(body):
            raise InvalidRequest(f"{LENGTH_HEADER} is {json_bytes}, but the body has {len(body)} bytes")
        self.body, self.at = body, json_bytes

    def take(self, spec: TensorSpec, size: int) -> int:
        begin, left = self.at, len(self.body) - self.at
        if size > left:
            raise InvalidRequest(f"input {spec.name}: binary_data_size is {size}, but {left} bytes are left")
        self.at += size
        return begin


def _arrays(items: Any, signature: Signature, limits: Limits, binary_data: _BinaryData | None) -> dict[str, Array]:
    if type(items) is not list:
        raise InvalidRequest('the body must be an object with a list "inputs"')
    arrays: dict[str, Array] = {}
    elements = 0
    for position, item in enumerate(items):
        spec = _input(item, position, signature)
        if spec.name in arrays:
            raise InvalidRequest(f"input {spec.name} is given twice")
        array = arrays[spec.name] = _array(spec, item, limits, binary_data)
        elements += array.size
    if elements > limits.max_elements:
        raise too_many_elements("the inputs together have", limits)
    return require_all_inputs(arrays, signature)


def _input(item: Any, position: int, signature: Signature) -> TensorSpec:
    name = item.get("name") if type(item) is dict else None
    if type(name) is not str:
        raise InvalidRequest(f'inputs[{position}] must be an object with a "name"')
    return known_input(name, signature)


def _array(spec: TensorSpec, item: Json, limits: Limits, binary_data: _BinaryData | None) -> Array:
    if item.get("datatype") != spec.datatype:
        raise InvalidRequest(f"input {spec.name}: the datatype must be {spec.datatype}")
    shape = item.get("shape")
    if type(shape) is not list or set(map(type, shape)) - {int} or (shape and min(shape) < 0):
        raise InvalidRequest(f'input {spec.name}: "shape" must be a list of sizes')
    parameters = parameters_of(item, f"input {spec.name}")
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in item:
            raise InvalidRequest(f'input {spec.name}: "data" is missing')
        return array_from_flat_json(spec, shape, item["data"], limits)
    if "data" in item:
        raise InvalidRequest(f"input {spec.name}: has both data and binary_data_size; give one of them")
    return _binary_array(spec, shape, size, limits, binary_data)


def _binary_array(
    spec: TensorSpec, shape: list[int], size: Any, limits: Limits, binary_data: _BinaryData | None
) -> Array:
    if type(size) is not int or size < 0:
        raise InvalidRequest(f"input {spec.name}: binary_data_size must be a number of bytes")
    if binary_data is None:
        raise InvalidRequest(f"input {spec.name}: binary data needs the header {LENGTH_HEADER}")
    check_shape(spec, shape, limits)
    return array_from_bytes(spec, shape, binary_data.body, binary_data.take(spec, size), size)


def _read_raw(body: bytes, signature: Signature, limits: Limits) -> InferRequest:
    """The body is the values of the only input and nothing else; every output is wanted as bytes."""
    if len(signature.required_inputs) != 1:
        raise InvalidRequest(f"{LENGTH_HEADER} 0 is for models with one input, this one has {len(signature.inputs)}")
    (spec,) = signature.required_inputs
    shape = _raw_shape(spec, len(body))
    check_shape(spec, shape, limits)
    if spec.datatype == "BYTES":
        array = string_array([text_from_bytes(spec, body)], shape)
    else:
        array = array_from_bytes(spec, shape, body)
    return InferRequest({spec.name: array}, all_outputs(signature.output_names, binary=True))


def _raw_shape(spec: TensorSpec, size: int) -> list[int]:
    """The model's, with its one variable dimension taken from the number of bytes."""
    if spec.datatype == "BYTES":
        if any(expected not in (-1, 1) for expected in spec.shape):
            sentence = f"input {spec.name}: {LENGTH_HEADER} 0 is one value, but the model's shape is {list(spec.shape)}"
            raise InvalidRequest(sentence)
        return [1] * len(spec.shape)
    if spec.shape.count(-1) > 1:
        raise InvalidRequest(
            f"input {spec.name}: {LENGTH_HEADER} 0 can't say a shape with several variable dimensions; send JSON first"
        )
    step = element_bytes(spec) * prod(expected for expected in spec.shape if expected != -1)
    if size == 0 or step == 0 or size % step:
        raise InvalidRequest(f"input {spec.name}: {spec.datatype} of shape {list(spec.shape)} can't be {size} bytes")
    count = size // step
    if not spec.shape and count > 1:  # no shape at all can be any; a plain list is the likeliest
        return [count]
    return [count if expected == -1 else expected for expected in spec.shape]


# --- writing


def write_infer(
    model: str,
    version: str,
    request: InferRequest,
    outputs: Outputs,
    signature: Signature,
    labels: Sequence[str] = (),
    not_finite: NotFinite = "Auto",
) -> EncodedResponse:
    """The requested outputs, flat and row-major, in the requested order.

    Raises NotFiniteOutput for a NaN or an infinity that may not go out as JSON.
    """
    tensors = []
    binaries: list[bytes | memoryview] = []
    for output in request.outputs:
        datatype, array = requested_array(output, outputs[output.name], signature, labels)
        tensor: Json = {"name": output.name, "datatype": datatype, "shape": array.shape}
        if output.binary:
            binaries.append(bytes_from_array(array, datatype))
            tensor["parameters"] = {"binary_data_size": len(binaries[-1])}
        else:
            tensor["data"] = text_values(output.name, array) if datatype == "BYTES" else array.ravel()
        tensors.append(tensor)
    document: Json = {"model_name": model, "model_version": version, "outputs": tensors}
    if request.id is not None:
        document["id"] = request.id
    head = dump_json(document, sum([outputs[output.name].size for output in request.outputs if not output.binary]))
    # NaN became null. Nothing else does, so the numbers are looked at only when the word is there, perhaps in a name.
    if b"null" in head and not_finite != "null":
        for tensor in tensors:
            data = tensor.get("data")
            if isinstance(data, np.ndarray) and data.dtype.kind == "f" and not np.isfinite(data).all():
                tensor["data"] = with_not_finite(tensor["name"], data, not_finite)
        if not_finite == "string":
            head = dump_json(document)
    return EncodedResponse(b"".join((head, *binaries)), len(head)) if binaries else EncodedResponse(head, None)


# --- metadata


def server_metadata(version: str) -> Json:
    """GET /v2. `version` is the server's own."""
    return {"name": _SERVER, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(model: str, version: str, signature: Signature, properties: Mapping[str, str] | None = None) -> Json:
    """GET /v2/models/NAME. `properties` go out as they are, such as the file's sha256."""
    return {
        "name": model,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": [spec.as_json() for spec in signature.inputs],
        "outputs": [spec.as_json() for spec in signature.outputs],
        **({"properties": dict(properties)} if properties else {}),
    }


def model_names(model: str) -> Json:
    """GET /v2/models, which the protocol doesn't have and KServe does."""
    return {"models": [model]}


def repository_index(model: str, version: str, *, ready: bool) -> list[Json]:
    """POST /v2/repository/index, of Triton's model repository extension."""
    state = READY if ready else "UNAVAILABLE"
    return [{"name": model, "version": version, "state": state, "reason": "" if ready else "the server is ending"}]
