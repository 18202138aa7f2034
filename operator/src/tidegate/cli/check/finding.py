"""One thing that was looked at, and how it is. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """A release works, and somebody should look."""
    WRONG = "wrong"
    """A release won't work, or won't be judged."""
    UNSEEN = "not seen"
    """It can't be told from here."""


@dataclass(frozen=True)
class Finding:
    """`what` is one sentence; for anything but OK it says what to do."""

    about: str
    state: State
    what: str
