"""JSON Schemas of a model's tensors, as exact as a schema can be about them. Pure.

What no schema can say, such as a product of sizes that is a number of values, the server says in its refusals.
"""

from math import prod
from typing import Any

import numpy as np

from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec
from tidegate_server.protocol.tensors import FLOATS, NOT_FINITE_WORDS

Schema = dict[str, Any]

_FORMATS = {"INT32": "int32", "INT64": "int64", "FP32": "float", "FP64": "double"}
_MAX_RANK = 32


def record(fields: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object of these fields and no others."""
    return {
        "type": "object",
        "required": list(fields),
        "additionalProperties": False,
        "properties": {**fields, **(optional or {})},
    }


def value_schema(datatype: str) -> Schema:
    """Of one element."""
    if datatype == "BOOL":
        return {"type": "boolean"}
    if datatype == "BYTES":
        return {"type": "string"}
    kind = np.dtype(NUMPY_TYPES[datatype])
    named = {"format": _FORMATS[datatype]} if datatype in _FORMATS else {}
    if kind.kind == "f":
        about = np.finfo(kind)
        if kind.itemsize == 8:
            return {"type": "number", **named, "minimum": float(about.min), "maximum": float(about.max)}
        # What lies less than half a step above the largest number is rounded to it; only from there on it's infinite.
        infinite = 2.0**about.maxexp - 2.0 ** (about.maxexp - about.nmant - 2)
        return {"type": "number", **named, "exclusiveMinimum": -infinite, "exclusiveMaximum": infinite}
    bounds = np.iinfo(kind)
    return {"type": "integer", **named, "minimum": int(bounds.min), "maximum": int(bounds.max)}


def given_schema(datatype: str, allow_nan: bool) -> Schema:
    """Of one element of a request, in which null is a missing value where the model takes those."""
    schema = value_schema(datatype)
    return {**schema, "type": [schema["type"], "null"]} if allow_nan and datatype in FLOATS else schema


def answered_schema(datatype: str) -> Schema:
    """Of one element of an answer, in which NaN and infinity may be null or a word."""
    schema = value_schema(datatype)
    return {"anyOf": [schema, {"enum": [None, *NOT_FINITE_WORDS]}]} if datatype in FLOATS else schema


def nested_schema(spec: TensorSpec, allow_nan: bool) -> Schema:
    """Lists in lists, by the model's shape."""
    schema = given_schema(spec.datatype, allow_nan)
    if not spec.shape:  # a scalar or a tensor of any rank: the graph doesn't say
        return {"anyOf": [schema, {"type": "array"}]}
    for size in reversed(spec.shape):
        bounds = {} if size == -1 else {"minItems": size, "maxItems": size}
        schema = {"type": "array", **bounds, "items": schema}
    return schema


def flat_schema(spec: TensorSpec, allow_nan: bool) -> Schema:
    """All elements in one list, row by row."""
    fixed = prod(size for size in spec.shape if size != -1)
    bounds = {"minItems": fixed, "maxItems": fixed} if spec.shape and -1 not in spec.shape else _none_or(fixed)
    return {"type": "array", **bounds, "items": given_schema(spec.datatype, allow_nan)}


def _none_or(least: int) -> Schema:
    """Where a dimension is free, it may be zero."""
    return {"anyOf": [{"maxItems": 0}, {"minItems": least}]} if least > 1 else {}


def input_schema(spec: TensorSpec, allow_nan: bool) -> Schema:
    """One of "inputs" with its data as JSON."""
    flat = flat_schema(spec, allow_nan)
    data = flat if len(spec.shape) == 1 else {"anyOf": [flat, nested_schema(spec, allow_nan)]}
    return {
        "type": "object",
        "title": f"input {spec.name}",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "shape": _shape_schema(spec),
            "datatype": {"const": spec.datatype},
            "data": data,
            "parameters": {"type": ["object", "null"]},
        },
    }


def output_schema(spec: TensorSpec) -> Schema:
    """One of an answer's "outputs": its data as JSON, its number of bytes, or its best classes."""
    forms = [
        _sent(spec, spec.datatype, {"data": {"type": "array", "items": answered_schema(spec.datatype)}}),
        _sent(spec, spec.datatype, {"parameters": _BYTES_FOLLOW}),
    ]
    if spec.datatype not in ("BOOL", "BYTES"):
        classes = {"type": "array", "items": {"type": "string", "pattern": "^.+:[0-9]+"}}
        forms += [_sent(spec, "BYTES", {"data": classes}), _sent(spec, "BYTES", {"parameters": _BYTES_FOLLOW})]
    return {"title": f"output {spec.name}", "anyOf": forms}


def requested_schema(signature: Signature) -> Schema:
    """One of a request's "outputs"."""
    parameters = {
        "binary_data": {"type": "boolean", "description": "as bytes after the JSON"},
        "classification": {"type": "integer", "minimum": 0, "description": "only the best so many classes"},
    }
    return {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"enum": list(signature.output_names)},
            "parameters": {"type": ["object", "null"], "properties": parameters},
        },
    }


def row_schema(signature: Signature, allow_nan: bool) -> Schema:
    """One of "rows" for /predict."""
    return record({spec.name: _cell_schema(spec, allow_nan) for spec in signature.required_inputs})


def takes_rows(signature: Signature) -> bool:
    """Whether the first dimension of every input can be the rows."""
    inputs = signature.required_inputs
    return bool(inputs) and all(spec.shape and spec.shape[0] == -1 for spec in inputs)


def _cell_schema(spec: TensorSpec, allow_nan: bool) -> Schema:
    value, rest = given_schema(spec.datatype, allow_nan), TensorSpec(spec.name, spec.datatype, spec.dimensions[1:])
    if not rest.shape:
        return value
    if len(rest.shape) == 1 and rest.shape[0] in (-1, 1):  # a column: a value, or a value in a list
        return {"anyOf": [value, nested_schema(rest, allow_nan)]}
    return nested_schema(rest, allow_nan)


_BYTES_FOLLOW: Schema = {
    "type": "object",
    "required": ["binary_data_size"],
    "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
}


def _sent(spec: TensorSpec, datatype: str, properties: Schema) -> Schema:
    shape: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
    return record({"name": {"const": spec.name}, "shape": shape, "datatype": {"const": datatype}, **properties})


def _shape_schema(spec: TensorSpec) -> Schema:
    if not spec.shape:
        return {"type": "array", "maxItems": _MAX_RANK, "items": {"type": "integer", "minimum": 0}}
    sizes = [{"type": "integer", "minimum": 0} if size == -1 else {"const": size} for size in spec.shape]
    return {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}
