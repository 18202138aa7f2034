"""JSON values to arrays and back. Pure. Whatever the value, the result is an array or an InvalidRequest.

JSON has one kind of number and no NaN; a model has datatypes with bounds. Everything that can't be carried over
exactly in kind is refused with the input's name: a fraction for an integer, a number out of range, a ragged list.

A picture has 150 000 numbers and a small question has 64, and a loop in Python would show in both: every step here is
one call that runs over all values in C. Numbers are packed by `struct`, which checks their range on the way and is
twice as fast as numpy for small lists and as fast for large ones. The arrays are read-only.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from math import nan, prod
from typing import Any

import numpy as np

from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.protocol.limits import Limits, NotFinite
from tidegate_server.protocol.signature import NUMPY_TYPES, TensorSpec

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]
"""By name."""

DTYPES: dict[str, np.dtype[Any]] = {datatype: np.dtype(kind) for datatype, kind in NUMPY_TYPES.items()}

VALUES_AT_ONCE = 2**16
"""Looked at within few milliseconds; of more than that, other threads have their turn in between."""
_NUMBER = frozenset({int, float})
_LARGEST_EXACT_FLOAT = 2**53
PACKED_AS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
    "BF16": "f",
}
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
NOT_FINITE_WORDS = tuple(_WORDS.values())
FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})
MAX_EMPTY_SIZE = 2**20
"""Of an empty tensor's other dimensions together: outputs may have as many values."""
_KINDS: dict[str, frozenset[type]] = {
    **dict.fromkeys(PACKED_AS, _NUMBER),
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
}
_WANTED_WORDS = {"BOOL": "true or false", "BYTES": "strings"}
_KIND_WORDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
    type(None): "null",
    list: "a list",
}

Kinds = set[type]


def array_from_json(spec: TensorSpec, data: Any, limits: Limits) -> Array:
    """`data` as parse_json gives it: lists whose nesting is the shape. Raises InvalidRequest naming the input."""
    shape, values, kinds = flatten(spec, data, limits)
    shape = shape if values else _complete(spec, shape)
    check_shape(spec, shape, limits)
    return typed_array(spec, shape, values, kinds, limits)


def array_from_flat_json(spec: TensorSpec, shape: Sequence[int], data: Any, limits: Limits) -> Array:
    """Row-major values, flat or nested to `shape`, as the protocol has it. Raises InvalidRequest naming the input."""
    count = _fitting_count(spec, shape, limits)
    if type(data) is list and len(data) == count and list not in (kinds := kinds_of(data)):
        return typed_array(spec, shape, data, kinds, limits)
    # A shape that promises more than came is a mistake and not too much, so it's compared before it's limited.
    found, values, kinds = flatten(spec, data, limits)
    is_empty = not values and found == tuple(shape[: len(found)])
    if not is_empty and found not in ((count,), tuple(shape)):
        raise InvalidRequest(
            f"input {spec.name}: the data has shape {list(found)}, which is neither the declared shape "
            f"{list(shape)} nor a flat list of {count} values"
        )
    return typed_array(spec, shape, values, kinds, limits)


def check_shape(spec: TensorSpec, shape: Sequence[int], limits: Limits) -> int:
    """The number of elements; sizes are whole numbers from 0. Raises InvalidRequest naming the input."""
    count = _fitting_count(spec, shape, limits)
    if count > limits.max_elements:
        raise too_many_elements(f"input {spec.name}: shape {list(shape)} has", limits)
    return count


def _fitting_count(spec: TensorSpec, shape: Sequence[int], limits: Limits) -> int:
    expected_shape = spec.shape
    # The runtime says [] for a scalar and for a tensor of unknown rank alike, and takes any rank for either.
    if expected_shape and len(shape) != len(expected_shape):
        raise InvalidRequest(
            f"input {spec.name}: {_dimensions(len(shape))}, but the model's shape {list(expected_shape)} "
            f"(-1 is any size) has {len(expected_shape)}"
        )
    if len(shape) > limits.max_depth:
        raise InvalidRequest(f"input {spec.name}: {_dimensions(len(shape))}, at most {limits.max_depth} are allowed")
    for size, expected in zip(shape, expected_shape, strict=False):
        if size != expected and expected != -1:
            sentence = f"input {spec.name}: shape {list(shape)} doesn't fit {list(expected_shape)} (-1 is any size)"
            raise InvalidRequest(sentence)
    count = prod(shape)
    if count == 0 and prod(size for size in shape if size) > MAX_EMPTY_SIZE:
        raise InvalidRequest(f"input {spec.name}: shape {list(shape)} has no values and sizes beyond {MAX_EMPTY_SIZE}")
    return count


def _complete(spec: TensorSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Lists that hold nothing can't say what would be inside them; the model's shape does."""
    return shape + tuple(0 if size == -1 else size for size in spec.shape[len(shape) :])


def too_many_elements(who: str, limits: Limits) -> InvalidRequest:
    """The error, with status 413. `who` has too many, in words."""
    sentence = f"{who} more than {limits.max_elements} values (TIDEGATE_MAX_ELEMENTS); send fewer at once"
    return InvalidRequest(sentence, status=413)


def flatten(spec: TensorSpec, data: Any, limits: Limits) -> tuple[tuple[int, ...], list[Any], Kinds]:
    """The nesting, the values in row-major order, and their kinds."""
    shape: list[int] = []
    level = [data]
    while True:
        kinds = kinds_of(level)
        if list not in kinds:
            return tuple(shape), level, kinds
        lengths = set(map(len, level)) if len(kinds) == 1 else set()
        if len(lengths) != 1:
            raise InvalidRequest(f"input {spec.name}: the lists are ragged; all lists of one level need one length")
        if len(shape) == limits.max_depth:
            raise InvalidRequest(f"input {spec.name}: nested deeper than {limits.max_depth} lists")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))


def kinds_of(values: list[Any]) -> Kinds:
    """The types of values, of which there are few."""
    if len(values) <= VALUES_AT_ONCE:
        return set(map(type, values))
    return {kind for begin in range(0, len(values), VALUES_AT_ONCE) for kind in kinds_of(_slice(values, begin))}


def typed_array(spec: TensorSpec, shape: Sequence[int], values: list[Any], kinds: Kinds, limits: Limits) -> Array:
    """The values, of these kinds and as many as the shape has, in the input's datatype. Raises InvalidRequest."""
    datatype = spec.datatype
    if not kinds <= _KINDS[datatype]:
        values = _without_missing(spec, values, kinds, limits)
    if datatype == "BYTES":
        return string_array(values, shape)
    if float in kinds and datatype not in FLOATS:
        values = _whole(spec, values)
    try:
        packed = _packed(PACKED_AS[datatype], values)
    except (struct.error, OverflowError):  # their kinds were checked, so it's the range
        raise InvalidRequest(f"input {spec.name}: a number is out of the range of {datatype}") from None
    return np.ndarray(shape, DTYPES[datatype], packed)


@lru_cache(maxsize=512)
def packer(code: str, count: int) -> struct.Struct:
    """Makes little-endian bytes of so many values. `code` as in PACKED_AS."""
    return struct.Struct(f"={count}{code}")


def string_array(values: Sequence[str | bytes], shape: Sequence[int]) -> Array:
    """An array of Python objects, which is how the runtime takes and gives text."""
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array.reshape(shape)


def json_ready(name: str, array: Array, not_finite: NotFinite = "Auto") -> Any:
    """What dump_json writes as lists nested to the array's shape, with as few digits as its datatype needs.

    So can be each of its rows.

    Raises NotFiniteOutput where `not_finite` says so, and InvalidRequest for BYTES that aren't text.
    """
    if array.dtype.kind == "O":
        return string_array(text_values(name, array), array.shape).tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return with_not_finite(name, array, not_finite)
    if array.dtype.kind in "iu":
        # The runtime says "long long", which is the same, but orjson doesn't know single values of it.
        array = array.view(f"{array.dtype.kind}{array.dtype.itemsize}")
    return np.ascontiguousarray(array) if array.ndim else array[()]


def text_values(name: str, array: Array) -> list[str]:
    """A BYTES output in row-major order. Raises InvalidRequest when a value isn't UTF-8."""
    values: list[Any] = array.ravel().tolist()
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"output {name}: a value isn't UTF-8 text, which JSON can't carry; ask for binary output (binary_data)"
        ) from None


def with_not_finite(name: str, array: Array, not_finite: NotFinite) -> Any:
    """What dump_json writes for an array with NaN or infinity in it, nested to its shape. Raises NotFiniteOutput."""
    if not_finite == "refuse" or (not_finite == "Auto" and np.isnan(array).all()):
        raise NotFiniteOutput(name)
    if not_finite == "string":
        words = [value if np.isfinite(value) else _WORDS[str(value)] for value in array.ravel()]
        return string_array(words, array.shape).tolist()
    return np.ascontiguousarray(array) if array.ndim else array[()]  # dump_json makes null of what isn't finite


def require_finite(name: str, array: Array) -> None:
    """Raises NotFiniteOutput."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotFiniteOutput(name)


def _without_missing(spec: TensorSpec, values: list[Any], kinds: Kinds, limits: Limits) -> list[Any]:
    others = kinds - _KINDS[spec.datatype]
    missing = type(None) in others and spec.datatype in FLOATS
    for kind in others - {type(None)} if missing else others:
        wanted = _WANTED_WORDS.get(spec.datatype, "numbers")
        found = _KIND_WORDS.get(kind, "something else")
        raise InvalidRequest(f"input {spec.name}: needs {wanted} ({spec.datatype}), found {found}")
    if not limits.allow_nan:
        raise InvalidRequest(
            f"input {spec.name}: needs numbers ({spec.datatype}), found null or NaN; set TIDEGATE_MISSING_VALUES=allow "
            "if the model takes missing values"
        )
    return [nan if value is None else value for value in values]


def _whole(spec: TensorSpec, values: list[Any]) -> list[int]:
    try:
        whole = list(map(int, values))
    except (ValueError, OverflowError):  # of NaN and of infinity there is no integer
        whole = []
    if whole != values:
        raise InvalidRequest(f"input {spec.name}: needs whole numbers ({spec.datatype}), found a fraction")
    # What is beyond 64 bits arrives as a float too, rounded to what may be within them.
    if max(map(abs, whole)) > _LARGEST_EXACT_FLOAT and any(
        type(value) is float and abs(value) > _LARGEST_EXACT_FLOAT for value in values
    ):
        raise InvalidRequest(
            f"input {spec.name}: a number is out of the range of {spec.datatype}, or beyond 2**53 with a fraction or "
            "an exponent; write large whole numbers as digits"
        )
    return whole


def _dimensions(count: int) -> str:
    return f"{count} dimension{'' if count == 1 else 's'}"


def _packed(code: str, values: list[Any]) -> bytes:
    if len(values) <= VALUES_AT_ONCE:
        return packer(code, len(values)).pack(*values)
    return b"".join(_packed(code, _slice(values, begin)) for begin in range(0, len(values), VALUES_AT_ONCE))


def _slice(values: list[Any], begin: int) -> list[Any]:
    return values[begin : begin + VALUES_AT_ONCE]
