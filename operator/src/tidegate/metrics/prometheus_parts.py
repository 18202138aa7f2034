"""A rollout's counters as Prometheus is asked for them: a part at a time, and none twice."""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.judge.sampling import Segment
from tidegate.metrics.accumulate import Comparison, DetailsFold, TrafficFold, accumulate_details, accumulate_traffic
from tidegate.metrics.fold import Fold
from tidegate.metrics.lateness import LATEST
from tidegate.metrics.provider import STALE, Readings, Selection, Sources, together
from tidegate.model.evidence import Increment

POINTS_AT_ONCE, BLOCKS_AT_ONCE = 240, 20
"""Of one answer: what is behind is read in parts, so that memory doesn't depend on how far."""


def increments(sources: Sources, comparison: Comparison, grid: tuple[Segment, ...]) -> Iterator[Increment]:
    """All of a rollout's increments from the sources' counters, point by point, read in parts.

    Raises MetricsUnavailable.
    """
    traffic, details = TrafficFold(), DetailsFold()
    for segment in grid:
        detailed: dict[datetime, Increment] = {}
        for first, read in _blocks_of(sources, comparison, segment, None):
            details, more = accumulate_details(details, comparison, segment, first, read.samples)
            detailed |= {each.until: each for each in more}
        for first, read in points_of(sources, comparison, segment, None):
            traffic, counted = accumulate_traffic(traffic, comparison, segment, first, read.samples)
            for each in counted:
                yield _joined(each, detailed.pop(each.until, None))


def _joined(traffic: Increment, details: Increment | None) -> Increment:
    if details is None:
        return traffic
    stable, candidate = traffic.stable + details.stable, traffic.candidate + details.candidate
    return replace(details, stable=stable, candidate=candidate)


def points_of(
    sources: Sources, comparison: Comparison, segment: Segment, done: datetime | None
) -> Iterator[tuple[int, Readings]]:
    """The segment's points later than `done`, a part at a time: the first one's index, and what was read."""
    everybody = everybody_in(comparison)
    for first, count in segment.parts(done, POINTS_AT_ONCE):
        yield first, sources.traffic.readings(everybody, segment.instant(first), segment.step, count)


def everybody_in(comparison: Comparison) -> Selection:
    """Whose traffic is read."""
    return Selection(comparison.arms.namespace, comparison.arms.name, slices=comparison.sliced)


def _blocks_of(
    sources: Sources, comparison: Comparison, segment: Segment, done: datetime | None
) -> Iterator[tuple[int, Readings]]:
    """The same for the ends of its blocks."""
    blocks = segment.blocks
    for first, count in blocks.parts(done, BLOCKS_AT_ONCE):
        yield first, _details_of(sources, comparison, blocks, (first, count), at_most(blocks))


def new_blocks_of(
    fold: Fold, sources: Sources, comparison: Comparison, segment: Segment
) -> Iterator[tuple[int, Readings]]:
    """The same, but what has been read isn't read again: thousands of series, each at many times.

    All of it is, where the new doesn't tell the same by itself: whoever answers isn't as far as whoever did before, or
    a process isn't believed.
    """
    blocks = segment.blocks
    for part in blocks.parts(fold.details.at, BLOCKS_AT_ONCE):
        whole = at_most(blocks)
        new = whole if part[1] > 1 or fold.details_doubt else _since_last(fold, blocks.instant(part[0]), whole)
        read = _details_of(sources, comparison, blocks, part, new)
        if new < whole and (read.doubt or _lacks(read, fold.details)):
            read = _details_of(sources, comparison, blocks, part, whole)
            fold.behind = min(whole, 2 * timedelta(seconds=read.interval or 0.0))
        yield part[0], read


def _details_of(
    sources: Sources, comparison: Comparison, blocks: Segment, part: tuple[int, int], looks_back: timedelta
) -> Readings:
    first, count = part
    return read_details(sources, of_both(comparison, looks_back), blocks.instant(first), blocks.step, count)


def of_both(comparison: Comparison, looks_back: timedelta) -> Selection:
    """Both revisions' processes, each with its last sample of so long."""
    arms = comparison.arms
    return Selection(
        arms.namespace, arms.name, (arms.stable, arms.candidate), comparison.pod_bounds, looks_back=looks_back
    )


def read_details(sources: Sources, both: Selection, start: datetime, step: timedelta, count: int) -> Readings:
    """All of the details; what was answered by itself where only a few bounds of latency are read."""
    wanted = [both] if both.bounds is None else [both, replace(both, bounds=None, only_predictions=True)]
    return together([sources.detail_readings(each, start, step, count) for each in wanted], count)


def at_most(blocks: Segment) -> timedelta:
    """How far back a block's last sample may lie."""
    return min(STALE, blocks.step + LATEST)


def _since_last(fold: Fold, at: datetime, most: timedelta) -> timedelta:
    """How far back the last sample of each process is that was taken: how far it fell is told by that one."""
    if fold.details.last is None:
        return most
    oldest = min((counted.at for counted in fold.details.last.sample.values()), default=0.0)
    return min(most, timedelta(seconds=math.ceil(at.timestamp() - oldest) + 1) + fold.behind)


def _lacks(readings: Readings, details: DetailsFold) -> bool:
    """Whether a process isn't there that was."""
    before = details.last.sample if details.last else {}
    return not {key.owner for key in before} <= {key.owner for key in readings.samples[-1]}
