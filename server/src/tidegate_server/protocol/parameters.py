"""The parameters of a request and of its outputs. Pure. Unknown ones are ignored, as the protocol allows."""

from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.document import shown
from tidegate_server.protocol.request import WantedOutput, every_output
from tidegate_server.protocol.signature import Signature, TensorSpec

_NOTHING: dict[str, Any] = {}
_MICROSECONDS = 1e-6


def parameters_of(holder: dict[str, Any], who: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return _NOTHING
    if type(parameters) is not dict:
        raise InvalidRequest(f'{who}: "parameters" must be an object')
    return parameters


def flag(parameters: dict[str, Any], name: str, default: bool, who: str) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequest(f"{who}: {name} must be true or false")
    return value


def timeout_seconds(parameters: dict[str, Any]) -> float | None:
    """Seconds; None where the client sets no limit, which 0 says as well."""
    value = parameters.get("timeout")
    if value is None:
        return None
    if type(value) is not int or value < 0:
        raise InvalidRequest("the request: timeout must be a whole number of microseconds")
    return value * _MICROSECONDS or None


def wanted_outputs(items: Any, binary: bool, signature: Signature) -> tuple[WantedOutput, ...]:
    if items is None or items == []:
        return every_output(signature.output_names, binary=binary)
    if type(items) is not list:
        raise InvalidRequest('"outputs" must be a list')
    wanted: dict[str, WantedOutput] = {}
    for position, item in enumerate(items):
        output = _wanted_output(item, position, binary, signature)
        if output.name in wanted:
            raise InvalidRequest(f'"outputs" names {output.name} twice')
        wanted[output.name] = output
    return tuple(wanted.values())


def _wanted_output(item: Any, position: int, binary: bool, signature: Signature) -> WantedOutput:
    name = item.get("name") if type(item) is dict else None
    if type(name) is not str:
        raise InvalidRequest(f'outputs[{position}] must be an object with a "name"')
    spec = signature.output(name)
    if spec is None:
        raise InvalidRequest(f"the model has no output {shown(name)}; it has {', '.join(signature.output_names)}")
    who = f"output {name}"
    parameters = parameters_of(item, who)
    return WantedOutput(name, flag(parameters, "binary_data", binary, who), _classes(parameters, spec))


def _classes(parameters: dict[str, Any], spec: TensorSpec) -> int:
    value = parameters.get("classification", 0)
    if type(value) is not int or value < 0:
        raise InvalidRequest(f"output {spec.name}: classification must be a number of classes")
    if value and spec.datatype in ("BOOL", "BYTES"):
        raise InvalidRequest(f"output {spec.name}: classification needs numbers, the output is {spec.datatype}")
    return value
