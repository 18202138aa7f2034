"""Stable's latency block by block, for a candidate that has no stable beside it. Pure.

Whoever has more to do is slower, and near what pods can bear a few percent more requests are a third more latency. So
a candidate alone is held against those of stable's blocks in which a pod had at least as much to do: as latency doesn't
fall with load, an equal model is no slower than they were. Where no pod of stable's had as much to do, nobody can say
whether it is the model or the load.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.judge.overdispersion import CLUMPS_LAST, overdispersion_over_time
from tidegate.judge.pods import Tally
from tidegate.model.evidence import NO_DURATIONS, Durations, Increment, LatencyBlock, PodTraffic

BLOCK = CLUMPS_LAST
"""Of stable's past; what a candidate does alone is taken in blocks no shorter, as load varies more in less time."""

EQUAL = 1e-6
"""Of a load: what times that are written in decimals make of the same one."""
NO_TRAFFIC = PodTraffic()


@dataclass(frozen=True)
class Stretch:
    """What the candidate did alone since its last block ended."""

    durations: Durations = NO_DURATIONS
    traffic: PodTraffic = NO_TRAFFIC

    def with_increment(self, increment: Increment) -> "Stretch":
        """And in this increment as well."""
        durations = self.durations + increment.candidate.durations
        return Stretch(durations, self.traffic.plus(increment.pod_traffic or NO_TRAFFIC))

    @property
    def is_a_block(self) -> bool:
        """Whether it is long enough."""
        return self.traffic.seconds >= BLOCK.total_seconds()


NOTHING_YET = Stretch()


@dataclass(frozen=True)
class Overload:
    """A block in which the candidate was slower than stable ever was, and had more to do: requests a second and pod."""

    rate: float
    highest: float
    """Of stable's in its past."""


def slow_at_load(blocks: Sequence[LatencyBlock], quantile: int, load: float) -> Tally | None:
    """Stable's slow requests in all blocks with at least such a load; None where there was no such block."""
    as_busy = [Tally(block.slow[quantile], block.requests) for block in blocks if block.rate >= load * (1 - EQUAL)]
    if not as_busy:
        return None
    return Tally(sum(tally.bad for tally in as_busy), sum(tally.requests for tally in as_busy))


def highest_load(blocks: Iterable[LatencyBlock]) -> float:
    """The most that a pod of stable's had to do in a block."""
    return max((block.rate for block in blocks), default=0.0)


def overdispersion_at_equal_load(blocks: Sequence[LatencyBlock], quantile: int) -> float:
    """φ of all pods together from one block to another of about the same load, whenever that was."""
    by_load = sorted(blocks, key=lambda block: block.rate)
    return overdispersion_over_time([{"all pods": Tally(block.slow[quantile], block.requests)} for block in by_load])
