"""What the API server does with a spec, as far as it can be done without one. Pure: the CRD's schema comes in.

It fills in defaults, and it refuses what the CRD's own rules refuse. Of those rules it knows patterns, comparisons and
presence; a rule that is made of anything else holds here, and the API server has the last word on it.
"""

import copy
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from tidegate.model.units import parse_duration

Schema = Mapping[str, Any]
"""A part of a CRD's openAPIV3Schema."""

_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": Mapping}
_PATH = r"self(?:\.\w+)*"
_MATCHES = re.compile(rf"({_PATH})\.matches\('(.*)'\)")
_EQUALS = re.compile(rf"({_PATH}) == '(.*)'")
_HAS = re.compile(rf"(!?)has\(({_PATH})\)")
_COMPARED = re.compile(r"(.+) (>=|<=|>|<) (.+)")
_DOUBLE = re.compile(rf"double\(({_PATH}?)(?:\.replace\('%', ''\))?\)")
_DURATION = re.compile(rf"duration\((?:({_PATH})|'(\w+)')\)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def with_defaults(schema: Schema, value: Any) -> Any:
    """`value` with every default that the schema gives to what is absent."""
    if schema.get("type") == "object" and isinstance(value, Mapping):
        filled = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in filled and "default" in field:
                filled[name] = copy.deepcopy(field["default"])
            if name in filled:
                filled[name] = with_defaults(field, filled[name])
        return filled
    if schema.get("type") == "array" and isinstance(value, list):
        return [with_defaults(schema["items"], item) for item in value]
    return value


def leaves(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """(dotted path, schema) of every field that holds a value and no further fields; a list is a value."""
    for name, field in schema.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        if "properties" in field:
            yield from leaves(field, at)
        else:
            yield at, field


def refusals(schema: Schema, value: Any, path: str, rule_holds: "Holds | None" = None) -> Iterator[str]:
    """Sentences on what the API server would refuse in `value`, which is found at `path`; the innermost come first.

    `rule_holds` says whether a rule in CEL holds for a value, for whoever knows more of CEL than `holds`.
    """
    expected = schema.get("type")
    if expected and not _is(expected, value):
        yield f"{path} must be of type {expected}, not {value!r}"
        return
    for part, field, at in _parts(schema, value, path):
        yield from refusals(field, part, at, rule_holds)
    yield from _out_of_bounds(schema, value, path)
    for rule in schema.get("x-kubernetes-validations", ()):
        if not (rule_holds or holds)(rule["rule"], value):
            message: str = rule["message"]
            named = "spec." in message or message.startswith("metadata.")
            yield message if named else f"{path} {message}"


Holds = Callable[[str, Any], bool]


def _parts(schema: Schema, value: Any, path: str) -> Iterator[tuple[Any, Schema, str]]:
    """What is inside of a value, with the schema that it has to meet and its path."""
    if isinstance(value, list) and "items" in schema:
        yield from ((item, schema["items"], f"{path}[{index}]") for index, item in enumerate(value))
    if isinstance(value, Mapping):
        named, any_name = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            if field := named.get(name, any_name if isinstance(any_name, Mapping) else None):
                yield part, field, f"{path}.{name}"


def unknown_fields(schema: Schema, value: Any, path: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path of an object, a field that the schema doesn't have there, those that it has)."""
    if isinstance(value, Mapping) and "properties" in schema and "additionalProperties" not in schema:
        for name in value:
            if name not in schema["properties"]:
                yield path, str(name), tuple(schema["properties"])
    for part, field, at in _parts(schema, value, path):
        yield from unknown_fields(field, part, at)


def told_unknown(path: str, name: str, known: tuple[str, ...]) -> str:
    """The sentence on a field that the schema doesn't have in the object at `path`."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    field = f"{path}.{name}".lstrip(".")
    return f"{field} isn't a field; {f'the nearest is {near[0]}' if near else 'there are ' + ', '.join(sorted(known))}"


def _is(expected: str, value: Any) -> bool:
    return isinstance(value, _TYPES[expected]) and (expected == "boolean" or not isinstance(value, bool))


def _out_of_bounds(schema: Schema, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (
            f"{path} lacks {name}, which has to be given" for name in schema.get("required", ()) if name not in value
        )
    if isinstance(value, str):
        yield from _unlike(schema, value, path)
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} must be one of {', '.join(schema['enum'])}, not {value!r}"
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path} must be a whole number from {schema.get('minimum')} to {schema.get('maximum')}, not {value}"
    if isinstance(value, list) and not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{path} must have from {schema.get('minItems', 0)} to {schema.get('maxItems')} items, not {len(value)}"


def _unlike(schema: Schema, text: str, path: str) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
    if not least <= len(text) <= most:
        yield f"{path} must have from {least} to {most} characters, not {len(text)}"
    if "pattern" in schema and re.search(schema["pattern"], text) is None:
        yield f"{path} must match {schema['pattern']}, and {text[:80]!r} doesn't"


def holds(rule: str, value: Any) -> bool:
    """Whether a rule in CEL holds for `value`, which it calls `self`. What isn't understood holds."""
    return any(all(_clause_holds(clause.strip(), value) for clause in each.split("&&")) for each in rule.split("||"))


def _clause_holds(clause: str, value: Any) -> bool:
    if found := _MATCHES.fullmatch(clause):
        return re.search(found[2].replace("\\\\", "\\"), str(_at(found[1], value))) is not None
    if found := _EQUALS.fullmatch(clause):
        return bool(_at(found[1], value) == found[2])
    if found := _HAS.fullmatch(clause):
        return (_at(found[2], value) is not None) is not bool(found[1])
    if found := _COMPARED.fullmatch(clause):
        return _compared(found[1], found[2], found[3], value)
    return True


def _compared(left: str, sign: str, right: str, value: Any) -> bool:
    try:
        one, other = _operand(left, value), _operand(right, value)
    except (ValueError, TypeError):
        return False
    return one is None or other is None or bool(_COMPARE[sign](one, other))


def _operand(text: str, value: Any) -> Any:
    """A number or a time span, both comparable with their like; None for anything that isn't understood."""
    if found := _DOUBLE.fullmatch(text):
        return float(str(_at(found[1], value)).replace("%", ""))
    if found := _DURATION.fullmatch(text):
        return parse_duration(found[2] or str(_at(found[1], value)))
    return float(text) if _NUMBER.fullmatch(text) else None


def _at(path: str, value: Any) -> Any:
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
