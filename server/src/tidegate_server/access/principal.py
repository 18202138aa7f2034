"""Who a request is from, as far as the server knows."""

from dataclasses import dataclass
from typing import Literal

MAX_NAME_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Principal:
    """`name` is short, printable ASCII, and no secret: it is written into the access log."""

    name: str
    kind: Literal["anonymous", "key", "token"]


ANONYMOUS = Principal("", "anonymous")
"""Whoever it is, where inference is open."""


def printable_name(text: str) -> str:
    """What a token says about its bearer, made fit for a log."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text[:MAX_NAME_LENGTH])
