"""Who asked, as far as the server knows."""

from dataclasses import dataclass
from typing import Literal

LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is short, printable ASCII, and no secret: it is written into the access log."""

    name: str
    kind: Literal["anyone", "key", "token"]


ANYONE = Caller("", "anyone")
"""The caller where inference is open."""


def caller_name(text: str) -> str:
    """What a token says about its bearer, made fit for a log."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text[:LONGEST_NAME])
