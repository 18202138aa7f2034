"""Tensors as bytes, as in the binary tensor data extension: little-endian, row-major, without gaps. Pure.

Numbers stay where they are: the array looks into the body that holds them. Arrays are read-only. Like onnxruntime
itself, this runs on little-endian machines only.
"""

import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tidegate_server.errors import InvalidRequest
from tidegate_server.protocol.bfloat16 import bits_of, values_of
from tidegate_server.protocol.signature import TensorSpec
from tidegate_server.protocol.tensors import DTYPES, Array, string_array

_LENGTH = struct.Struct("<I")


def array_from_bytes(
    spec: TensorSpec, shape: Sequence[int], body: bytes, begin: int = 0, size: int | None = None
) -> Array:
    """From `size` bytes at `begin`, which lie within the body; the shape was checked. Raises InvalidRequest."""
    size = len(body) - begin if size is None else size
    if spec.datatype == "BYTES":
        return string_array(_texts(spec, prod(shape), body, begin, begin + size), shape)
    dtype = _stored_as(spec)
    needed = prod(shape) * dtype.itemsize
    if size != needed:
        sentence = f"input {spec.name}: {spec.datatype} of shape {list(shape)} is {needed} bytes, found {size}"
        raise InvalidRequest(sentence)
    array: Array = np.ndarray(shape, dtype, body, begin)
    if spec.datatype == "BF16":
        return values_of(array)
    if spec.datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidRequest(f"input {spec.name}: a byte of BOOL is 0 or 1, found another one")
    # The runtime's kernels are compiled for numbers at their natural places.
    return array if array.flags.aligned else array.copy()


def element_bytes(spec: TensorSpec) -> int:
    """What one number takes. Not for BYTES."""
    return _stored_as(spec).itemsize


def bytes_from_array(array: Array, datatype: str = "") -> bytes | memoryview:
    """In row-major order; numbers without a copy when the array is contiguous. BF16 has to be said."""
    if array.dtype.kind == "O":
        return b"".join(map(_element, array.ravel().tolist()))
    if datatype == "BF16":
        array = bits_of(array)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _stored_as(spec: TensorSpec) -> np.dtype[Any]:
    return np.dtype(np.uint16) if spec.datatype == "BF16" else DTYPES[spec.datatype]


def _texts(spec: TensorSpec, count: int, body: bytes, at: int, end: int) -> list[str]:
    values = []
    for position in range(count):
        begin = at + _LENGTH.size
        if begin > end:
            raise InvalidRequest(f"input {spec.name}: the bytes end after {position} of {count} values")
        at = begin + _LENGTH.unpack_from(body, at)[0]
        if at > end:
            raise InvalidRequest(f"input {spec.name}: value {position} is said to be longer than the bytes that follow")
        values.append(text_from_bytes(spec, body[begin:at]))
    if at != end:
        raise InvalidRequest(f"input {spec.name}: {end - at} bytes are left after {count} values")
    return values


def text_from_bytes(spec: TensorSpec, value: bytes) -> str:
    """Raises InvalidRequest: the runtime takes text only, and would read other bytes as their Python notation."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"input {spec.name}: a value of BYTES isn't UTF-8; the model takes text only") from None


def _element(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return _LENGTH.pack(len(data)) + data
