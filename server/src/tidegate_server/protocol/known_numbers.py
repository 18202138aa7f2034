"""A list of numbers in a body of JSON that is like an earlier one in everything else. Pure."""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from tidegate_server.protocol.signature import TensorSpec
from tidegate_server.protocol.tensors import DTYPES, PACKED_AS, Array, packer

MAX_NUMBERS = 4096
_NOT_NUMBERS = (b'"', b"[", b"{")


@dataclass(frozen=True, slots=True)
class KnownNumbers:
    """The only list of a body: all values of an input, row-major."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    packer: struct.Struct

    @classmethod
    def of(cls, spec: TensorSpec, array: Array, numbers: bytes) -> "KnownNumbers | None":
        """`array` was made of `numbers`, in their brackets. None where others like them aren't sure to mean another."""
        code = PACKED_AS.get(spec.datatype)
        if code is None or spec.datatype == "BOOL" or array.size > MAX_NUMBERS or not _has_numbers_alone(numbers):
            return None
        return cls(spec.name, array.shape, DTYPES[spec.datatype], packer(code, array.size))

    def read(self, numbers: bytes) -> Array | None:
        """`numbers` with their brackets; None where they aren't as many numbers in range."""
        if b"u" in numbers or b"l" in numbers:  # true, false and null; true would be packed as 1
            return None
        try:
            packed = self.packer.pack(*orjson.loads(numbers))
        except (ValueError, OverflowError, struct.error):  # no JSON, too few or too many, no number, or out of range
            return None
        return np.ndarray(self.shape, self.dtype, packed)


def _has_numbers_alone(numbers: bytes) -> bool:
    return not any(sign in numbers[1:] for sign in _NOT_NUMBERS)
