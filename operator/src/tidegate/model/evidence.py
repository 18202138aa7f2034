"""What the judge is given, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True)
class Durations:
    """A latency histogram: `cumulative[i]` requests took at most `bounds[i]` seconds; the last bound is infinity."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]

    @property
    def total(self) -> int:
        """Requests in the histogram."""
        return self.cumulative[-1] if self.cumulative else 0

    def slower_than(self, bound_index: int) -> int:
        """Requests that took longer than `bounds[bound_index]`."""
        return self.total - self.cumulative[bound_index]

    def __add__(self, other: "Durations") -> "Durations":
        if not self.bounds or not other.bounds:
            return other if not self.bounds else self
        if self.bounds != other.bounds:
            raise ValueError("two histograms with different buckets can't be added")
        return Durations(self.bounds, tuple(a + b for a, b in zip(self.cumulative, other.cumulative, strict=True)))


NO_DURATIONS = Durations((), ())


@dataclass(frozen=True)
class Counts:
    """What one arm did: requests finished, how many of them failed, and how long they took."""

    requests: int = 0
    failed: int = 0
    durations: Durations = NO_DURATIONS

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.requests + other.requests, self.failed + other.failed, self.durations + other.durations)


@dataclass(frozen=True)
class Poll:
    """Both arms' increments between two looks, in which the split was constant."""

    until: datetime
    stable: Counts
    candidate: Counts


@dataclass(frozen=True)
class Sight:
    """All that could be seen of a rollout.

    `reference` is stable's latency from before the first poll. `exposed` is all that the candidate has answered, also
    around a shift, where nothing is judged.
    """

    polls: tuple[Poll, ...]
    reference: Durations = NO_DURATIONS
    exposed: Counts = Counts()


@dataclass(frozen=True)
class Blindness:
    """Why nothing can be seen: a CamelCase reason and a sentence that says what to do."""

    reason: str
    message: str


class Answer(Enum):
    """The four answers. Only ACCEPTABLE advances, only WORSE rolls back."""

    WORSE = "Worse"
    ACCEPTABLE = "Acceptable"
    NOT_ENOUGH = "NotEnoughEvidence"
    CANNOT_SEE = "CannotSee"


@dataclass(frozen=True)
class Evidence:
    """Two e-values and the thresholds that they are held against (Ville's inequality bounds the mistakes)."""

    worse: float
    worse_needed: float
    acceptable: float
    acceptable_needed: float


@dataclass(frozen=True)
class Verdict:
    """An answer with its reasons. `evidence` is None where nothing could be seen."""

    answer: Answer
    reason: str
    message: str
    evidence: Evidence | None = None
    per_metric: tuple[tuple[str, float, float], ...] = ()
    """(metric, e-value for worse, e-value for acceptable), for the operator's own gauges."""
    exposed: Counts = Counts()
    """All that the candidate has answered so far."""


def total(counts: Sequence[Counts]) -> Counts:
    """The sum over polls or series."""
    result = Counts()
    for each in counts:
        result = result + each
    return result
