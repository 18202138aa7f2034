"""Messages to requests and answers to messages. Pure. Whatever a message holds, it's a request or an InvalidRequest."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.binary import array_from_bytes, bytes_from_array
from tidegate_server.protocol.classification import best_classes
from tidegate_server.protocol.document import shown
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, WantedOutput, complete, every_output, known_input
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array, check_shape, too_many_elements
from tidegate_server.rpc import open_inference_pb2 as pb
from tidegate_server.rpc.contents import RAW_ONLY, array_from_contents, contents_from_array

Parameters = Mapping[str, pb.InferParameter]
Input = pb.ModelInferRequest.InferInputTensor
Output = pb.ModelInferResponse.InferOutputTensor

_SHARED_MEMORY = "shared_memory_region"
_MICROSECOND = 1e-6


def server_metadata(document: Mapping[str, Any]) -> pb.ServerMetadataResponse:
    """From the document that HTTP gives."""
    return json_format.ParseDict(dict(document), pb.ServerMetadataResponse())


def model_metadata(document: Mapping[str, Any]) -> pb.ModelMetadataResponse:
    return json_format.ParseDict(dict(document), pb.ModelMetadataResponse())


def model_config(document: Mapping[str, Any]) -> pb.ModelConfigResponse:
    return json_format.ParseDict({"config": dict(document)}, pb.ModelConfigResponse())


def statistics(document: Mapping[str, Any]) -> pb.ModelStatisticsResponse:
    return json_format.ParseDict(dict(document), pb.ModelStatisticsResponse())


def read_infer(asked: pb.ModelInferRequest, signature: Signature, limits: Limits) -> InferRequest:
    """Raises InvalidRequest with a sentence that names the tensor. Unknown parameters are ignored, as over HTTP."""
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise InvalidRequest(
            f"raw_input_contents has {len(raw)} items for {len(asked.inputs)} inputs; send one for each input or none"
        )
    arrays: dict[str, Array] = {}
    count = 0
    for position, given in enumerate(asked.inputs):
        spec = _input_spec(given, signature, arrays)
        shape = tuple(given.shape)
        count += _count(spec, shape, limits)
        if count > limits.max_elements:
            raise too_many_elements("the inputs together have", limits)
        arrays[spec.name] = _array(spec, shape, given, raw[position] if raw else None)
    return InferRequest(
        complete(arrays, signature), _wanted(asked, signature), asked.id or None, _timeout_seconds(asked.parameters)
    )


def write_infer(
    name: str,
    revision: str,
    request: InferRequest,
    outputs: Mapping[str, Array],
    signature: Signature,
    labels: Sequence[str] = (),
) -> pb.ModelInferResponse:
    """Raw where the request came raw, or where an output has no typed contents; all outputs in the same way."""
    answer = pb.ModelInferResponse(model_name=name, model_version=revision, id=request.id or "")
    tensors = [_output(wanted, outputs[wanted.name], signature, labels) for wanted in request.outputs]
    raw = any(wanted.binary for wanted in request.outputs) or any(kind in RAW_ONLY for _, kind, _ in tensors)
    for output, datatype, array in tensors:
        tensor = answer.outputs.add(name=output, datatype=datatype, shape=array.shape)
        if raw:
            answer.raw_output_contents.append(bytes(bytes_from_array(array)))
        else:
            tensor.contents.CopyFrom(contents_from_array(datatype, array))
    return answer


def _output(wanted: WantedOutput, array: Array, signature: Signature, labels: Sequence[str]) -> tuple[str, str, Array]:
    if wanted.classes:
        return wanted.name, "BYTES", best_classes(wanted.name, array, wanted.classes, labels)
    (datatype,) = (spec.datatype for spec in signature.outputs if spec.name == wanted.name)
    return wanted.name, datatype, array


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


def _array(spec: TensorSpec, shape: tuple[int, ...], given: Input, raw: bytes | None) -> Array:
    if raw is None:
        return array_from_contents(spec, shape, given.contents)
    if given.HasField("contents"):
        raise InvalidRequest(f"input {spec.name}: has both contents and raw_input_contents; send one of them")
    return array_from_bytes(spec, shape, raw)


def _wanted(asked: pb.ModelInferRequest, signature: Signature) -> tuple[WantedOutput, ...]:
    raw = bool(asked.raw_input_contents)
    if not asked.outputs:
        return every_output(signature.output_names, binary=raw)
    wanted: dict[str, WantedOutput] = {}
    for output in asked.outputs:
        spec = signature.output(output.name)
        if spec is None:
            names = ", ".join(signature.output_names)
            raise InvalidRequest(f"the model has no output {shown(output.name)}; it has {names}")
        if spec.name in wanted:
            raise InvalidRequest(f"output {spec.name} is asked for twice")
        if _SHARED_MEMORY in output.parameters:
            raise InvalidRequest(f"output {spec.name}: shared memory isn't offered; take the answer's values")
        wanted[spec.name] = WantedOutput(spec.name, raw, _classes(output.parameters, spec))
    return tuple(wanted.values())


def _classes(parameters: Parameters, spec: TensorSpec) -> int:
    if "classification" not in parameters:
        return 0
    classes = _whole(parameters["classification"])
    if classes is None:
        raise InvalidRequest(f"output {spec.name}: classification must be a number of classes")
    if classes and spec.datatype in ("BOOL", "BYTES"):
        raise InvalidRequest(f"output {spec.name}: classification needs numbers, the output is {spec.datatype}")
    return classes


def _timeout_seconds(parameters: Parameters) -> float | None:
    """None where the client sets no limit, which 0 says as well."""
    if "timeout" not in parameters:
        return None
    microseconds = _whole(parameters["timeout"])
    if microseconds is None:
        raise InvalidRequest("the request: timeout must be a whole number of microseconds")
    return microseconds * _MICROSECOND or None


def _whole(parameter: pb.InferParameter) -> int | None:
    """None for anything but a whole number from 0."""
    match parameter.WhichOneof("parameter_choice"):
        case "int64_param" if parameter.int64_param >= 0:
            return parameter.int64_param
        case "uint64_param":
            return parameter.uint64_param
        case _:
            return None
