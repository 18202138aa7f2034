"""JSON values to arrays and back. Pure. Whatever the value, the result is an array or an InvalidRequest.

JSON has one kind of number and no NaN; a model has datatypes with bounds. Everything that can't be carried over
exactly in kind is refused with the input's name: a fraction for an integer, a number out of range, a ragged list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite, prod
from typing import Any

import numpy as np

from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.signature import NUMPY_TYPES, TensorSpec

Array = np.ndarray[Any, Any]

MAX_DEPTH = 32  # numpy's own limit is higher; no model known to us comes near either
_KIND_WORDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
    type(None): "null",
    list: "a list",
}


@dataclass(frozen=True)
class _Flat:
    shape: tuple[int, ...]
    values: list[Any]
    kinds: frozenset[type]


def array_from_json(spec: TensorSpec, data: Any) -> Array:
    """Nested lists whose nesting is the shape. Raises InvalidRequest naming the input."""
    flat = _flatten(spec, data)
    _check_shape(spec, flat.shape)
    return _typed(spec, flat).reshape(flat.shape)


def array_from_flat_json(spec: TensorSpec, shape: Sequence[int], data: Any) -> Array:
    """Row-major values, flat or nested to `shape`, as the protocol has it. Raises InvalidRequest naming the input."""
    _check_shape(spec, tuple(shape))
    flat = _flatten(spec, data)
    if flat.shape not in ((prod(shape),), tuple(shape)):
        raise InvalidRequest(
            f"input {spec.name}: the data has shape {list(flat.shape)}, which is neither the declared shape "
            f"{list(shape)} nor a flat list of {prod(shape)} values"
        )
    return _typed(spec, flat).reshape(tuple(shape))


def json_from_array(name: str, array: Array, *, flat: bool) -> Any:
    """Lists nested to the array's shape, or one flat list. Raises NotFiniteOutput for NaN and infinity."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotFiniteOutput(name)
    return (array.ravel() if flat else array).tolist()


def _flatten(spec: TensorSpec, data: Any) -> _Flat:
    shape: list[int] = []
    level = [data]
    # A level at a time with C-speed passes: a picture has 150 000 numbers, and a Python loop over them would show.
    while True:
        kinds = frozenset(map(type, level))
        if list not in kinds:
            return _Flat(tuple(shape), level, kinds)
        lengths = set(map(len, level)) if kinds == {list} else set()
        if len(lengths) != 1:
            raise InvalidRequest(f"input {spec.name}: the lists are ragged; all lists of one level need one length")
        if len(shape) == MAX_DEPTH:
            raise InvalidRequest(f"input {spec.name}: nested deeper than {MAX_DEPTH} lists")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))


def _check_shape(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise InvalidRequest(f"input {spec.name}: shape {list(shape)} has no values")
    # The runtime says [] for a scalar and for a tensor of unknown rank alike; it checks a scalar's rank itself.
    if not spec.shape:
        return
    fits = len(shape) == len(spec.shape) and all(
        wanted in (-1, size) for wanted, size in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidRequest(f"input {spec.name}: shape {list(shape)} doesn't fit {list(spec.shape)} (-1 is any size)")


def _typed(spec: TensorSpec, flat: _Flat) -> Array:
    if spec.datatype == "BOOL":
        _only(spec, flat, {bool}, "true or false")
        return np.array(flat.values, dtype=np.bool_)
    if spec.datatype == "BYTES":
        _only(spec, flat, {str}, "strings")
        return _strings(spec, flat.values)
    _only(spec, flat, {int, float}, "numbers")
    if spec.datatype.startswith("FP"):
        return _floats(spec, flat.values)
    return _integers(spec, flat)


def _only(spec: TensorSpec, flat: _Flat, allowed: set[type], words: str) -> None:
    for kind in flat.kinds:
        if kind not in allowed:
            found = _KIND_WORDS.get(kind, "something else")
            raise InvalidRequest(f"input {spec.name}: needs {words} ({spec.datatype}), found {found}")


def _strings(spec: TensorSpec, values: list[str]) -> Array:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"input {spec.name}: a string has half of a surrogate pair; it isn't text") from None
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array


def _floats(spec: TensorSpec, values: list[float]) -> Array:
    try:
        exact = np.array(values, dtype=np.float64)
    except OverflowError:  # a whole number beyond float64
        raise _out_of_range(spec) from None
    if not np.isfinite(exact).all():
        raise InvalidRequest(f"input {spec.name}: NaN and Infinity aren't allowed")
    with np.errstate(over="ignore", under="ignore"):
        typed = exact.astype(NUMPY_TYPES[spec.datatype])
    if not np.isfinite(typed).all():
        raise _out_of_range(spec)
    return typed


def _integers(spec: TensorSpec, flat: _Flat) -> Array:
    values = flat.values
    if float in flat.kinds:
        if not all(map(isfinite, (value for value in values if isinstance(value, float)))):
            raise InvalidRequest(f"input {spec.name}: NaN and Infinity aren't allowed")
        if any(isinstance(value, float) and not value.is_integer() for value in values):
            raise InvalidRequest(f"input {spec.name}: needs whole numbers ({spec.datatype}), found a fraction")
        values = list(map(int, values))
    bounds = np.iinfo(NUMPY_TYPES[spec.datatype])  # type: ignore[type-var] # the table's other rows don't come here
    if min(values) < bounds.min or max(values) > bounds.max:
        raise _out_of_range(spec)
    return np.array(values, dtype=NUMPY_TYPES[spec.datatype])


def _out_of_range(spec: TensorSpec) -> InvalidRequest:
    return InvalidRequest(f"input {spec.name}: a number is out of the range of {spec.datatype}")
