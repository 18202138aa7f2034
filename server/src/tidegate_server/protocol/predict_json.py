"""/predict: the model's inputs as JSON that a person would write, and its outputs as JSON that a person can read. Pure.

{"inputs": {"x": [[1, 2]]}}      by name
{"inputs": [[1, 2]]}, [[1, 2]]   when the model has one input
{"rows": [{"age": 3, "weight": 7.5}, ...]}   one object for each row, when every input has the rows in front
"""

from collections.abc import Mapping
from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import dump_json, quoted
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest, all_outputs, known_input, require_all_inputs
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import (
    Array,
    array_from_json,
    check_shape,
    flatten,
    json_ready,
    too_many_elements,
    typed_array,
)

_FORMS = '{"inputs": ...} or {"rows": [...]}'


def read_predict(document: Any, signature: Signature, limits: Limits) -> InferRequest:
    """`document` is what parse_json gave. Raises InvalidRequest."""
    arrays = _row_arrays(document, signature, limits) if wants_rows(document) else _arrays(document, signature, limits)
    if sum(array.size for array in arrays.values()) > limits.max_elements:
        raise too_many_elements("the inputs together have", limits)
    return InferRequest(require_all_inputs(arrays, signature), all_outputs(signature.output_names))


def wants_rows(document: Any) -> bool:
    """Whether write_rows and not write_plain gives the answer."""
    return isinstance(document, dict) and "rows" in document


def write_predict(model: str, revision: str, outputs: Mapping[str, Array]) -> bytes:
    """Outputs by name, nested to their shapes. Raises NotFiniteOutput."""
    ready = {name: json_ready(name, array) for name, array in outputs.items()}
    numbers = sum([array.size for array in outputs.values()])
    return dump_json({"model": model, "revision": revision, "outputs": ready}, numbers)


def write_rows(model: str, revision: str, outputs: Mapping[str, Array]) -> bytes:
    """One object of outputs for each row. Raises NotFiniteOutput, and InvalidRequest for outputs that aren't by row."""
    return dump_json({"model": model, "revision": revision, "rows": _row_objects(outputs)})


def row_values(outputs: Mapping[str, Array]) -> list[Any]:
    """For each row its value where the model has one output, else an object by name. Raises as write_rows does."""
    rows = _row_objects(outputs)
    return [value for row in rows for value in row.values()] if len(outputs) == 1 else rows


def _row_objects(outputs: Mapping[str, Array]) -> list[dict[str, Any]]:
    counts = {array.shape[:1] for array in outputs.values()}
    if len(counts) != 1 or () in counts:
        raise InvalidRequest("the model's outputs aren't one per row; ask with {\"inputs\": ...}")
    columns = [json_ready(name, _without_single_column(array)) for name, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _arrays(document: Any, signature: Signature, limits: Limits) -> dict[str, Array]:
    data = document if isinstance(document, list) else _only_field(document, "inputs")
    if isinstance(data, dict):
        return {name: array_from_json(known_input(name, signature), values, limits) for name, values in data.items()}
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs) or "none"
        raise InvalidRequest(f'the model has several inputs: give {{"inputs": {{...}}}} with {names}')
    (only,) = signature.inputs
    return {only.name: array_from_json(only, data, limits)}


def _only_field(document: Any, field: str) -> Any:
    if not isinstance(document, dict) or field not in document:
        raise InvalidRequest(f"the body must be {_FORMS}")
    unknown = next((name for name in document if name != field), None)
    if unknown is not None:
        raise InvalidRequest(f"unknown field {quoted(unknown)}; the body must be {_FORMS}")
    return document[field]


def _row_arrays(document: Any, signature: Signature, limits: Limits) -> dict[str, Array]:
    rows = _only_field(document, "rows")
    if not isinstance(rows, list) or not rows or set(map(type, rows)) != {dict}:
        raise InvalidRequest('"rows" must be a list of at least one object, each with a value for every input')
    names = {spec.name for spec in signature.inputs}
    for position, row in enumerate(rows):
        if row.keys() != names:
            raise _uneven_row(row, position, signature)
    return {spec.name: _column(spec, [row[spec.name] for row in rows], limits) for spec in signature.inputs}


def _uneven_row(row: dict[str, Any], position: int, signature: Signature) -> InvalidRequest:
    for name in row:
        known_input(name, signature)
    missing = next(spec.name for spec in signature.inputs if spec.name not in row)
    return InvalidRequest(f"rows[{position}]: input {missing} is missing")


def _column(spec: TensorSpec, values: list[Any], limits: Limits) -> Array:
    shape, flat, kinds = flatten(spec, values, limits)
    if len(shape) == 1 and len(spec.shape) == 2:
        shape = (*shape, 1)  # one number a row, for a model that wants a column of them
    check_shape(spec, shape, limits)
    return typed_array(spec, shape, flat, kinds, limits)


def _without_single_column(array: Array) -> Array:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
