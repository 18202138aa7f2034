"""One check and what came of it. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    LACKS = "lacks"
    """The server has no such thing, or does it otherwise than the protocol says; its callers can live with that."""
    FAILED = "failed"
    """Who asks gets a wrong answer, none, or one too late."""
    NOT_ASKED = "not asked"
    """Nobody asked for it, or something before it failed."""


@dataclass(frozen=True)
class Row:
    """`check` is the same words in each run; `what` is one sentence with what was seen."""

    check: str
    state: State
    what: str
    seconds: float = 0.0


def ok(check: str, what: str, seconds: float = 0.0) -> Row:
    """It is as it should be."""
    return Row(check, State.OK, what, seconds)


def lacks(check: str, what: str, seconds: float = 0.0) -> Row:
    """It isn't there, or isn't as the protocol says."""
    return Row(check, State.LACKS, what, seconds)


def failed(check: str, what: str, seconds: float = 0.0) -> Row:
    """It is wrong."""
    return Row(check, State.FAILED, what, seconds)


def not_asked(check: str, why: str) -> Row:
    """It wasn't looked at."""
    return Row(check, State.NOT_ASKED, why)
