"""How long an event of one object waits while Prometheus hangs on the rollouts of others: `python -m` this module.

The real work queue, judge, pools and circuit breakers run on real threads; only Prometheus is made up. Each of its
queries ends by its time-out, as Prometheus' client has it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median
from threading import Event
from time import monotonic, sleep

from benchmarks.judge.tidegate_defaults import default_spec
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.workqueue import WorkQueue
from tidegate.errors import MetricsUnavailable
from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.metrics.circuit_breaker import CircuitBreaker
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.query_pool import PATIENCE, QueryPool
from tidegate.model.observation import Observation
from tidegate.model.status import Rollout, Shift, Status
from tidegate.model.traffic import TrafficSplit
from tidegate.simulation.deployment import SimulatedDeployment

SPEC = default_spec()
STABLE, CANDIDATE = "stable", "candidate"
OTHER = "other"
"""The object that has no rollout."""


@dataclass(frozen=True)
class Hanging:
    """A Prometheus that says nothing until the client gives up, after so many seconds or when it is over."""

    seconds: float
    over: Event = field(default_factory=Event)

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        raise self._given_up()

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        raise self._given_up()

    def _given_up(self) -> MetricsUnavailable:
        self.over.wait(self.seconds)
        return MetricsUnavailable("Prometheus can't be reached (ReadTimeout)")


class Waits:
    """How long each event of the other object waited. `hang` and `patience`, of each look, in seconds."""

    def __init__(self, hang: float, rollouts: int, *, workers: int = 8, patience: float = PATIENCE) -> None:
        self._rollouts = rollouts
        self._done = Event()
        self.seconds: list[float] = []
        self.looks = 0
        self._prometheus = Hanging(hang)
        guarded = [CircuitBreaker(self._prometheus) for _ in range(2)]
        collector = MetricsCollector(guarded[0], for_queries=guarded[1])
        self._pool = QueryPool(4, lambda ns, name: self._queue.enqueue(ns, name), patience=patience)
        self._judge = RolloutJudge(collector, self._pool)
        self._queue = WorkQueue(self._reconcile, workers=workers, may_work=lambda: True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside, all rollouts are looked at again and again."""
        self._queue.start()
        for number in range(self._rollouts):
            self._queue.enqueue("shop", f"rollout-{number}")
        try:
            yield
        finally:
            self._prometheus.over.set()
            self._queue.stop(1)
            self._pool.stop()

    def event(self) -> None:
        """Something happens to the other object."""
        self._done.clear()
        began = monotonic()
        self._queue.enqueue("shop", OTHER)
        self._done.wait()
        self.seconds.append(monotonic() - began)

    def _reconcile(self, namespace: str, name: str, now: datetime) -> timedelta | None:
        self._judge.judge(replace(observed(now, in_rollout=name != OTHER), namespace=namespace, name=name))
        if name == OTHER:
            self._done.set()
            return None
        self.looks += 1
        return timedelta(seconds=5)


def observed(now: datetime, *, in_rollout: bool) -> Observation:
    """An object with a canary at 10 %, or with none."""
    if not in_rollout:
        alone = SimulatedDeployment(SPEC, STABLE, Status(stable=STABLE), TrafficSplit.only(STABLE), {STABLE: 1})
        return alone.observed(now, NOTHING_TO_JUDGE, None, timedelta(seconds=15))
    began = (now - timedelta(minutes=1)).replace(microsecond=0)
    rollout = Rollout(CANDIDATE, began, 1, began, (Shift(began, 10),))
    split = TrafficSplit.between(STABLE, CANDIDATE, 10)
    recorded = Status(stable=STABLE, rollout=rollout)
    both = SimulatedDeployment(SPEC, CANDIDATE, recorded, split, {STABLE: 1, CANDIDATE: 1})
    return both.observed(now, NOTHING_TO_JUDGE, None, timedelta(seconds=15))


def main(hang: float = 11.0, rollouts: int = 50, events: int = 120) -> None:
    """An event each half second, for a minute."""
    waits = Waits(hang, rollouts)
    with waits.running():
        for _ in range(events):
            waits.event()
            sleep(0.5)
    sys.stdout.write(
        f"{rollouts} rollouts, each query hangs for {hang:g} s: {events} events of another object were done after "
        f"{median(waits.seconds) * 1000:.0f} ms (median), {max(waits.seconds) * 1000:.0f} ms at most; "
        f"{waits.looks} looks in that time\n"
    )


if __name__ == "__main__":
    main()
