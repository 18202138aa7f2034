"""Error rates and latency of both arms in the last minutes, as Prometheus has them, for rollouts that are looked at.

Nobody waits for Prometheus: a page shows what is known, and hears when more is. The judge isn't asked and doesn't ask
this: the page's sentence has the numbers that it went by.
"""

import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic

from tidegate.errors import MetricsUnavailable
from tidegate.judge.latency import quantile_seconds
from tidegate.kube.informer import Key
from tidegate.metrics.increments import counter_increases, counts_of
from tidegate.metrics.observers.envoy import router_traffic
from tidegate.metrics.provider import MetricsProvider, Readings, Selection
from tidegate.model.evidence import Counts

STEP, POINTS = timedelta(seconds=30), 31
"""A quarter of an hour."""
REFRESH_SECONDS = 15.0
LOOKED_AT_SECONDS = 40.0
"""For so long after its page was last made a rollout is one that somebody looks at."""
MOST_ROLLOUTS = 50
QUANTILE = 95

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """One arm between two samples; None where nothing was counted."""

    error_percent: float | None
    p95_milliseconds: float | None

    @classmethod
    def of(cls, counts: Counts) -> "Measured":
        """Of what was counted."""
        errors = 100 * counts.failed / counts.requests if counts.requests else None
        seconds = quantile_seconds(counts.durations, QUANTILE)
        return cls(errors, None if math.isnan(seconds) else seconds * 1000)


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """Both arms at an instant."""

    at: datetime
    stable: Measured
    candidate: Measured


@dataclass(frozen=True)
class Arms:
    """Whose numbers are wanted; no candidate where none stands beside stable."""

    stable: str
    candidate: str


@dataclass(frozen=True)
class Series:
    """What is known of one rollout, and why it isn't more."""

    points: tuple[MeasuredPoint, ...] = ()
    trouble: str = ""


@dataclass
class _Wanted:
    arms: Arms
    looked_at: float
    asked_at: float = -math.inf
    series: Series = Series()


class Measures:
    """Asks Prometheus about what is looked at, in a thread of its own."""

    def __init__(self, provider: MetricsProvider, changed: Callable[[Key], None]) -> None:
        self._source = router_traffic(provider)
        self._changed = changed
        self._lock = threading.Lock()
        self._wanted: OrderedDict[Key, _Wanted] = OrderedDict()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Until `stop`."""
        threading.Thread(target=self._run, name="measures", daemon=True).start()

    def stop(self) -> None:
        """Asks no more."""
        self._stopped.set()

    def of(self, key: Key, arms: Arms) -> Series:
        """What is known now; asked for from now on, and for a while."""
        with self._lock:
            wanted = self._wanted.get(key)
            if wanted is None or wanted.arms != arms:
                wanted = self._wanted[key] = _Wanted(arms, monotonic())
            wanted.looked_at = monotonic()
            self._wanted.move_to_end(key)
            while len(self._wanted) > MOST_ROLLOUTS:
                self._wanted.popitem(last=False)
            return wanted.series

    def _run(self) -> None:
        while not self._stopped.wait(0.5):
            if (due := self._due()) is not None:
                self._ask(*due)

    def _due(self) -> tuple[Key, _Wanted] | None:
        now = monotonic()
        with self._lock:
            for key in [key for key, each in self._wanted.items() if each.looked_at < now - LOOKED_AT_SECONDS]:
                del self._wanted[key]
            late = [each for each in self._wanted.items() if each[1].asked_at < now - REFRESH_SECONDS]
            return min(late, key=lambda each: each[1].asked_at, default=None)

    def _ask(self, key: Key, wanted: _Wanted) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - what is asked for are the last minutes
        wanted.asked_at = monotonic()
        revisions = tuple(filter(None, (wanted.arms.stable, wanted.arms.candidate)))
        try:
            start = now - (POINTS - 1) * STEP
            readings = self._source.readings(Selection(*key, revisions, latency=True), start, STEP, POINTS)
            wanted.series = Series(measured(readings, wanted.arms, start))
        except MetricsUnavailable as error:
            wanted.series = Series(wanted.series.points, str(error))
        except Exception as error:
            log.exception("the numbers of %s/%s can't be read", *key)
            wanted.series = Series(wanted.series.points, f"{type(error).__name__}: {error}")
        self._changed(key)


def measured(readings: Readings, arms: Arms, start: datetime) -> tuple[MeasuredPoint, ...]:
    """What was counted between each two samples, at the later of the two."""
    points = []
    for number, (before, after) in enumerate(pairwise(readings.samples), 1):
        gained = counter_increases(before, after)
        stable, candidate = (Measured.of(counts_of(arm, gained)) for arm in (arms.stable, arms.candidate))
        points.append(MeasuredPoint(start + number * STEP, stable, candidate))
    return tuple(points)


def highest(points: Sequence[MeasuredPoint], get: Callable[[Measured], float | None]) -> float:
    """The top of a chart: the highest value of either arm, 0 where there is none."""
    values = (get(arm) for point in points for arm in (point.stable, point.candidate))
    return max((value for value in values if value is not None), default=0.0)
