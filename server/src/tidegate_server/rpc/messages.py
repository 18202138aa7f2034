"""Messages to requests, and outputs to messages. Pure. Any message gives a request or an InvalidRequest."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.binary import array_from_bytes, bytes_from_array
from tidegate_server.protocol.classification import requested_array
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.parameters import class_count, timeout_seconds
from tidegate_server.protocol.request import (
    InferRequest,
    RequestedOutput,
    all_outputs,
    known_input,
    known_output,
    require_all_inputs,
)
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, Outputs, check_shape, too_many_elements
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.contents import RAW_ONLY, array_from_contents, contents_from_array

MessageType = TypeVar("MessageType", bound=Message)
Parameters = Mapping[str, pb.InferParameter]
Input = pb.ModelInferRequest.InferInputTensor

_SHARED_MEMORY = "shared_memory_region"


def message_from(document: Mapping[str, Any], empty: MessageType) -> MessageType:
    """The message with the fields of a JSON document, such as those of v2.py."""
    return json_format.ParseDict(dict(document), empty)


def read_infer(request: pb.ModelInferRequest, signature: Signature, limits: Limits) -> InferRequest:
    """Raises InvalidRequest with a sentence that names the tensor. Unknown parameters are ignored, as over HTTP."""
    raw = _raw_contents(request)
    arrays: dict[str, Array] = {}
    count = 0
    for position, given in enumerate(request.inputs):
        spec = _input_spec(given, signature, arrays)
        shape = tuple(given.shape)
        count += _count(spec, shape, limits)
        if count > limits.max_elements:
            raise too_many_elements("the inputs together have", limits)
        arrays[spec.name] = _array(spec, shape, given, raw.get(position))
    return InferRequest(
        require_all_inputs(arrays, signature),
        _requested_outputs(request, signature),
        request.id or None,
        timeout_seconds(_value(request.parameters, "timeout", None)),
    )


def write_infer(
    name: str, revision: str, request: InferRequest, outputs: Outputs, signature: Signature, labels: Sequence[str] = ()
) -> pb.ModelInferResponse:
    """Raw where the request came raw, or where an output has no typed contents; all outputs in the same way."""
    response = pb.ModelInferResponse(model_name=name, model_version=revision, id=request.id or "")
    tensors = [
        (output.name, *requested_array(output, outputs[output.name], signature, labels)) for output in request.outputs
    ]
    raw = any(output.binary for output in request.outputs) or any(kind in RAW_ONLY for _, kind, _ in tensors)
    for output, datatype, array in tensors:
        tensor = response.outputs.add(name=output, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(bytes(bytes_from_array(array, datatype)))
        else:
            tensor.contents.CopyFrom(contents_from_array(datatype, array))
    return response


def _input_spec(given: Input, signature: Signature, before: Mapping[str, Array]) -> TensorSpec:
    spec = known_input(given.name, signature)
    if spec.name in before:
        raise InvalidRequest(f"input {spec.name} is given twice")
    if given.datatype != spec.datatype:
        raise InvalidRequest(f"input {spec.name}: the datatype must be {spec.datatype}")
    if _SHARED_MEMORY in given.parameters:
        raise InvalidRequest(f"input {spec.name}: shared memory isn't offered; send the values")
    return spec


def _count(spec: TensorSpec, shape: tuple[int, ...], limits: Limits) -> int:
    if any(size < 0 for size in shape):
        raise InvalidRequest(f"input {spec.name}: a size is negative; give the sizes of the values that are sent")
    return check_shape(spec, shape, limits)


def _raw_contents(request: pb.ModelInferRequest) -> dict[int, bytes]:
    """By the position of the input. Some clients send raw what has no typed contents, and the other inputs typed."""
    raw = request.raw_input_contents
    if len(raw) == len(request.inputs):
        return dict(enumerate(raw))
    untyped = [position for position, given in enumerate(request.inputs) if not given.HasField("contents")]
    if raw and len(raw) != len(untyped):
        words = f"raw_input_contents has {len(raw)} items, and {len(untyped)} of {len(request.inputs)} inputs"
        raise InvalidRequest(f"{words} have no contents; send one for each of these, or for every input")
    return dict(zip(untyped, raw, strict=True)) if raw else {}


def _array(spec: TensorSpec, shape: tuple[int, ...], given: Input, raw: bytes | None) -> Array:
    if raw is None:
        return array_from_contents(spec, shape, given.contents)
    if given.HasField("contents"):
        raise InvalidRequest(f"input {spec.name}: has both contents and raw_input_contents; send one of them")
    return array_from_bytes(spec, shape, raw)


def _requested_outputs(request: pb.ModelInferRequest, signature: Signature) -> tuple[RequestedOutput, ...]:
    raw = bool(request.raw_input_contents)
    if not request.outputs:
        return all_outputs(signature.output_names, binary=raw)
    requested: dict[str, RequestedOutput] = {}
    for output in request.outputs:
        spec = known_output(output.name, signature)
        if spec.name in requested:
            raise InvalidRequest(f"output {spec.name} is asked for twice")
        if _SHARED_MEMORY in output.parameters:
            raise InvalidRequest(f"output {spec.name}: shared memory isn't offered; take the answer's values")
        requested[spec.name] = RequestedOutput(
            spec.name, raw, class_count(_value(output.parameters, "classification", 0), spec)
        )
    return tuple(requested.values())


def _value(parameters: Parameters, name: str, default: Any) -> Any:
    """Of whatever type it came in; an empty text for a parameter without a value."""
    if name not in parameters:
        return default
    choice = parameters[name].WhichOneof("parameter_choice")
    return getattr(parameters[name], choice) if choice else ""
