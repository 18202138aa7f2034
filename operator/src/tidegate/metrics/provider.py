"""What counters are asked for and who answers: protocols. Nothing here knows a client, PromQL or a series' name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Protocol

from tidegate.metrics.increments import Sample, SeriesKey
from tidegate.model.evidence import MetricsGap


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

    `revisions` is None for every revision that it has had. With `bounds`, one revision is named, and only its failures
    are wanted, and its requests up to these bounds of latency, written as the source writes them.
    """

    namespace: str
    name: str
    revisions: tuple[str, ...] | None = None
    bounds: tuple[str, ...] | None = None


class MetricSource(Protocol):
    """Counts some signals of revisions. Every method raises MetricsUnavailable where nobody answers."""

    @property
    def name(self) -> str:
        """Who counts, in the plural, as a sentence would say it."""

    @property
    def provides(self) -> frozenset[Signal]:
        """What it tells; the rest has to come from other sources."""

    def samples(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> list[Sample]:
        """The counters at start, start + step, …: one sample per point, empty where there was nothing."""

    def timestamps(
        self, wanted: Selection, start: datetime, step: timedelta, points: int
    ) -> Sequence[Sequence[float | None]]:
        """For each series, when the value that it has at each point was counted, in seconds since 1970.

        None where it has no value; no series at all where a source doesn't know, or counts at the very instant.
        """

    def gap(self, namespace: str, name: str) -> MetricsGap:
        """What to tell people where it has no counters of a ModelDeployment."""


class CounterQuery(Protocol):
    """A PromQL selector, and how its series are named."""

    @property
    def promql(self) -> str:
        """An instant selector; no function is applied."""

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """What a series counts; None for one that isn't wanted."""


class MetricsProvider(Protocol):
    """A system that holds series and answers PromQL. Every method raises MetricsUnavailable."""

    def samples(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> list[Sample]:
        """The counters at start, start + step, …: one sample per point, empty where there was nothing."""

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

    def detail_samples(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> list[Sample]:
        """What all of the details' sources count, together. Raises MetricsUnavailable."""
        each = [source.samples(wanted, start, step, points) for source in self.details]
        if len(each) == 1:
            return each[0]  # thousands of series that needn't be copied
        if not each:
            return [{}] * points
        return [dict(chain.from_iterable(sample.items() for sample in samples)) for samples in zip(*each, strict=True)]
