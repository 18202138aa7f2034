"""What a model is asked, beside what it was trained on: the counts, what is tolerated, and what comes of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from tidegate.model.units import parse_percent


class InputPolicy(StrEnum):
    """What follows where live inputs aren't those of the training. A rollback isn't among it: stable gets the same."""

    WARN = "Warn"
    """That is told, and stops nothing."""
    HOLD = "Hold"
    """The candidate gets no further before somebody has looked."""


@dataclass(frozen=True)
class InputCheck:
    """`spec.analysis.inputs`: by how much a feature's distribution may differ from the training's."""

    drift: float = 0.1
    """Of the shares of values up to an edge, or in a category."""
    on_drift: InputPolicy = InputPolicy.WARN

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "InputCheck":
        """Raises ValueError on what the CRD doesn't let through."""
        drift = parse_percent(raw["drift"]) if "drift" in raw else cls.drift
        return cls(drift, InputPolicy(raw.get("onDrift", cls.on_drift)))


class Values(NamedTuple):
    """How many values are in a bin: of live inputs, and of the training data."""

    live: int = 0
    trained: int = 0


Bins = Mapping[str, Values]
"""By what the model server calls each."""
Features = Mapping[str, Bins]
"""By feature; empty where the model has no profile."""


class InputState(StrEnum):
    """What live inputs have come to."""

    AS_TRAINED = "AsTrained"
    """As far as anybody can tell."""
    DIFFER = "Differ"
    TOO_FEW = "TooFew"
    NO_PROFILE = "NoProfile"


@dataclass(frozen=True)
class InputsSeen:
    """That, with a sentence for people."""

    state: InputState
    message: str
