"""The upper half of a float32's bits: numpy has no such type, so arrays hold the float32 of the same value. Pure."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_NAN = 0x7FC0


def bits_of(values: Array) -> Array:
    """UINT16 of float32, rounded to the nearest, to the even one of two."""
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (whole + 0x7FFF + (whole >> 16 & 1)) >> 16
    bits: Array = np.where(np.isnan(values), _NAN, rounded).astype(np.uint16)
    return bits


def values_of(bits: Array) -> Array:
    """Float32 of UINT16: every value has one."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
