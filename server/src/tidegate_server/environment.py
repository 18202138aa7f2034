"""Values from environment variables. Each raises BadSetting with a sentence that names the variable."""

import math
from collections.abc import Mapping

from tidegate_server.errors import BadSetting

Environ = Mapping[str, str]


def required(environ: Environ, variable: str, meaning: str) -> str:
    """`meaning` completes "set it to …"."""
    text = environ.get(variable)
    if not text:
        raise BadSetting(f"{variable} is missing; set it to {meaning}")
    return text


def one_of(environ: Environ, variable: str, choices: tuple[str, ...]) -> str:
    """The first choice where the variable is unset or empty."""
    text = environ.get(variable) or choices[0]
    if text not in choices:
        raise BadSetting(f"{variable} is {text!r}; it must be one of {', '.join(choices)}")
    return text


def whole(environ: Environ, variable: str, default: int, *, least: int = 1, most: int = 2**62) -> int:
    """Both bounds are allowed values."""
    text = environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise BadSetting(f"{variable} is {text!r}; it must be a whole number from {least} to {most}")
    return int(text)


def number(
    environ: Environ, variable: str, default: float, *, least: float = 0, most: float = 86400, unit: str = "seconds"
) -> float:
    """Both bounds are allowed values; NaN never is."""
    text = environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise BadSetting(f"{variable} is {text!r}; it must be {unit}, from {least:g} to {most:g}")
    return value


def is_auto(environ: Environ, variable: str) -> bool:
    """Unset, empty, or `Auto`: the server finds the value out by itself."""
    return environ.get(variable, "Auto") in ("", "Auto")
