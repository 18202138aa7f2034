"""Dataclasses to and from the API's objects, field by field. Pure.

A field lies under its own name in camelCase, or where its metadata `at("exposure.requests")` says. Instants are RFC
3339; numbers with a fraction are text, as CRDs avoid them. What is empty is left out, so that it goes when the whole is
written; what isn't known, such as a newer operator's field, isn't read.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from tidegate.model.units import format_instant, parse_instant

T = TypeVar("T")
EMPTY: tuple[Any, ...] = (None, "", {}, [])
WITHOUT_DEFAULT: Mapping[Any, Any] = {str: "", int: 0}
"""What a field of such a type is where the API's object lacks it, and the dataclass has no default."""


def at(path: str | None) -> Mapping[str, Any]:
    """Metadata of a field that lies elsewhere than its name says; None keeps it out of the API's object."""
    return {"path": path}


def rare(path: str | None = None) -> Mapping[str, Any]:
    """Metadata of a field that is left out where it has its default, as most objects have."""
    return {"rare": True, **({"path": path} if path else {})}


def to_api(value: Any) -> Any:
    """The API's form of a dataclass, a tuple of them, or a single value."""
    if is_dataclass(value):
        return _object(value)
    if isinstance(value, tuple):
        return [to_api(item) for item in value]
    if isinstance(value, datetime):
        return format_instant(value)
    return f"{value:.1f}" if isinstance(value, float) else value


def from_api(kind: type[T], raw: Mapping[str, Any]) -> T:
    """The inverse of `to_api`. Raises KeyError where an instant is missing that has no default."""
    return kind(**{each.name: _read(each, raw) for each in _fields(kind) if each.path})


def canonical(value: Any) -> Any:
    """What two values that mean the same have in common, for a digest that outlives us.

    Fields have the API's names. One that has a default and that value isn't named, so that a field of a newer operator,
    whose default is what was done before, changes no digest.
    """
    if is_dataclass(value):
        named = {".".join(each.path): (each, getattr(value, each.name)) for each in _fields(type(value))}
        return {name: canonical(item) for name, (each, item) in named.items() if item != each.default}
    if isinstance(value, tuple):
        return [canonical(item) for item in value]
    return value.total_seconds() if isinstance(value, timedelta) else value


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in _fields(type(value)):
        if not each.path:
            continue
        item = to_api(getattr(value, each.name))
        if item in EMPTY or (each.is_rare and item == each.default):
            continue
        *above, last = each.path
        place = found
        for name in above:
            place = place.setdefault(name, {})
        place[last] = {**place.get(last, {}), **item} if isinstance(item, dict) else item
    return found


def _read(each: "_Field", raw: Mapping[str, Any]) -> Any:
    found: Any = raw
    for name in each.path:
        # A dict, which is what JSON is read to, is known much sooner than any other Mapping.
        found = found.get(name) if isinstance(found, dict) or isinstance(found, Mapping) else None  # noqa: SIM101
    if found not in (None, {}):
        return each.read(found)
    if each.absent is MISSING:
        raise KeyError(".".join(each.path))
    return each.absent


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns the API's form of a field into the dataclass' own."""
    if isinstance(hint, types.UnionType):
        return _reader(next(part for part in get_args(hint) if part is not types.NoneType))
    if get_origin(hint) is tuple:
        item = _reader(get_args(hint)[0])
        return lambda found: tuple(map(item, found))
    if is_dataclass(hint):
        return partial(from_api, hint)  # type: ignore[arg-type] # a dataclass' type, not one of its values
    if hint is datetime:
        return parse_instant
    return float if hint is float else lambda found: found


class _Field(NamedTuple):
    """What is known of a dataclass' field without looking again: a status is read and written at each reconcile."""

    name: str
    path: tuple[str, ...]
    default: Any
    absent: Any
    """What it is where the API's object lacks it; MISSING where that is an error."""
    read: Callable[[Any], Any]
    is_rare: bool = False


def _fields(kind: Any) -> Sequence[_Field]:
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        _KNOWN[kind] = [_known(each, hints[each.name]) for each in fields(kind)]
    return _KNOWN[kind]


_KNOWN: dict[Any, Sequence[_Field]] = {}


def _known(each: "Field[Any]", hint: Any) -> _Field:
    absent = WITHOUT_DEFAULT.get(hint, MISSING) if each.default is MISSING else each.default
    return _Field(each.name, _path(each), each.default, absent, _reader(hint), "rare" in each.metadata)


def _path(each: "Field[Any]") -> tuple[str, ...]:
    if "path" in each.metadata:
        return tuple(each.metadata["path"].split(".")) if each.metadata["path"] else ()
    first, *rest = each.name.split("_")
    return (first + "".join(word.capitalize() for word in rest),)
