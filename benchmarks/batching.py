"""Whether a free run slot should wait for more requests by how fast they come: `python -m benchmarks.batching`.

Discrete events instead of a clock, so that a busy machine changes nothing: both rules meet the very same arrivals.
"""

import heapq
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random
from typing import Any

from benchmarks.markdown import table
from tidegate_server.inference.execution_plan import MAX_LINGER_SECONDS

REQUESTS, MAX_ROWS = 10_000, 8
WEIGHT_OF_LATEST = 0.1
LOADS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the rows that full runs on all slots would take."""

_ARRIVAL, _TIMER, _RUN_DONE = range(3)


@dataclass(frozen=True)
class SimulatedModel:
    """What a run takes in seconds, and how many go on at once."""

    per_run: float
    per_row: float
    slots: int

    def seconds(self, rows: int) -> float:
        """Of a run."""
        return self.per_run + rows * self.per_row

    @property
    def capacity(self) -> float:
        """Rows a second."""
        return self.slots * MAX_ROWS / self.seconds(MAX_ROWS)


MODELS = tuple(
    SimulatedModel(per_run, per_row, slots)
    for per_run, per_row in ((2e-3, 0.1e-3), (4e-3, 0.5e-3), (2e-3, 2e-3))
    for slots in (2, 4)
)


@dataclass(frozen=True)
class Latencies:
    """In seconds, from arrival to the end of the run."""

    median: float
    p99: float


def simulate(model: SimulatedModel, load: float, *, by_load: bool, seed: int) -> Latencies:
    """As the engine dispatches: an idle model runs at once, and a free slot beside a run waits a while for more.

    `by_load`: it waits only where the next request is expected before the wait ends.
    """
    done = list(islice(_Dispatcher(model, load * model.capacity, by_load, Random(seed)).latencies(), REQUESTS))
    done.sort()
    return Latencies(done[len(done) // 2], done[len(done) * 99 // 100])


class _Dispatcher:
    def __init__(self, model: SimulatedModel, rate: float, by_load: bool, random: Random) -> None:
        self._model, self._rate, self._by_load, self._random = model, rate, by_load, random
        self._linger = min(MAX_LINGER_SECONDS, model.seconds(1) / 4)
        self._events: list[tuple[float, int, int, Any]] = []
        self._numbers = count()
        self._waiting: list[float] = []
        self._free, self._now = model.slots, 0.0
        self._gap, self._timer = 1 / rate, -1

    def latencies(self) -> Iterator[float]:
        """Without an end."""
        last, take = 0.0, self._take
        self._at(self._random.expovariate(self._rate), _ARRIVAL)
        while True:
            self._now, number, kind, what = heapq.heappop(self._events)
            if kind == _TIMER and number != self._timer:
                continue
            if kind == _ARRIVAL:
                self._gap += WEIGHT_OF_LATEST * (self._now - last - self._gap)
                last = self._now
                self._waiting.append(last)
                self._at(last + self._random.expovariate(self._rate), _ARRIVAL)
            elif kind == _RUN_DONE:
                self._free += 1
                yield from (self._now - arrived for arrived in what)
            take()

    def _take(self) -> None:
        self._timer = -1
        while self._free and self._waiting:
            if (left := self._wait()) > 0:
                self._timer = self._at(self._now + left, _TIMER)
                return
            batch, self._waiting = self._waiting[:MAX_ROWS], self._waiting[MAX_ROWS:]
            self._free -= 1
            self._at(self._now + self._model.seconds(len(batch)), _RUN_DONE, batch)

    def _wait(self) -> float:
        if self._free == self._model.slots or len(self._waiting) >= MAX_ROWS:
            return 0.0
        left = self._waiting[0] + self._linger - self._now
        return 0.0 if left < 1e-9 or (self._by_load and self._gap > left) else left

    def _at(self, when: float, kind: int, what: Any = None) -> int:
        number = next(self._numbers)
        heapq.heappush(self._events, (when, number, kind, what))
        return number


def ratios(model: SimulatedModel, load: float, seeds: int = 1) -> tuple[float, float]:
    """Of the median and the 99th percentile by load to those with the fixed wait, over the same arrivals."""
    pairs = [[simulate(model, load, by_load=by_load, seed=seed) for by_load in (False, True)] for seed in range(seeds)]

    def ratio(of: Callable[[Latencies], float]) -> float:
        return sum(of(by_load) for _, by_load in pairs) / sum(of(fixed) for fixed, _ in pairs)

    return ratio(lambda one: one.median), ratio(lambda one: one.p99)


def report() -> str:
    """Markdown: a row a model, a column a load."""
    heads = ["a run takes, ms", "runs at once", *(f"at {load:.0%}" for load in LOADS)]
    rows = [
        [
            f"{1000 * model.per_run:g} + {1000 * model.per_row:g} a row",
            str(model.slots),
            *("{:.2f}, {:.2f}".format(*ratios(model, load)) for load in LOADS),
        ]
        for model in MODELS
    ]
    return table([heads, *rows])


if __name__ == "__main__":
    sys.stdout.write(report() + "\n")
