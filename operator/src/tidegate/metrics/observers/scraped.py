"""A source whose counters somebody else has collected: an observer says what they are called, a provider holds them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.metrics.provider import CounterQuery, MetricsProvider, Readings, Selection, Signal
from tidegate.model.evidence import MetricsGap


@dataclass(frozen=True)
class ScrapedSource:
    """A MetricSource. `missing` is the reason and the sentence where there are no series, with `{case}` in it."""

    provider: MetricsProvider
    name: str
    provides: frozenset[Signal]
    query: Callable[[Selection], CounterQuery]
    missing: MetricsGap
    reads_arms_apart: bool = False

    def readings(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> Readings:
        """See MetricSource."""
        return self.provider.readings(self.query(wanted), start, step, points)

    def gap(self, namespace: str, name: str) -> MetricsGap:
        """See MetricSource."""
        return MetricsGap(self.missing.reason, self.missing.message.format(case=f"{namespace}/{name}"))
