"""Which requests a group is known by: their headers, cookies and query. Pure.

A request is of the group where all conditions of one of its rules hold. Routers compare as Envoy does: a regular
expression is RE2's, and has to match the whole value.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PLACES = {"headers": "header", "cookies": "cookie", "query": "query parameter"}
"""Where a condition looks, as a rule names it, and what people call one."""
WAYS = ("exact", "prefix", "regex")
MOST_RULES, MOST_CONDITIONS = 8, 8
"""Of a step, and of a rule in one place."""
LONGEST_NAME, LONGEST_VALUE = 64, 256
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!|>|P=|\()|\\[1-9]|[*+?}]\+")
"""Of Python's expressions, what RE2 doesn't have."""

ROUTERS_OWN = frozenset(
    [
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Those that are about the connection, that the router writes itself, or that have a place of their own."""
ROUTERS_OWN_PREFIXES = ("proxy-", "x-envoy-", "x-forwarded-", "x-tidegate-")


@dataclass(frozen=True)
class Condition:
    """One value of a request. `place` is of PLACES, `way` of WAYS."""

    place: str
    name: str
    way: str
    value: str

    def __str__(self) -> str:
        return f"{PLACES[self.place]} {self.name} {self.way} {self.value!r}"


Rule = tuple[Condition, ...]
Rules = tuple[Rule, ...]


def read_rules(raw: object, where: str, preview_header: str = "") -> Rules:
    """Parses a list of rules. Raises ValueError with a sentence that names the field."""
    if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_RULES:
        raise ValueError(f"{where} has to be a list of 1 to {MOST_RULES} rules")
    return tuple(_rule(each, f"{where}[{at}]", preview_header) for at, each in enumerate(raw))


def plain_rules(rules: Rules) -> list[dict[str, list[dict[str, str]]]]:
    """What `read_rules` reads."""
    plain = []
    for rule in rules:
        by_place: dict[str, list[dict[str, str]]] = {}
        for condition in rule:
            by_place.setdefault(condition.place, []).append({"name": condition.name, condition.way: condition.value})
        plain.append(by_place)
    return plain


def _rule(raw: object, where: str, preview_header: str) -> Rule:
    if not isinstance(raw, Mapping) or not raw or raw.keys() - PLACES.keys():
        raise ValueError(f"{where} has to have {', '.join(PLACES)}, one of them at least, and nothing else")
    rule = tuple(each for place in PLACES if place in raw for each in _conditions(raw[place], place, where))
    if len({(each.place, each.name) for each in rule}) < len(rule):
        raise ValueError(f"{where} asks for one name twice, and both can't hold; make it two rules")
    if preview_header and any((each.place, each.name) == ("headers", preview_header) for each in rule):
        raise ValueError(f"{where}: {preview_header} names a revision to be previewed; match another header")
    return rule


def _conditions(raw: object, place: str, where: str) -> Iterator[Condition]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MOST_CONDITIONS:
        raise ValueError(f"{where}.{place} has to be a list of 1 to {MOST_CONDITIONS}")
    for at, each in enumerate(raw):
        yield _condition(each, place, f"{where}.{place}[{at}]")


def _condition(raw: Any, place: str, where: str) -> Condition:
    ways = [way for way in WAYS if isinstance(raw, Mapping) and way in raw]
    if len(ways) != 1 or len(raw) != 2 or not all(isinstance(each, str) for each in raw.values()):
        raise ValueError(f"{where} has to have a name, and exactly one of {', '.join(WAYS)}")
    way, name = ways[0], str(raw.get("name", ""))
    value = str(raw[way])
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ValueError(f"{where}.name: {name!r} is no name of a {PLACES[place]}")
    if place == "headers" and is_routers_own(name):
        raise ValueError(f"{where}.name: {name} is the router's own, or not in small letters; match another header")
    if not 1 <= len(value) <= LONGEST_VALUE:
        raise ValueError(f"{where}.{way} has to have 1 to {LONGEST_VALUE} characters")
    if way == "regex":
        _check_expression(value, f"{where}.regex")
    return Condition(place, name, way, value)


def is_routers_own(name: str) -> bool:
    """Whether nobody can be known by a header of this name."""
    return name != name.lower() or name in ROUTERS_OWN or name.startswith(ROUTERS_OWN_PREFIXES)


def _check_expression(value: str, where: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{where}: {value!r} is no regular expression: {error}") from error
    if _NOT_RE2.search(value):
        raise ValueError(
            f"{where}: {value!r} has what RE2 doesn't: look-around, a reference back or a possessive count"
        )
