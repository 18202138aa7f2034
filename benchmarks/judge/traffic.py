"""What was drawn for one run: both arms' counters, poll by poll, and stable's from before. Pure.

Every rule is shown the same recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment
from tidegate.simulation.synthetic_traffic import BOUNDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HORIZON = 30 * 60
"""Seconds of analysis in one run."""
WEIGHT = 0.1
"""The candidate's share of the requests, from the beginning to the end."""
PERCENTILES = (50, 90, 99)
"""Of stable's latency, that the oracle knows."""
_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Arm:
    """What an arm, or a pod, gained: one row per poll.

    `histogram` is cumulative over `BOUNDS`. `slow` counts requests above stable's true `PERCENTILES`, which no
    histogram tells exactly: only the oracle sees them. Both have no columns where latency isn't drawn.
    """

    requests: Ints
    failed: Ints
    histogram: Ints
    slow: Ints

    def __add__(self, other: "Arm") -> "Arm":
        return Arm(
            self.requests + other.requests,
            self.failed + other.failed,
            self.histogram + other.histogram,
            self.slow + other.slow,
        )

    @property
    def has_latency(self) -> bool:
        """Whether latency was drawn."""
        return bool(self.histogram.size)

    def counts(self) -> list[Counts]:
        """As the product counts, poll by poll."""
        rows = zip(self.requests.tolist(), self.failed.tolist(), self.histogram.tolist(), strict=True)
        return [Counts(requests, failed, _durations(buckets)) for requests, failed, buckets in rows]


@dataclass(frozen=True)
class Recording:
    """One run. `baseline` is the part of stable that is as large as the candidate: Kayenta is told to want one.

    `interval` is the seconds of a poll; `before` are stable's pods before the rollout, in blocks of their own.
    `points_apart` are the polls in which each arm is scraped once, where that isn't at the same time. Where the routers
    are `asked_directly`, both arms are counted at the very time of a poll, and increments say how long they are.
    """

    interval: int
    stable: Arm
    baseline: Arm
    candidate: Arm
    before: tuple[Arm, ...]
    candidate_pods: int = 1
    points_apart: int = 0
    asked_directly: bool = False

    def increments(self) -> Iterator[Increment]:
        """What the product's judge hears."""
        pods = {f"candidate-{number}": Counts() for number in range(self.candidate_pods)}
        both = zip(self.stable.counts(), self.candidate.counts(), strict=True)
        for number, (stable, candidate) in enumerate(both, start=1):
            until = _BEGAN + timedelta(seconds=number * self.interval)
            since = until - timedelta(seconds=self.interval) if self.asked_directly else None
            yield Increment(until, stable, candidate, pods, since=since)

    def reference(self) -> Durations:
        """Stable's latency from before the rollout."""
        return _durations(sum(pod.histogram.sum(axis=0) for pod in self.before).tolist())


def _durations(cumulative: list[int]) -> Durations:
    return Durations(BOUNDS, tuple(cumulative)) if cumulative else NO_DURATIONS
