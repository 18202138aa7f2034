"""The parameters of a request and of its outputs. Pure. Unknown ones are ignored, as the protocol allows."""

from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.request import RequestedOutput, all_outputs, known_output
from tidegate_server.protocol.signature import Signature, TensorSpec

_NOTHING: dict[str, Any] = {}
_MICROSECOND = 1e-6


def parameters_of(holder: dict[str, Any], who: str) -> dict[str, Any]:
    """The "parameters" of a JSON object, empty where it has none. Raises InvalidRequest with a sentence about `who`."""
    parameters = holder.get("parameters")
    if parameters is None:
        return _NOTHING
    if type(parameters) is not dict:
        raise InvalidRequest(f'{who}: "parameters" must be an object')
    return parameters


def flag(parameters: dict[str, Any], name: str, default: bool, who: str) -> bool:
    """A parameter that is true or false. Raises InvalidRequest with a sentence about `who`."""
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequest(f"{who}: {name} must be true or false")
    return value


def timeout_seconds(microseconds: Any) -> float | None:
    """Of the parameter "timeout"; None where the client sets no limit, by None or by 0. Raises InvalidRequest."""
    if microseconds is None:
        return None
    if type(microseconds) is not int or microseconds < 0:
        raise InvalidRequest("the request: timeout must be a whole number of microseconds")
    return microseconds * _MICROSECOND or None


def class_count(value: Any, spec: TensorSpec) -> int:
    """Of the parameter "classification"; 0 for the output itself. Raises InvalidRequest."""
    if type(value) is not int or value < 0:
        raise InvalidRequest(f"output {spec.name}: classification must be a number of classes")
    if value and spec.datatype in ("BOOL", "BYTES"):
        raise InvalidRequest(f"output {spec.name}: classification needs numbers, the output is {spec.datatype}")
    return value


def requested_outputs(items: Any, binary: bool, signature: Signature) -> tuple[RequestedOutput, ...]:
    """The "outputs" of a JSON request, all of the model's where it names none. Raises InvalidRequest."""
    if items is None or items == []:
        return all_outputs(signature.output_names, binary=binary)
    if type(items) is not list:
        raise InvalidRequest('"outputs" must be a list')
    requested: dict[str, RequestedOutput] = {}
    for position, item in enumerate(items):
        output = _wanted_output(item, position, binary, signature)
        if output.name in requested:
            raise InvalidRequest(f'"outputs" names {output.name} twice')
        requested[output.name] = output
    return tuple(requested.values())


def _wanted_output(item: Any, position: int, binary: bool, signature: Signature) -> RequestedOutput:
    name = item.get("name") if type(item) is dict else None
    if type(name) is not str:
        raise InvalidRequest(f'outputs[{position}] must be an object with a "name"')
    spec = known_output(name, signature)
    who = f"output {name}"
    parameters = parameters_of(item, who)
    classes = class_count(parameters.get("classification", 0), spec)
    return RequestedOutput(name, flag(parameters, "binary_data", binary, who), classes)
