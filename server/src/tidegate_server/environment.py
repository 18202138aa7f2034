"""Values from environment variables. Each raises BadSetting with a sentence that names the variable."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tidegate_server.errors import BadSetting

Environ = Mapping[str, str]
Value = TypeVar("Value")


def text(environ: Environ, variable: str, default: str = "") -> str:
    """`default` also where it is empty."""
    return environ.get(variable) or default


def required(environ: Environ, variable: str, meaning: str) -> str:
    """`meaning` completes "set it to …"."""
    given = environ.get(variable)
    if not given:
        raise BadSetting(f"{variable} is missing; set it to {meaning}")
    return given


def one_of(environ: Environ, variable: str, choices: tuple[str, ...]) -> str:
    """The first choice where the variable is unset or empty."""
    given = environ.get(variable) or choices[0]
    if given not in choices:
        raise BadSetting(f"{variable} is {given!r}; it must be one of {', '.join(choices)}")
    return given


def whole(environ: Environ, variable: str, default: int, *, least: int = 1, most: int = 2**62) -> int:
    """Both bounds are allowed values."""
    given = environ.get(variable) or str(default)
    if not (given.isascii() and given.isdigit()) or not least <= int(given) <= most:
        raise BadSetting(f"{variable} is {given!r}; it must be a whole number from {least} to {most}")
    return int(given)


def number(
    environ: Environ, variable: str, default: float, *, least: float = 0, most: float = 86400, unit: str = "seconds"
) -> float:
    """Both bounds are allowed values; NaN never is."""
    given = environ.get(variable) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise BadSetting(f"{variable} is {given!r}; it must be {unit}, from {least:g} to {most:g}")
    return value


def auto(environ: Environ, variable: str, read: Callable[..., Value], *arguments: Any, **bounds: Any) -> Value | None:
    """As `read` gives it; None where it is unset, empty or `Auto`: the server finds the value out by itself."""
    return None if environ.get(variable, "") in ("", "Auto") else read(environ, variable, *arguments, **bounds)
