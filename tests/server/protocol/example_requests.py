"""Signatures, arrays for them, and bodies of requests with those arrays, written without the code under test."""

import json
import struct
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tidegate_server.protocol.bfloat16 import bits_of, values_of
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec

Array = np.ndarray[Any, Any]

SCORES = TensorSpec("scores", "FP32", ("N", 3))
TEXT = TensorSpec("text", "BYTES", ("N",))
ONE_INPUT = [Signature((TensorSpec("x", datatype, ("N", 2)),), (SCORES, TEXT)) for datatype in NUMPY_TYPES]
SIGNATURES = [
    *ONE_INPUT,
    Signature((TensorSpec("x", "FP32", ()),), (SCORES,)),
    Signature((TensorSpec("x", "INT8", (2,)), TensorSpec("y", "BYTES", ("N",))), (SCORES,)),
    Signature((TensorSpec("x", "FP32", ("N", 1)), TensorSpec("y", "INT64", ("N",))), (SCORES, TEXT)),
    Signature((), (SCORES,)),
]


def elements(datatype: str, *, finite: bool = True) -> st.SearchStrategy[Any]:
    kind = np.dtype(NUMPY_TYPES[datatype])
    if datatype == "BF16":
        drawn = st.integers(0, 2**16 - 1).map(lambda bits: float(values_of(np.array([bits], np.uint16))[0]))
        return drawn.filter(isfinite) if finite else drawn
    if kind.kind == "b":
        return st.booleans()
    if kind.kind in "iu":
        return st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    if kind.kind == "f":
        width = {2: 16, 4: 32, 8: 64}[kind.itemsize]
        return st.floats(width=width, allow_nan=not finite, allow_infinity=not finite)  # type: ignore[arg-type]
    return st.text(st.characters(codec="utf-8"), max_size=5)


def array_of(datatype: str, shape: tuple[int, ...], values: list[Any]) -> Array:
    array = np.empty(len(values), NUMPY_TYPES[datatype])
    array[:] = values
    return array.reshape(shape)


@st.composite
def arrays_for(draw: st.DrawFn, signature: Signature, *, finite: bool = True) -> dict[str, Array]:
    """One for each input; all variable dimensions have one size."""
    size = draw(st.integers(0, 3))
    arrays = {}
    for spec in signature.inputs:
        shape = tuple(size if expected == -1 else expected for expected in spec.shape)
        count = int(np.prod(shape))
        one = elements(spec.datatype, finite=finite)
        arrays[spec.name] = array_of(spec.datatype, shape, draw(st.lists(one, min_size=count, max_size=count)))
    return arrays


def raw(array: Array, datatype: str = "") -> bytes:
    if datatype == "BF16":
        return bits_of(array).tobytes()
    if array.dtype.kind != "O":
        return array.tobytes()
    encoded = [value.encode() for value in array.ravel()]
    return b"".join(struct.pack("<I", len(value)) + value for value in encoded)


def infer_body(
    signature: Signature,
    arrays: Mapping[str, Array],
    binary: Collection[str] = (),
    *,
    nested: bool = False,
    **fields: Any,
) -> tuple[bytes, int | None]:
    """The body and its header Inference-Header-Content-Length."""
    tensors = []
    for spec in signature.inputs:
        array = arrays[spec.name]
        tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape)}
        if spec.name in binary:
            tensor["parameters"] = {"binary_data_size": len(raw(array, spec.datatype))}
        else:
            tensor["data"] = (array if nested else array.ravel()).tolist()
        tensors.append(tensor)
    head = json.dumps({"inputs": tensors, **fields}, allow_nan=False).encode()
    tail = b"".join(raw(arrays[spec.name], spec.datatype) for spec in signature.inputs if spec.name in binary)
    return head + tail, len(head) if binary else None


def same(left: Array, right: Array) -> bool:
    """In type, shape and every value; all NaN are alike."""
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    if left.dtype.kind == "O":
        return bool(left.tolist() == right.tolist())
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))


def assert_fits(request: InferRequest, signature: Signature, limits: Limits) -> None:
    """What reading promises about a request that it accepts."""
    for spec in signature.inputs:
        array = request.arrays[spec.name]
        assert array.dtype == NUMPY_TYPES[spec.datatype]
        assert not spec.shape or all(size in (-1, got) for size, got in zip(spec.shape, array.shape, strict=True))
        assert array.flags.c_contiguous
        assert array.flags.aligned
    assert sum(array.size for array in request.arrays.values()) <= limits.max_elements
    assert {wanted.name for wanted in request.outputs} <= set(signature.output_names)
