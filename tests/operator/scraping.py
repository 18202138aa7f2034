"""A world whose Prometheus is as in real installations: with seconds, replicas and jobs of its own, and late.

Everything that the judge reads goes through the same merge of raw samples as from a real one.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from tests.operator.world import SETTINGS, START, World, selects
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.reconciler import Reconciler
from tidegate.errors import MetricsUnavailable
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.falls import Scraped
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.raw_series import read

EACH = timedelta(seconds=15)


@dataclass(frozen=True)
class Job:
    """Somebody who scrapes everything: at which seconds, and with which labels of its own.

    Each scrape in turn reaches a process that has counted that share of the requests.
    """

    offset: int = 0
    labels: Mapping[str, str] | None = None
    share: float = 1.0
    shares: Sequence[float] = ()

    def counted(self, at: datetime, value: float) -> float:
        """What a scrape finds."""
        shares = self.shares or (self.share,)
        return value * shares[int((at - START) / EACH) % len(shares)]


class ScrapedWorld(World):
    """Its counters are read each 15 s. Each query is answered by one of the `replicas`, all with jobs of their own."""

    replicas: Sequence[Sequence[Job]] = ((Job(),),)
    lag = timedelta()
    """How long a sample takes until queries see it."""
    chance = 5
    """Seed of who answers."""
    scrapes_end_at: datetime | None = None
    tells_uptime = False
    """Whether the router says since when it has been running: for an hour when the world began."""

    @cached_property
    def _chance(self) -> random.Random:
        return random.Random(self.chance)

    def restart(self) -> None:
        settings = replace(SETTINGS, scrape_interval=EACH)
        """As the operator with the chart's default scrape interval."""
        self._reconciler = Reconciler(self, RolloutJudge(MetricsCollector(self)), settings, lambda seen, decision: None)

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        return read(self, query, start, step, points)

    def raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        """See RawStore."""
        self.prometheus_asked += 1
        if not self.prometheus_up:
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        jobs = self._chance.choice(self.replicas)
        return [found for job in jobs for found in self._scraped(job, promql, since, until)]

    def _scraped(self, job: Job, promql: str, since: datetime, until: datetime) -> Iterator[Scraped]:
        instants = [at for at in _instants(job, since, min(until, self._newest())) if at in self._history]
        uptime = {"__name__": "envoy_server_uptime", "instance": "router", **(job.labels or {})}
        if self.tells_uptime and selects(promql, uptime):
            yield Scraped(uptime, [(at.timestamp(), (at - START).total_seconds() + 3600) for at in instants])
        for revision, measure in self._counters:
            labels = {**self.labels(revision, measure), **(job.labels or {})}
            if selects(promql, labels):
                values = [(at, self._history[at].get((revision, measure))) for at in instants]
                yield Scraped(
                    labels, [(at.timestamp(), job.counted(at, value)) for at, value in values if value is not None]
                )

    def _newest(self) -> datetime:
        newest = self.now - self.lag
        return min(newest, self.scrapes_end_at) if self.scrapes_end_at else newest


def _instants(job: Job, since: datetime, until: datetime) -> Iterator[datetime]:
    first = START + timedelta(seconds=job.offset)
    at = first + max(0, (since - first) // EACH + 1) * EACH
    while at <= until:
        yield at
        at += EACH
