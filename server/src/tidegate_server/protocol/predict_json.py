"""/predict: the model's inputs as JSON that a person would write, and its outputs as JSON that a person can read. Pure.

{"inputs": {"x": [[1, 2]]}}      by name
{"inputs": [[1, 2]]}, [[1, 2]]   when the model has one input
{"rows": [{"age": 3, "weight": 7.5}, ...]}   one object for each row, when every input has the rows in front
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.json_codec import dump_json, quoted
from tidegate_server.protocol.limits import Limits, NotFinite
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


@dataclass(frozen=True)
class Wording:
    """`classes`: names of an output's columns, by output; each row of it is an object then."""

    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_finite: NotFinite = "Auto"

    def of(self, name: str, array: Array) -> Any:
        """What dump_json writes for an output."""
        ready = json_ready(name, array, self.not_finite)
        columns = self.classes.get(name)
        if not columns or array.shape[1:] != (len(columns),):
            return ready
        return [dict(zip(columns, row, strict=True)) for row in ready]


_PLAIN = Wording()


def write_predict(model: str, revision: str, outputs: Mapping[str, Array], wording: Wording | None = None) -> bytes:
    """Outputs by name, nested to their shapes. Raises NotFiniteOutput."""
    wording = wording or _PLAIN
    numbers = sum([array.size for array in outputs.values()])
    if not wording.classes and all(map(_is_ready, outputs.values())):
        written = dump_json({"model": model, "revision": revision, "outputs": outputs}, numbers)
        if b"null" not in written:  # no NaN, then, which is written so
            return written
    ready = {name: wording.of(name, array) for name, array in outputs.items()}
    return dump_json({"model": model, "revision": revision, "outputs": ready}, numbers)


def _is_ready(array: Array) -> bool:
    """Numbers that dump_json writes as they are, and most are."""
    return array.ndim > 0 and array.dtype.kind in "fiub" and array.flags.c_contiguous


def write_rows(
    model: str, revision: str, outputs: Mapping[str, Array], rows: int, wording: Wording | None = None
) -> bytes:
    """One object of outputs for each of the rows that were asked.

    Raises NotFiniteOutput, and InvalidRequest for outputs that aren't by row.
    """
    return dump_json({"model": model, "revision": revision, "rows": _row_objects(outputs, rows, wording or _PLAIN)})


def row_values(outputs: Mapping[str, Array], rows: int, wording: Wording | None = None) -> list[Any]:
    """For each row its value where the model has one output, else an object by name. Raises as write_rows does."""
    objects = _row_objects(outputs, rows, wording or _PLAIN)
    return [value for row in objects for value in row.values()] if len(outputs) == 1 else objects


def _row_objects(outputs: Mapping[str, Array], rows: int, wording: Wording) -> list[dict[str, Any]]:
    if not outputs:
        raise InvalidRequest('the model has no outputs, so there is nothing to say of a row; ask with {"inputs": ...}')
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise InvalidRequest(
                f"the model's outputs aren't one per row: {_rows_words(rows)} gave output {name} the shape "
                f'{list(array.shape)}; ask with {{"inputs": ...}}'
            )
    columns = [wording.of(name, _without_single_column(array)) for name, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _rows_words(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _arrays(document: Any, signature: Signature, limits: Limits) -> dict[str, Array]:
    data = document if isinstance(document, list) else _only_field(document, "inputs")
    if isinstance(data, dict):
        return {name: array_from_json(known_input(name, signature), values, limits) for name, values in data.items()}
    if len(signature.required_inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs) or "none"
        raise InvalidRequest(f'the model has several inputs: give {{"inputs": {{...}}}} with {names}')
    (only,) = signature.required_inputs
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
    names = {spec.name for spec in signature.required_inputs}
    for position, row in enumerate(rows):
        if row.keys() != names:
            raise _uneven_row(row, position, signature)
    return {spec.name: _column(spec, [row[spec.name] for row in rows], limits) for spec in signature.required_inputs}


def _uneven_row(row: dict[str, Any], position: int, signature: Signature) -> InvalidRequest:
    for name in row:
        if known_input(name, signature).optional:
            return InvalidRequest(f'rows[{position}]: input {name} isn\'t by row; give it with {{"inputs": ...}}')
    missing = next(spec.name for spec in signature.required_inputs if spec.name not in row)
    return InvalidRequest(f"rows[{position}]: input {missing} is missing")


def _column(spec: TensorSpec, values: list[Any], limits: Limits) -> Array:
    shape, flat, kinds = flatten(spec, values, limits)
    if len(shape) == 1 and len(spec.shape) == 2:
        shape = (*shape, 1)  # one number a row, for a model that wants a column of them
    check_shape(spec, shape, limits)
    return typed_array(spec, shape, flat, kinds, limits)


def _without_single_column(array: Array) -> Array:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
