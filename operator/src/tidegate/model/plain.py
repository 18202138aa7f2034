"""Values of the model as what JSON can hold, and back by their types: no field can be forgotten. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
MICROSECOND = timedelta(microseconds=1)


def plain(value: object) -> Any:
    """What JSON can hold; a mapping becomes its pairs, as a key needn't be text. Raises TypeError on other kinds."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // MICROSECOND
    if isinstance(value, Mapping):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    raise TypeError(f"a {type(value).__name__} can't be written down")


def from_plain(kind: type[T], data: Any) -> T:
    """The inverse, for a value of that type. Raises ValueError, TypeError or LookupError on anything else.

    A field that an older release didn't write has its default.
    """
    return cast(T, _read(kind, data))


def _read(kind: Any, data: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_union(get_args(kind), data)
    if origin is not None:
        return _read_many(origin, get_args(kind), data)
    if issubclass(kind, datetime):
        return kind.fromisoformat(data)
    if issubclass(kind, timedelta):
        return data * MICROSECOND
    if issubclass(kind, Enum):
        return kind(data)
    if is_dataclass(kind):
        missing = _with_default(cast(type, kind)) - data.keys()
        told = {name: hint for name, hint in _hints(cast(type, kind)).items() if name not in missing}
        return cast(Any, kind)(**{name: _read(hint, data[name]) for name, hint in told.items()})
    if issubclass(kind, tuple):
        hints, left_out = list(_hints(kind).values()), len(getattr(kind, "_field_defaults", ()))
        if not len(hints) - left_out <= len(data) <= len(hints):
            raise ValueError(f"{len(data)} values for {kind.__name__}, which has {len(hints)}")
        return kind(*(_read(hint, each) for hint, each in zip(hints, data, strict=False)))
    return _read_scalar(kind, data)


def _read_union(kinds: Sequence[Any], data: Any) -> Any:
    """Of a value that may be missing, or of two kinds of plain values."""
    if data is None and NoneType in kinds:
        return None
    (kind,) = (each for each in kinds if each is not NoneType)
    return _read(kind, data)


def _read_many(origin: Any, kinds: Sequence[Any], data: Any) -> Any:
    if issubclass(origin, Mapping):
        return {_read(kinds[0], key): _read(kinds[1], each) for key, each in data}
    if origin is list:
        return [_read(kinds[0], each) for each in data]
    if kinds[-1] is ...:
        return tuple(_read(kinds[0], each) for each in data)
    return tuple(_read(kind, each) for kind, each in zip(kinds, data, strict=True))


def _read_scalar(kind: type, data: Any) -> Any:
    accepted = (float, int) if kind is float else kind
    if not isinstance(data, accepted) or (kind is not bool and isinstance(data, bool)):
        raise ValueError(f"{data!r} isn't a {kind.__name__}")
    return data


@cache
def _with_default(kind: type) -> frozenset[str]:
    """The fields of a dataclass that may be left out."""
    has = (each for each in fields(kind) if not (each.default is MISSING and each.default_factory is MISSING))
    return frozenset(each.name for each in has)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
