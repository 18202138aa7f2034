"""How the runtime's values travel as arrays: tensors as they are, sequences of tensors stacked, and what is left out.

A sequence of tensors of one shape is one array with a dimension in front. The runtime's bfloat16, which numpy doesn't
know, is an array of float32.
"""

import ctypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnxruntime

from tidegate_server.errors import ModelFailed
from tidegate_server.protocol.bfloat16 import bits_of, values_of
from tidegate_server.protocol.signature import NUMPY_TYPES
from tidegate_server.protocol.tensors import DTYPES, Array, string_array

_DATATYPES = {datatype.lower(): datatype for datatype in NUMPY_TYPES} | {
    "float16": "FP16",
    "bfloat16": "BF16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_KIND = re.compile(r"(optional\()?(seq\()?tensor\((\w+)\)+")
_BFLOAT16 = 16  # in onnx.proto's TensorProto.DataType


@dataclass(frozen=True)
class ValueKind:
    """What an input or output of the graph is: tensors of `datatype`, perhaps in a sequence, perhaps left out."""

    datatype: str
    sequence: bool = False
    optional: bool = False

    @property
    def is_plain(self) -> bool:
        """The runtime takes and gives it as a numpy array, and always."""
        return not self.sequence and not self.optional and self.datatype != "BF16"


def value_kind(type_name: str) -> ValueKind | None:
    """Of the runtime's own words, such as `optional(seq(tensor(float)))`; None for what no array can carry."""
    found = _KIND.fullmatch(type_name)
    datatype = _DATATYPES.get(found[3]) if found else None
    if found is None or datatype is None or (datatype == "BF16" and found[2]):
        return None
    return ValueKind(datatype, sequence=found[2] is not None, optional=found[1] is not None)


def given_value(kind: ValueKind, array: Array) -> Any:
    """What the runtime's `run` takes for it."""
    return [np.asarray(part, array.dtype) for part in array] if kind.sequence else array


def array_of(name: str, kind: ValueKind, value: Any) -> Array:
    """Of what the runtime's `run` gave; what was left out is empty. Raises ModelFailed for a ragged sequence."""
    if kind.sequence:
        return _stacked(name, kind, value or [])
    return _nothing(kind) if value is None else value


def run_with_bfloat16(
    session: Any, arrays: Mapping[str, Array], kinds: Mapping[str, ValueKind], outputs: Sequence[str], options: Any
) -> list[Array]:
    """As the session's own `run`, which can't carry bfloat16. Raises whatever the runtime does."""
    given = {name: _ort_value(kinds[name], array) for name, array in arrays.items()}
    return [_array(value) for value in session.run_with_ort_values(outputs, given, options)]


def _ort_value(kind: ValueKind, array: Array) -> Any:
    if kind.datatype == "BF16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits_of(array), _BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _array(value: Any) -> Array:
    if value.data_type() != "tensor(bfloat16)":
        array: Array = value.numpy()
        return array
    shape = value.shape()
    size = 2 * prod(shape)
    # The memory is the runtime's and goes with the value.
    content = ctypes.string_at(value.data_ptr(), size) if size else b""
    return values_of(np.ndarray(shape, np.uint16, content))


def _stacked(name: str, kind: ValueKind, parts: Sequence[Any]) -> Array:
    arrays = [string_array(part, (len(part),)) if isinstance(part, list) else part for part in parts]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        found = ", ".join(str(list(shape)) for shape in sorted(shapes))
        raise ModelFailed(
            f"output {name} is a sequence of tensors of different shapes ({found}), which no tensor holds"
        )
    return np.stack(arrays) if arrays else _nothing(kind)


def _nothing(kind: ValueKind) -> Array:
    return np.empty((0,), DTYPES[kind.datatype])
