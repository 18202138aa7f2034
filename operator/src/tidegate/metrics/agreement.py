"""Whether Prometheus and the routers themselves tell the same, over the last minutes. PURE.

A counter that somebody has read at a time lies between what it was a little earlier and a little later, whoever read
it. Nothing is fitted and no rates are compared: two who read the same counters agree, however seldom one of them does.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.metrics.falls import CLOCKS
from tidegate.metrics.increments import FAILED, REQUESTS, Process, Sample, SeriesKey
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.model.units import format_duration

APART = 2.0
"""Seconds between two direct readings that are kept."""
KEPT = 300.0
"""Seconds for which they are: samples by remote write come late."""
LASTS = timedelta(minutes=1)
"""A difference that lasts so long, over two samples or more, is told."""
COMPARED = (REQUESTS, FAILED)


class Difference(NamedTuple):
    """A counter by both, when Prometheus had read it; the direct count is the nearest of those around that time."""

    key: SeriesKey
    directly: float
    by_prometheus: float
    at: float


@dataclass
class Agreement:
    """Of one rollout. Its size doesn't grow with it."""

    _read: dict[SeriesKey, list[tuple[float, float]]] = field(default_factory=dict)
    _differs_since: dict[SeriesKey, float] = field(default_factory=dict)
    _compared: dict[SeriesKey, float] = field(default_factory=dict)
    _latest: Difference | None = None

    def note(self, sample: Sample) -> None:
        """What routers told directly."""
        for key, counted in sample.items():
            if key.measure not in COMPARED:
                continue
            kept = self._read.setdefault(key, [])
            if kept and counted.value < kept[-1][1]:
                kept.clear()  # a restart
            if len(kept) > 1 and kept[-1][0] - kept[-2][0] < APART:
                kept.pop()
            if not kept or counted.at > kept[-1][0]:
                kept.append((counted.at, counted.value))
            del kept[: bisect_left(kept, (counted.at - KEPT, 0.0))]

    def keep(self, routers: Collection[Process]) -> None:
        """Forgets all but these: of one that is gone nobody can do anything about a difference."""
        for of_each in (self._read, self._differs_since, self._compared):
            for key in [key for key in of_each if key.owner not in routers]:
                del of_each[key]

    def compare(self, told: Sample) -> None:
        """What Prometheus has, by the names that the processes have here, and its own times."""
        for key, counted in told.items():
            if key.measure not in COMPARED or self._compared.get(key, 0.0) >= counted.at:
                continue
            bounds = self._bounds(key, counted.at)
            if bounds is None:
                continue
            self._compared[key] = counted.at
            if bounds[0] <= counted.value <= bounds[1]:
                self._differs_since.pop(key, None)
            else:
                self._differs_since.setdefault(key, counted.at)
                nearest = min(max(counted.value, bounds[0]), bounds[1])
                self._latest = Difference(key, nearest, counted.value, counted.at)

    def _bounds(self, key: SeriesKey, at: float) -> tuple[float, float] | None:
        """What it was shortly before and shortly after; None where one of them isn't known."""
        kept = self._read.get(key, [])
        times = [time for time, _ in kept]
        earlier, later = bisect_right(times, at - CLOCKS) - 1, bisect_left(times, at + CLOCKS)
        return (kept[earlier][1], kept[later][1]) if earlier >= 0 and later < len(kept) else None

    def gap(self, until: datetime) -> MetricsGap | None:
        """What to say of a difference that has lasted; None where they agree, or it is too early to say."""
        lasting = list(self._lasting())
        if not lasting or self._latest is None:
            return None
        since = timedelta(seconds=round(until.timestamp() - min(self._differs_since[key] for key in lasting)))
        return MetricsGap(Reason.SOURCES_DIFFER, _sentence(self._latest, since))

    def _lasting(self) -> Iterator[SeriesKey]:
        for key, since in self._differs_since.items():
            if self._compared[key] - since >= LASTS.total_seconds():
                yield key


def _sentence(difference: Difference, since: timedelta) -> str:
    what = "requests" if difference.key.measure == REQUESTS else "failures"
    return (
        f"for {format_duration(since)} Prometheus and the routers haven't told the same of {difference.key.revision}: "
        f"router {difference.key.owner.name} itself counted {difference.directly:,.0f} {what}, and Prometheus has "
        f"{difference.by_prometheus:,.0f} of the same time; nothing is promoted until they agree: check that "
        "Prometheus scrapes each router by its own address and drops none of its series, or set analysis.source to "
        "the one that is to be believed"
    )
