"""What Prometheus would hold of a rehearsal: every sample of the series that the judge may ask for."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.falls import Scraped
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.raw_series import read
from tidegate.rehearsal.selector import selector

KEPT = ("envoy_cluster_upstream_", "envoy_server_uptime", "tidegate_server_", "process_start_time_seconds")
"""How the names of the series begin that sources ask for."""
MOST_SAMPLES = 3600
"""Of a series: an hour of them."""
_Key = tuple[tuple[str, str], ...]


class SeriesStore:
    """A MetricsProvider in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._series: dict[_Key, tuple[Mapping[str, str], list[tuple[float, float]]]] = {}
        self._lock = threading.Lock()

    def add(self, at: float, scraped: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """One scrape, at so many seconds since 1970: the labels of each series, `__name__` among them, and its value.

        A scrape that is no newer than the last of a series adds nothing to it.
        """
        with self._lock:
            for labels, value in scraped:
                if not labels["__name__"].startswith(KEPT):
                    continue
                _, samples = self._series.setdefault(tuple(sorted(labels.items())), (labels, []))
                if not samples or samples[-1][0] < at:
                    samples.append((at, value))
                    del samples[:-MOST_SAMPLES]

    def raw(self, promql: str, since: datetime, until: datetime) -> Sequence[Scraped]:
        """See RawStore."""
        wanted, first, last = selector(promql), since.timestamp(), until.timestamp()
        with self._lock:
            chosen = [(labels, list(samples)) for labels, samples in self._series.values() if wanted(labels)]
        between = (Scraped(labels, [each for each in samples if first < each[0] <= last]) for labels, samples in chosen)
        return [each for each in between if each.samples]

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        """See MetricsProvider."""
        return read(self, query, start, step, points)

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        """There is no PromQL here: a rehearsal leaves the user's own queries out."""
        raise MetricsUnavailable(f"a rehearsal has no Prometheus to answer {promql!r}")
