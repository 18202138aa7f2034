"""What became of the requests of one event. Pure.

A request is lost when its first try brought no answer of 200. It is sent once more then, a tenth of a second later
and on a connection of its own, as many clients do; it is lost with a retry when that brought none either.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OK = 200
STEP = 1.1
"""Neighbouring bounds of the latency's buckets differ by this factor, and so does what a quantile may be off by."""
SMALLEST = 0.0001
MOST_EXAMPLES = 40
THEN = ", then "
"""Between what was wrong with a first try and with its second."""
KEPT, NEW = "kept", "new"
"""Requests over kept connections, and each with a connection of its own."""


@dataclass
class Counts:
    """Requests of one kind. Latency counts from when a request was due; `late` are buckets of how late it was sent.

    `faults` are those of first tries, `faults_again` those of both where the second one failed too, with THEN between.
    """

    sent: int = 0
    lost: int = 0
    lost_with_retry: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    faults_again: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    late: Counter[int] = field(default_factory=Counter)

    def count(self, *, late: float, took: float, fault: str, retried: str) -> None:
        """One request: seconds, what was wrong with it (nothing: empty), and what with its second try."""
        self.sent += 1
        self.late[bucket(late)] += 1
        self.latency[bucket(took)] += 1
        if fault:
            self.lost += 1
            self.faults[fault] += 1
            self.lost_with_retry += bool(retried)
            self.faults_again.update([f"{fault}{THEN}{retried}"] if retried else [])

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sent + other.sent,
            self.lost + other.lost,
            self.lost_with_retry + other.lost_with_retry,
            self.faults + other.faults,
            self.faults_again + other.faults_again,
            self.latency + other.latency,
            self.late + other.late,
        )

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` reads it back."""
        plain = {"sent": self.sent, "lost": self.lost, "lostWithRetry": self.lost_with_retry}
        return {
            **plain,
            "faults": dict(self.faults),
            "again": dict(self.faults_again),
            "latency": _texts(self.latency),
            "late": _texts(self.late),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Counts":
        """The inverse of `to_dict`."""
        return cls(
            found["sent"],
            found["lost"],
            found["lostWithRetry"],
            Counter(found["faults"]),
            Counter(found.get("again", {})),
            _numbers(found["latency"]),
            _numbers(found["late"]),
        )


def total(counts: Iterable[Counts]) -> Counts:
    """Of all of them together."""
    return sum(counts, Counts())


def bucket(seconds: float) -> int:
    """The number of the bucket that a duration falls into."""
    return max(0, math.ceil(math.log(max(seconds, SMALLEST) / SMALLEST, STEP)))


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Seconds, at most a tenth too many; None where nothing was counted."""
    wanted, seen = share * sum(buckets.values()), 0
    for number in sorted(buckets):
        seen += buckets[number]
        if seen >= wanted > 0:
            return float(SMALLEST * STEP**number)
    return None


def _texts(counter: Mapping[int, int]) -> dict[str, int]:
    return {str(key): value for key, value in counter.items()}


def _numbers(found: Mapping[str, int]) -> Counter[int]:
    return Counter({int(key): value for key, value in found.items()})
