"""Dataclasses to and from the API's objects, field by field. Pure.

A field lies under its own name in camelCase, or where its metadata `at("exposure.requests")` says. Instants are RFC
3339; numbers with a fraction are text, as CRDs avoid them. What is empty is left out, so that server-side apply removes
it; what isn't known, such as a newer operator's field, isn't read.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tidegate.model.units import format_instant, parse_instant

T = TypeVar("T")
EMPTY: Mapping[type, Any] = {str: "", int: 0}
"""What a field of such a type is where the API's object lacks it, and the dataclass has no default."""


def at(path: str | None) -> Mapping[str, Any]:
    """Metadata of a field that lies elsewhere than its name says; None keeps it out of the API's object."""
    return {"path": path}


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
    return kind(**{each.name: _read(each, hint, raw) for each, hint in _fields(kind) if _path(each)})


def canonical(value: Any) -> Any:
    """What two values that mean the same have in common, for a digest that outlives us.

    Fields have the API's names. One that has a default and that value isn't named, so that a field of a newer operator,
    whose default is what was done before, changes no digest.
    """
    if is_dataclass(value):
        named = {".".join(_path(each)): (each, getattr(value, each.name)) for each, _ in _fields(type(value))}
        return {name: canonical(item) for name, (each, item) in named.items() if item != each.default}
    if isinstance(value, tuple):
        return [canonical(item) for item in value]
    return value.total_seconds() if isinstance(value, timedelta) else value


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each, _ in _fields(type(value)):
        item = to_api(getattr(value, each.name))
        if (path := _path(each)) and item not in (None, "", {}, []):
            *above, last = path
            place = found
            for name in above:
                place = place.setdefault(name, {})
            place[last] = {**place.get(last, {}), **item} if isinstance(item, dict) else item
    return found


def _read(each: "Field[Any]", hint: Any, raw: Mapping[str, Any]) -> Any:
    found: Any = raw
    for name in _path(each):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found not in (None, {}):
        return _value(hint, found)
    if each.default is not MISSING:
        return each.default
    if hint in EMPTY:
        return EMPTY[hint]
    raise KeyError(".".join(_path(each)))


def _value(hint: Any, found: Any) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in found)
    if hint is datetime:
        return parse_instant(found)
    if hint is float:
        return float(found)
    return from_api(hint, found) if isinstance(hint, type) and is_dataclass(hint) else found


def _path(each: "Field[Any]") -> list[str]:
    if "path" in each.metadata:
        return each.metadata["path"].split(".") if each.metadata["path"] else []
    first, *rest = each.name.split("_")
    return [first + "".join(word.capitalize() for word in rest)]


def _fields(kind: Any) -> Sequence[tuple["Field[Any]", Any]]:
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        _KNOWN[kind] = [(each, hints[each.name]) for each in fields(kind)]
    return _KNOWN[kind]


_KNOWN: dict[Any, Sequence[tuple["Field[Any]", Any]]] = {}
