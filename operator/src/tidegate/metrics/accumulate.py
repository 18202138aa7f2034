"""The fold of counters into increments. PURE: the same samples always give the same increments.

Traffic counters are differenced at every point, as one scrape of a router has both arms. Detail counters are scraped
from each pod at a time of its own, so a block shorter than a scrape interval would hold one arm's requests and not the
other's: they are differenced once in a propagation delay.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.judge.sampling import Segment
from tidegate.metrics.increments import (
    ANSWERED,
    DURATION,
    REQUESTS,
    Process,
    Sample,
    SeriesKey,
    counter_increases,
    counts_by_pod,
    counts_of,
    pods_of,
)
from tidegate.model.evidence import Counts, Durations, Increment, Load
from tidegate.model.traffic import Arms, Share
from tidegate.resources.names import PREVIEW_SUFFIX


class Reading(NamedTuple):
    """All counters at one instant."""

    at: datetime
    sample: Sample


@dataclass(frozen=True)
class Comparison:
    """What doesn't change during a rollout.

    `began` is when the candidate got its first traffic, `reference` stable's latency from before.
    """

    arms: Arms
    began: datetime
    reference: Durations


@dataclass(frozen=True)
class FoldState:
    """All that the next point needs to know of those before it. Its size doesn't grow with the rollout."""

    traffic: Reading | None = None
    """The latest with counters of either arm."""
    details: Reading | None = None
    """The latest at the end of a block."""
    recent: tuple[Reading, ...] = ()
    """Traffic counters of all revisions at the latest points, as far back as a share has to reach."""
    warm_from: Mapping[Process, datetime] = field(default_factory=dict)
    """When the latency of each process that has started begins to count."""
    exposed: Counts = field(default_factory=Counts)
    """Requests and failures of the candidate, also around a shift, where nothing is judged."""
    has_gap: bool = False
    """Whether there were no traffic counters of either arm at the latest point."""


def accumulate(
    state: FoldState,
    comparison: Comparison,
    segment: Segment,
    first: int,
    traffic: Sequence[Sample],
    details: Sequence[Sample],
) -> tuple[FoldState, tuple[Increment, ...]]:
    """Folds the segment's points `first`, `first` + 1, …: one sample of traffic and of details for each.

    Raises ValueError where the arms' histograms have different buckets; nothing has been folded then.
    """
    increments = []
    for index, (counted, detailed) in enumerate(zip(traffic, details, strict=True), first):
        state, increment = _fold_point(state, comparison, segment, index, counted, detailed)
        if increment is not None:
            increments.append(increment)
    return state, tuple(increments)


def share_of(recent: Sequence[Reading], span: timedelta) -> Share | None:
    """Requests per revision over the latest readings that are at least `span` apart; None where they aren't there."""
    earlier = [reading for reading in recent if reading.at <= recent[-1].at - span]
    return share_between(earlier[-1], recent[-1]) if earlier else None


def share_between(before: Reading, after: Reading) -> Share | None:
    """Requests per revision between two readings, live and preview apart; None where either has no counters."""
    if not before.sample or not after.sample:
        return None
    live: dict[str, int] = {}
    preview: dict[str, int] = {}
    for key, gain in counter_increases(before.sample, after.sample).items():
        if key.measure in (REQUESTS, ANSWERED):
            revision = key.revision.removesuffix(PREVIEW_SUFFIX)
            counted = live if revision == key.revision else preview
            counted[revision] = counted.get(revision, 0) + gain
    return Share(before.at, after.at, live, preview)


def _fold_point(
    state: FoldState, comparison: Comparison, segment: Segment, index: int, traffic: Sample, details: Sample
) -> tuple[FoldState, Increment | None]:
    at = segment.instant(index)
    state = replace(state, recent=(*state.recent, Reading(at, traffic))[-(segment.delay_points + 2) :])
    arms = (comparison.arms.stable, comparison.arms.candidate)
    traffic = {key: value for key, value in traffic.items() if key.revision in arms}
    if not traffic:
        return replace(state, has_gap=True), None
    gained = counter_increases(state.traffic.sample, traffic) if state.traffic else {}
    detailed: Mapping[SeriesKey, int] = {}
    increment = None
    if _is_judged(state.traffic, comparison, segment):
        if _ends_block(segment, index):
            state, detailed = _since_last_block(state, segment, Reading(at, details))
        increment = _increment(comparison, segment, at, gained, detailed)
    candidate = counts_of(comparison.arms.candidate, gained)
    state = replace(
        state,
        traffic=Reading(at, traffic),
        details=Reading(at, details) if _ends_block(segment, index) else state.details,
        exposed=state.exposed + Counts(candidate.requests, candidate.failed),
        has_gap=False,
    )
    return state, increment


def _is_judged(before: Reading | None, comparison: Comparison, segment: Segment) -> bool:
    """Whether what was counted since is of one split only: it began when that had settled, or the candidate was new."""
    return before is not None and (before.at >= _settled(segment) or segment.start == comparison.began)


def _settled(segment: Segment) -> datetime:
    return segment.instant(segment.delay_points)


def _ends_block(segment: Segment, index: int) -> bool:
    return index % segment.delay_points == 0


def _increment(
    comparison: Comparison,
    segment: Segment,
    at: datetime,
    traffic: Mapping[SeriesKey, int],
    details: Mapping[SeriesKey, int],
) -> Increment:
    stable, candidate = (
        counts_of(revision, traffic) + counts_of(revision, details)
        for revision in (comparison.arms.stable, comparison.arms.candidate)
    )
    _check_buckets(comparison.reference, stable.durations, candidate.durations)
    pods = counts_by_pod(comparison.arms.candidate, details)
    load = Load.of(
        segment.weight, *(pods_of(arm, details) for arm in (comparison.arms.stable, comparison.arms.candidate))
    )
    return Increment(at, stable, candidate, pods, segment.concurrent, load)


def _check_buckets(*histograms: Durations) -> None:
    if len({histogram.bounds for histogram in histograms if histogram.bounds}) > 1:
        raise ValueError("the model servers of the two revisions have different buckets")


def _since_last_block(
    state: FoldState, segment: Segment, details: Reading
) -> tuple[FoldState, Mapping[SeriesKey, int]]:
    """What the details gained since the block before, if it is one of the same split that had settled."""
    before = state.details
    if before is None or before.at < _settled(segment):
        return state, {}
    warm = details.at + segment.delay_points * segment.step
    started = dict.fromkeys(_started(before.sample, details.sample), warm)
    state = replace(state, warm_from={**state.warm_from, **started})
    gained = counter_increases(before.sample, details.sample)
    return state, _without_warm_up(gained, state.warm_from, details.at)


def _started(before: Sample, after: Sample) -> Iterable[Process]:
    """The processes with latency that are new, or whose counters fell."""
    known = {key.owner for key in before if key.measure == DURATION}
    fallen = {key.owner for key, value in after.items() if value < before.get(key, 0.0)}
    present = {key.owner for key in after if key.measure == DURATION}
    return (present - known) | (present & fallen)


def _without_warm_up(
    gained: Mapping[SeriesKey, int], warm_from: Mapping[Process, datetime], at: datetime
) -> dict[SeriesKey, int]:
    """Without the latency of processes that have just started: their first requests pay for what later ones don't."""
    return {
        key: 0 if key.measure == DURATION and key.owner in warm_from and at <= warm_from[key.owner] else gain
        for key, gain in gained.items()
    }
