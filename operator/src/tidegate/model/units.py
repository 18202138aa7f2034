"""Durations, percentages and instants as the API writes them, both directions; and numbers of things."""

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_DURATION = re.compile(r"(\d+)(ms|s|m|h)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}


def parse_duration(text: str) -> timedelta:
    """`1h30m` → 90 minutes. Raises ValueError on anything that isn't a row of whole numbers with units."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 90s, 2m or 1h30m")
    return sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())


def format_duration(span: timedelta) -> str:
    """The shortest of the API's spellings: 90 minutes → `1h30m`. Rounds to whole seconds."""
    seconds = round(span.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n]
    return "".join(parts) or "0s"


def format_duration_precisely(span: timedelta) -> str:
    """The same below a second: 250 ms → `250ms`."""
    if span < timedelta(seconds=1):
        return f"{span / timedelta(milliseconds=1):g}ms"
    return format_duration(span)


def format_duration_roughly(span: timedelta) -> str:
    """Minutes where there are many: `2h14m` and not `2h13m47s`."""
    if span < timedelta(minutes=5):
        return format_duration(span)
    return format_duration(timedelta(minutes=math.ceil(span / timedelta(minutes=1))))


def counted(number: int, noun: str) -> str:
    """`1 pod`, `2 pods`: a number of what gets an s where it isn't one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)")
_SUFFIXES = {
    "": Fraction(1),
    **{suffix: Fraction(1, 1000 ** (3 - power)) for power, suffix in enumerate("num")},
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def parse_quantity(value: str | int | float) -> Fraction:
    """Kubernetes' quantities, exactly: `500m` → 1/2, `1Gi` → 1024³, `1e3` → 1000.

    Raises ValueError on anything else.
    """
    found = _QUANTITY.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 1Gi")
    number, exponent, suffix = found.groups()
    if exponent is not None and abs(int(exponent)) > 100:
        raise ValueError(f"{value!r} is beyond what a quantity can be")
    return Fraction(number) * (Fraction(10) ** int(exponent or 0)) * _SUFFIXES[suffix or ""]


def parse_percent(text: str) -> float:
    """`0.5%` → 0.005."""
    if not text.endswith("%"):
        raise ValueError(f"{text!r} is not a percentage such as 0.5%")
    return float(text[:-1]) / 100


def format_percent(share: float) -> str:
    """0.0041 → `0.41%`, 0.25 → `25%`: three significant digits."""
    return f"{share * 100:.3g}%"


def parse_instant(text: str) -> datetime:
    """RFC 3339 → an aware datetime in UTC."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def format_instant(at: datetime) -> str:
    """An aware datetime → RFC 3339 in whole seconds, which is what Kubernetes stores."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
