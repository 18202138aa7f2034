"""As much of PromQL as the operator uses: a selector of raw samples, as in `name{a="b",c=~"d|e"}[300s]`. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_QUERY = re.compile(r"\s*([a-zA-Z_:][\w:]*)?\s*(?:\{(.*)\})?\s*\[(\d+)s\]\s*", re.DOTALL)
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?')


@dataclass(frozen=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str

    def holds(self, text: str) -> bool:
        """Whether a series with this text there is selected; a label that is missing is empty."""
        match self.operator:
            case "=":
                return text == self.value
            case "!=":
                return text != self.value
            case "=~":
                return _pattern(self.value).fullmatch(text) is not None
            case _:
                return _pattern(self.value).fullmatch(text) is None


@dataclass(frozen=True)
class RangeQuery:
    """A selector, and for how many seconds up to its time its samples are wanted."""

    matchers: tuple[Matcher, ...]
    seconds: int

    def wants(self, labels: Mapping[str, str], only: Sequence[str] | None = None) -> bool:
        """Whether a series is selected, as far as the conditions on the labels `only` say so."""
        asked = self.matchers if only is None else [each for each in self.matchers if each.label in only]
        return all(matcher.holds(labels.get(matcher.label, "")) for matcher in asked)

    def value_of(self, label: str) -> str | None:
        """What the first condition on a label says."""
        return next((each.value for each in self.matchers if each.label == label), None)


def parse(text: str) -> RangeQuery | None:
    """None for anything else."""
    found = _QUERY.fullmatch(text)
    if found is None:
        return None
    name, inside, seconds = found.groups()
    matchers = [Matcher(*each) for each in _matchers(inside or "")]
    named = [Matcher("__name__", "=", name)] if name else []
    return RangeQuery((*named, *matchers), int(seconds))


def _matchers(text: str) -> list[tuple[str, str, str]]:
    unescape: Callable[[str], str] = lambda value: re.sub(r"\\(.)", r"\1", value)  # noqa: E731 - one expression
    return [(label, operator, unescape(value)) for label, operator, value in _MATCHER.findall(text)]


@lru_cache(maxsize=10_000)
def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(value)
