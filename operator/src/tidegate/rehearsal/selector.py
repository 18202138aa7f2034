"""PromQL's instant selectors, as far as Tidegate's own metric sources write them. Pure."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED = {"n": "\n", "t": "\t"}
Labels = Mapping[str, str]


@lru_cache(256)
def selector(promql: str) -> Callable[[Labels], bool]:
    """Whether a series with these labels, `__name__` among them, is selected. Raises ValueError for anything else."""
    text = promql.strip()
    name = _NAME.match(text)
    rest = text[name.end() :] if name else text
    matchers = [_matcher("__name__", "=", name[0])] if name else []
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            raise ValueError(f"{promql!r} is no selector")
        matchers += _inside(rest[1:-1], promql)
    return lambda labels: all(matches(labels) for matches in matchers)


def _inside(text: str, promql: str) -> list[Callable[[Labels], bool]]:
    found, position = [], 0
    while position < len(text.rstrip()):
        matched = _MATCHER.match(text, position)
        if matched is None:
            raise ValueError(f"{promql!r} is no selector")
        label, operator, value = matched.groups()
        found.append(_matcher(label, operator, re.sub(r"\\(.)", lambda each: _ESCAPED.get(each[1], each[1]), value)))
        position = matched.end()
    return found


def _matcher(label: str, operator: str, value: str) -> Callable[[Labels], bool]:
    """A label that a series hasn't is empty, and a pattern has to match all of it, as Prometheus has it."""
    if operator in ("=", "!="):
        wanted = operator == "="
        return lambda labels: (labels.get(label, "") == value) is wanted
    try:
        pattern, wanted = re.compile(value, re.DOTALL), operator == "=~"
    except re.error as error:
        raise ValueError(f"{value!r} is no selector's pattern: {error}") from error
    return lambda labels: (pattern.fullmatch(labels.get(label, "")) is not None) is wanted
