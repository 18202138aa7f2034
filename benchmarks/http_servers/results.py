"""What was seen of each server, as plain values. Pure."""

from dataclasses import dataclass

from benchmarks.server.results import Load


@dataclass(frozen=True)
class Speed:
    """At saturation, medians over the rounds. `cpu_us`: of the server's processes, for one request."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    failed: int
    paced: Load | None


@dataclass(frozen=True)
class TooLarge:
    """A body that is larger than allowed: the status (0: none), and how many of its bytes had been sent by then."""

    status: int
    sent: int
    of: int

    @property
    def refused(self) -> bool:
        """Turned away with a 4xx before all of it had been sent."""
        return 400 <= self.status < 500 and self.sent < self.of


@dataclass(frozen=True)
class Slow:
    """Connections that sent part of a request, and good requests of others meanwhile, one a second.

    `ended` of `held` were ended by the server, the last after `last_ended` seconds; they were watched for `watched`.
    """

    held: int
    ended: int
    last_ended: float
    watched: float
    asked: int
    late: int


@dataclass(frozen=True)
class Idle:
    """A connection without requests: after how many seconds it was closed; None: it still answered after `watched`."""

    closed_after: float | None
    watched: float


@dataclass(frozen=True)
class Ending:
    """SIGTERM under load. Of `asked` requests, `refused` found no listener and `broken` no answer.

    `told` of `connections` were told to close with an answer. `new_answered` of `new_asked` came on fresh connections
    after the signal, beside the load.
    """

    asked: int
    refused: int
    broken: int
    connections: int
    told: int
    new_asked: int
    new_answered: int

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return self.refused + self.broken

    def __add__(self, other: "Ending") -> "Ending":
        return Ending(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))


def _values(ending: Ending) -> tuple[int, ...]:
    return (
        ending.asked,
        ending.refused,
        ending.broken,
        ending.connections,
        ending.told,
        ending.new_asked,
        ending.new_answered,
    )


@dataclass(frozen=True)
class Facts:
    """None is a probe that didn't come to an end. `chunked`: '' when the body arrived whole, or what came instead."""

    chunked: str | None = None
    declared: TooLarge | None = None
    undeclared: TooLarge | None = None
    bodies: Slow | None = None
    heads: Slow | None = None
    idle: Idle | None = None


@dataclass(frozen=True)
class Row:
    """One server. `note` says what is missing and why."""

    label: str
    idle_setting: str
    speed: Speed | None = None
    facts: Facts | None = None
    ending: Ending | None = None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """`spread`: how far the rounds of the handler alone lie apart, as a share of their median."""

    rows: tuple[Row, ...]
    machine: dict[str, str]
    spread: float = 0.0
