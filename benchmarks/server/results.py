"""What was measured, as plain values. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class RawRow:
    """The bare runtime in one setting, with so many rows a run on so many cores; times are those of a run.

    `spread` is how far the rounds lie apart, as a share of their median. Nothing but the machine makes them differ.
    """

    size: str
    setting: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cores: int
    rows: int
    spread: float = 0.0


@dataclass(frozen=True)
class Load:
    """What a client saw. `failed` counts refusals (4xx and 5xx) and connections that broke or stayed silent.

    At saturation `per_second` is what was answered; at a fixed rate what was asked for, and times count from when a
    request was due.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int = 0

    @classmethod
    def median_of(cls, rounds: Sequence["Load"]) -> "Load":
        """Of each figure; failures are added up. `rounds` has at least one."""
        return cls(
            median(one.per_second for one in rounds),
            median(one.p50_ms for one in rounds),
            median(one.p99_ms for one in rounds),
            sum(one.failed for one in rounds),
        )


def spread_of(rates: Sequence[float]) -> float:
    """How far rounds lie apart, as a share of their median. Nothing but the machine makes those of one loop differ."""
    return (max(rates) - min(rates)) / median(rates)


@dataclass(frozen=True)
class Row:
    """One server, setting, protocol and model at saturation. `note` says why there are no figures.

    `rounds` are the requests a second of each. Floors are the p99 in ms of a program that answers at once: at its own
    saturation, and at this row's fixed rate.
    """

    size: str
    server: str
    setting: str
    protocol: str
    per_second: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0
    note: str = ""
    paced: Load | None = None
    rounds: tuple[float, ...] = ()
    floor_ms: float = 0.0
    paced_floor_ms: float = 0.0

    @classmethod
    def without(cls, size: str, server: str, setting: str, protocol: str, note: str) -> "Row":
        """A row that says why it has no figures."""
        return cls(size, server, setting, protocol, note=note)


@dataclass(frozen=True)
class Results:
    """Everything of one run of the benchmark. `tried` are the peers' settings, each measured briefly."""

    raw: tuple[RawRow, ...]
    rows: tuple[Row, ...]
    tried: tuple[Row, ...]
    machine: dict[str, str]

    def limit(self, size: str) -> RawRow | None:
        """The fastest that the bare runtime was with one row a run."""
        return max((row for row in self._raw(size) if row.rows == 1), key=_per_second, default=None)

    def batched(self, size: str) -> RawRow | None:
        """The fastest that it was with several rows a run."""
        return max((row for row in self._raw(size) if row.rows > 1), key=_per_second, default=None)

    def run_ms(self, size: str) -> float | None:
        """What one row takes on one core that has nothing else to do."""
        return next((row.p50_ms for row in self._raw(size) if row.rows == row.cores == 1), None)

    def best(self, size: str, *, beside: Collection[str]) -> Row | None:
        """The fastest row of all servers but these."""
        rows = [row for row in self.rows if row.size == size and not row.note]
        return max((row for row in rows if row.server not in beside), key=_per_second, default=None)

    def row(self, size: str, server: str, protocol: str) -> Row | None:
        """None where it wasn't measured."""
        found = (row for row in self.rows if (row.size, row.server, row.protocol) == (size, server, protocol))
        return next(found, None)

    def sizes(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys([row.size for row in self.raw] + [row.size for row in self.rows]))

    def _raw(self, size: str) -> Sequence[RawRow]:
        return [row for row in self.raw if row.size == size]


def ratios(now: Row, before: Row) -> list[float]:
    """Of the rounds, in which both had their turn one after the other; none where one of them failed."""
    if now.note or before.note or now.failed or before.failed:
        return []
    pairs = zip(now.rounds, before.rounds, strict=False)
    return [ours / theirs for ours, theirs in pairs if theirs]


def _per_second(row: RawRow | Row) -> float:
    return row.per_second
