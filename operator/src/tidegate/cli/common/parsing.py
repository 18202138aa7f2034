"""How a person writes amounts on the command line. Each raises Unusable with a sentence that names what was written."""

import re
from datetime import timedelta

from tidegate.cli.common.errors import Unusable
from tidegate.model.units import parse_duration, parse_percent

_TIMES = re.compile(r"[x×]?(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)[x×]")
_MORE = re.compile(r"([+-])(\d+(?:\.\d+)?)%")


def times(text: str) -> float:
    """`x5`, `5x` or `5` → 5; `+100%` → 2; `-20%` → 0.8."""
    if found := _TIMES.fullmatch(text):
        return float(found[1] or found[2])
    if found := _MORE.fullmatch(text):
        factor = 1 + float(found[1] + found[2]) / 100
        if factor >= 0:
            return factor
    raise Unusable(f"{text!r} is no multiple such as x5, 1.2x or +100%")


def share(text: str) -> float:
    """`0.5%` → 0.005, from 0% to 100%."""
    try:
        found = parse_percent(text)
    except ValueError as error:
        raise Unusable(f"{text!r} is no percentage such as 0.5%") from error
    if not 0 <= found <= 1:
        raise Unusable(f"{text!r} is not from 0% to 100%")
    return found


def error_rate(text: str, base: float) -> float:
    """`x5` → five times `base`, at most 1; `2.5%` → 0.025, whatever `base`."""
    if text.endswith("%") and text[0] not in "+-":
        return share(text)
    return min(1.0, base * times(text))


def span(text: str) -> timedelta:
    """`90s` → 90 seconds; above zero."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise Unusable(str(error)) from error
    if found <= timedelta():
        raise Unusable(f"{text!r} is no time at all")
    return found
