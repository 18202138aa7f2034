"""A tensor's values in the typed fields of a message, and back. Pure.

Protobuf has no small integers: INT8 travels in a field of 32 bits, so numbers beyond the datatype can arrive and are
refused. It has no half floats either, so FP16 travels as raw bytes only.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.binary import text_from_bytes
from tidegate_server.protocol.signature import NUMPY_TYPES, TensorSpec
from tidegate_server.protocol.tensors import Array, string_array
from tidegate_server.rpc.open_inference_pb2 import InferTensorContents

_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
RAW_ONLY = frozenset(NUMPY_TYPES) - frozenset(_FIELDS)
_NARROWER_THAN_ITS_FIELD = frozenset({"INT8", "INT16", "UINT8", "UINT16"})


def array_from_contents(spec: TensorSpec, shape: Sequence[int], contents: InferTensorContents) -> Array:
    """Of a shape that was checked before. Raises InvalidRequest with a sentence that names the input."""
    if spec.datatype in RAW_ONLY:
        raise InvalidRequest(f"input {spec.name}: {spec.datatype} has no typed contents; send raw_input_contents")
    field = _FIELDS[spec.datatype]
    for other, _ in contents.ListFields():
        if other.name != field:
            raise InvalidRequest(f"input {spec.name}: {spec.datatype} goes into {field}, found {other.name}")
    values = getattr(contents, field)
    if len(values) != prod(shape):
        sentence = f"input {spec.name}: {field} has {len(values)} values, shape {list(shape)} needs {prod(shape)}"
        raise InvalidRequest(sentence)
    if spec.datatype == "BYTES":
        return string_array([text_from_bytes(spec, value) for value in values], shape)
    return _numbers(spec, np.array(values)).reshape(shape)


def contents_from_array(datatype: str, array: Array) -> InferTensorContents:
    """In row-major order. Not for the datatypes of RAW_ONLY."""
    values = array.ravel().tolist()
    if datatype == "BYTES":
        values = [value if isinstance(value, bytes) else value.encode() for value in values]
    contents = InferTensorContents()
    getattr(contents, _FIELDS[datatype]).extend(values)
    return contents


def _numbers(spec: TensorSpec, values: Array) -> Array:
    if spec.datatype in _NARROWER_THAN_ITS_FIELD:
        bounds = np.iinfo(NUMPY_TYPES[spec.datatype])  # type: ignore[type-var] # only integers come here
        if values.size and (values.min() < bounds.min or values.max() > bounds.max):
            raise InvalidRequest(f"input {spec.name}: a number is out of the range of {spec.datatype}")
    return values.astype(NUMPY_TYPES[spec.datatype], copy=False)
