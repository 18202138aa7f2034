"""What counters are asked for and who answers: protocols. Nothing here knows a client, PromQL or a series' name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import NamedTuple, Protocol

from tidegate.metrics.increments import Process, Sample, SeriesKey
from tidegate.model.evidence import MetricsGap

STALE = timedelta(minutes=5)
"""A value that old isn't a process' any more, as Prometheus itself has it."""


class Signal(StrEnum):
    """What a source can tell of a revision."""

    REQUESTS = "requests"
    FAILURES = "failures"
    LATENCY = "latency"
    PREDICTIONS = "predictions"
    PODS = "pods"
    """Requests, failures and latency of each pod by itself."""


@dataclass(frozen=True)
class Selection:
    """Which counters of one ModelDeployment are wanted.

    `revisions` is None for every revision that it has had. With `bounds`, only failures are wanted, and requests up to
    these bounds of latency, written as the source writes them; with `only_predictions`, nothing but what was answered;
    with `only_inputs`, nothing but what was asked, by the bins of a training profile.
    """

    namespace: str
    name: str
    revisions: tuple[str, ...] | None = None
    bounds: tuple[str, ...] | None = None
    only_predictions: bool = False
    only_inputs: bool = False
    looks_back: timedelta = STALE
    """For how long a value is its process'. What is read grows with it."""
    latency: bool = False
    """Whether routers are to tell how long requests took."""
    slices: bool = False
    """Whether they are to tell the counters of groups of requests as well."""


@dataclass(frozen=True)
class Readings:
    """What counters showed at points of time: one sample per point, empty where there was nothing.

    `doubt` says why they can't be believed at the last point; who is in doubt has been left out of the samples.
    """

    samples: Sequence[Sample]
    newest: float | None = None
    """When the latest of all values was counted, in seconds since 1970; None where there are none."""
    interval: float | None = None
    """Seconds between two counts of the process that is counted least often; None where there are too few to tell."""
    doubt: MetricsGap | None = None


@dataclass(frozen=True)
class DirectReadings:
    """What routers have counted that were asked themselves: `readings` has a sample for each of the `instants`."""

    instants: Sequence[datetime]
    readings: Readings
    silent: Mapping[str, str]
    """The live routers whose counters aren't known now, by their pods' names, and why."""
    known_as: Mapping[str, Process]
    """The routers by their pods' names and addresses, by one of which Prometheus knows them too."""


class DirectSource(Protocol):
    """Routers that are asked for their counters themselves, about once a second. All times are by our clock.

    Nobody waits for an answer: what is given is what has come by now.
    """

    def watch(self, namespace: str, name: str, revisions: Collection[str], *, quick: bool) -> None:
        """Asks for the counters of these revisions from now on, and more often where it has to be `quick`."""

    def forget(self, namespace: str, name: str) -> None:
        """Asks no more."""

    def since(self, namespace: str, name: str, after: datetime) -> DirectReadings | None:
        """What came later than `after`; None while no router answers."""


class MetricSource(Protocol):
    """Counts some signals of revisions."""

    @property
    def name(self) -> str:
        """Who counts, in the plural, as a sentence would say it."""

    @property
    def reads_arms_apart(self) -> bool:
        """Whether each arm has processes of its own that count, which are read at different times."""

    @property
    def provides(self) -> frozenset[Signal]:
        """What it tells; the rest has to come from other sources."""

    def readings(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> Readings:
        """The counters as they were known at start, start + step, …. Raises MetricsUnavailable where nobody answers."""

    def gap(self, namespace: str, name: str) -> MetricsGap:
        """What to tell people where it has no counters of a ModelDeployment."""


class StartGauge(NamedTuple):
    """The series by which processes tell when they began."""

    name: str
    counts_up: bool
    """Whether its value is the seconds since then, rather than the instant in seconds since 1970."""


class CounterQuery(Protocol):
    """A PromQL selector, and how its series are named."""

    @property
    def promql(self) -> str:
        """An instant selector in braces; no function is applied."""

    @property
    def start(self) -> StartGauge:
        """How the processes that count tell when they began."""

    @property
    def looks_back(self) -> timedelta:
        """For how long a value is its process'."""

    def with_start(self, target: str) -> str:
        """A selector of that series, beside counters that each revision has at once, where the `target` matches."""

    def is_start(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is that one."""

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """What a series counts; None for one that isn't wanted."""


class MetricsProvider(Protocol):
    """A system that holds series and answers PromQL. Every method raises MetricsUnavailable."""

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        """The counters as they were known at start, start + step, …."""

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        """Any expression: the values of each of its series at the same points, None where it has none."""


@dataclass(frozen=True)
class Sources:
    """Who tells what about one ModelDeployment.

    `traffic` counts requests and failures of live and preview traffic; it is read at every point. `details` tell the
    other signals, as far as there is anybody who does; they are read once in a propagation delay.
    """

    traffic: MetricSource
    details: tuple[MetricSource, ...]
    may_be_read_directly: bool = False
    """Whether the routers tell their counters themselves as well, and somebody may ask them."""
    unmarked: bool = False
    """Whether model servers' counters are of requests that no router has marked."""

    @property
    def counted_by(self) -> str:
        """Who counts what: of another one, counters say nothing of these."""
        return f"{self.traffic.name}{', unmarked requests' if self.unmarked else ''}"

    def points_apart(self, delay_points: int) -> int:
        """The points in which each arm's traffic is read once; 0 where one process counts both."""
        return delay_points if self.traffic.reads_arms_apart else 0

    def detail_readings(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> Readings:
        """What all of the details' sources count, together. Raises MetricsUnavailable."""
        return together([source.readings(wanted, start, step, points) for source in self.details], points)


def together(each: Sequence[Readings], points: int) -> Readings:
    """Several sources' readings at the same points as one's: as new as the oldest of them, in doubt where one is."""
    if len(each) == 1:
        return each[0]  # thousands of series that needn't be copied
    if not each:
        return Readings([{}] * points)
    samples = [
        dict(chain.from_iterable(sample.items() for sample in samples))
        for samples in zip(*(readings.samples for readings in each), strict=True)
    ]
    return Readings(
        samples,
        min((readings.newest for readings in each if readings.newest is not None), default=None),
        max((readings.interval for readings in each if readings.interval is not None), default=None),
        next((readings.doubt for readings in each if readings.doubt), None),
    )
