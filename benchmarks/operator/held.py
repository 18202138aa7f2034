"""What a rollout that is held for a day costs in memory, and how soon a restarted operator judges it again.

`python -m` this module, with another number of hours if that is wanted. Prometheus is made up.
"""

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import perf_counter

from benchmarks.judge.tidegate_defaults import default_spec
from tidegate.judge.case import Criteria
from tidegate.judge.verdict import answer
from tidegate.metrics.checkpoint import Kept
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.increments import DURATION, FAILED, REQUESTS, Counted, Process, SeriesKey
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ARMS = Arms("shop", "digits", "stable", "candidate")
SCRAPE = timedelta(seconds=15)
BOUNDS = (*(f"{0.0005 * 1.2**k:.6g}" for k in range(56)), "+Inf")
PODS, ROUTERS = 3, 2
MOST_GROWTH = 5.0
"""MiB."""
LONGEST_RESTART = 5.0
"""Seconds."""


SPEC = default_spec()
INTERVAL = int(SPEC.analysis.interval.total_seconds())
ROLLOUT = Rollout(ARMS.candidate, BEGAN, 1, BEGAN, (Shift(BEGAN, 10),))


class Growing:
    """Counters that grow evenly, of two routers and three pods of each revision."""

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        instants = [start + index * step for index in range(points)]
        sample = _routers if isinstance(query, RouterCounters) else _servers
        return Readings([dict(sample((at - BEGAN).total_seconds() + 3600, at.timestamp())) for at in instants])

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        return []


def _routers(seconds: float, at: float) -> Iterator[tuple[SeriesKey, Counted]]:
    for router in range(ROUTERS):
        owner = Process("tidegate", f"router-{router}")
        for revision, rate in ((ARMS.stable, 90), (ARMS.candidate, 10)):
            yield SeriesKey(owner, revision, REQUESTS), Counted(float(int(seconds * rate)), at)
            yield SeriesKey(owner, revision, FAILED), Counted(float(int(seconds * rate * 0.001)), at)


def _servers(seconds: float, at: float) -> Iterator[tuple[SeriesKey, Counted]]:
    for revision, rate in ((ARMS.stable, 90), (ARMS.candidate, 10)):
        for pod in range(PODS):
            owner = Process("shop", f"{revision}-{pod}")
            for index, bound in enumerate(BOUNDS):
                counted = int(seconds * rate / PODS * min(1.0, index / 40))
                yield SeriesKey(owner, revision, DURATION, bound), Counted(float(counted), at)


def main(hours: int = 24) -> None:
    """A look each interval; what is held is told each hour, and what it grew from the first hour to the last."""
    collector, kept = MetricsCollector(Growing()), Kept("")
    held: list[float] = []
    tracemalloc.start()
    for hour in range(1, hours + 1):
        for second in range(3600 * (hour - 1), 3600 * hour, INTERVAL):
            kept = _look(collector, second).checkpoint or kept
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] / 2**20)
        sys.stdout.write(f"{hour} h: {held[-1]:.2f} MiB\n")
    growth = max(held) - held[0]
    sys.stdout.write(f"grown by {growth:.2f} MiB at most (limit {MOST_GROWTH:g} MiB)\n")
    tracemalloc.stop()
    _restart(kept, 3600 * hours)


def _restart(kept: Kept, second: int) -> None:
    """The first look of an operator that has nothing but the checkpoint."""
    began = perf_counter()
    measured = _look(MetricsCollector(Growing(), kept=lambda arms: kept), second)
    took = perf_counter() - began
    behind = any(gap.reason == Reason.CATCHING_UP for gap in measured.measurements.missing)
    sizes = f"a checkpoint of {len(kept.evidence) / 1024:.1f} KiB; its record has {len(kept.record) / 1024:.1f} KiB"
    sys.stdout.write(
        f"after a restart: judged {'only in part' if behind else 'again'} within {took:.2f} s (limit "
        f"{LONGEST_RESTART:g} s) from {sizes}\n"
    )


def _look(collector: MetricsCollector, second: int) -> Measured:
    criteria = Criteria(SPEC.analysis, 1e-300)
    look = Look(ARMS, ROLLOUT, SPEC, criteria, SCRAPE, BEGAN + timedelta(seconds=second))
    measured = collector.measure(look)
    if isinstance(measured, MetricsGap):
        raise TypeError(f"nothing was measured: {measured.message}")
    collector.say(look, measured, answer(measured.test, criteria, measured.measurements), look.until)
    return measured


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
