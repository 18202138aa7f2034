"""The fold of counters into increments. PURE: the same samples always give the same increments.

Traffic counters are differenced at every point, as one scrape of a router has both arms. Detail counters are scraped
from each pod at a time of its own, so a block shorter than a scrape interval would hold one arm's requests and not the
other's: they are differenced once in a propagation delay. Each is a fold of its own: what one lacks, the other doesn't
wait for. Routers that are asked directly tell requests, failures and latency of both arms at one time: their readings
are differenced one by one, whenever they come.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tidegate.judge.sampling import JUST_BEFORE, SETTLES, WARM_UP, WARM_UP_REQUESTS, Segment, segment_at
from tidegate.metrics.increments import (
    ABANDONED,
    ANSWERED,
    DURATION,
    NEVER,
    REQUESTS,
    Process,
    Sample,
    SeriesKey,
    counter_increases,
    counts_by_pod,
    counts_named,
    counts_of,
    judged_as,
    never_back,
    pods_of,
    traffic_of_a_pod,
)
from tidegate.metrics.lateness import LATEST
from tidegate.metrics.merging import without_latency
from tidegate.metrics.replicas import vanished
from tidegate.model.evidence import NO_DURATIONS, Counts, Durations, Increment, Load, PodTraffic
from tidegate.model.traffic import Arms, Share
from tidegate.resources.names import MATCH_SUFFIX, MIRROR_SUFFIX, PREVIEW_SUFFIX

_ARE_REQUESTS = (REQUESTS, ANSWERED, ABANDONED)
READINGS_OF_A_SHARE = 8
"""How many of a source's readings are kept to tell a share by: each has all counters."""


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
    pod_bounds: tuple[str, ...] | None = None
    """Those of the servers' bounds of latency that are read; None for all."""
    sliced: bool = False
    """Whether groups of requests are compared as well."""


class ReadyPods(NamedTuple):
    """What the cluster knows of both arms' pods where their own counters aren't read: how many, and the names."""

    stable: int = 0
    candidate: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrafficFold:
    """All that the next point of traffic needs to know of those before it. Its size doesn't grow with the rollout."""

    at: datetime | None = None
    """The latest point that was folded, whether or not there was anything."""
    last: Reading | None = None
    """The latest with counters of either arm."""
    recent: tuple[Reading, ...] = ()
    """Counters of all revisions at the latest points, as far back as a share has to reach."""
    exposed: Counts = field(default_factory=Counts)
    """Requests and failures of the candidate, also around a shift, where nothing is judged."""
    shadowed: Counts = field(default_factory=Counts)
    """The same of copies, whose answers nobody got."""
    matched: int = 0
    """Of those requests, how many came by a step's rules."""
    has_gap: bool = False
    """Whether there were no counters of either arm at the latest point."""
    bounds: tuple[float, ...] = ()
    """The latency buckets of the first reading that had any, where latency comes with the traffic."""

    @property
    def latest(self) -> Sample:
        """What was known of the counters at the latest point at which there were any."""
        if self.recent and self.recent[-1].sample:
            return self.recent[-1].sample
        return self.last.sample if self.last else {}


@dataclass(frozen=True)
class DetailsFold:
    """The same for the details. `last` and `at` are at the end of a block."""

    at: datetime | None = None
    last: Reading | None = None
    warm_from: Mapping[Process, datetime] = field(default_factory=dict)
    """When the latency of each process that has just started begins to count."""
    bounds: tuple[float, ...] = ()
    """The latency buckets of the first block that had any."""
    score_bounds: tuple[float, ...] = ()
    histograms_differ: bool = False
    """Whether the buckets were others in the latest block: its latency doesn't count then."""


def accumulate_traffic(
    state: TrafficFold, comparison: Comparison, segment: Segment, first: int, samples: Sequence[Sample]
) -> tuple[TrafficFold, tuple[Increment, ...]]:
    """Folds the segment's points `first`, `first` + 1, …, none of which is older than what has been folded."""
    increments = []
    for index, sample in enumerate(samples, first):
        state, increment = _fold_traffic(state, comparison, segment, segment.instant(index), sample)
        if increment is not None:
            increments.append(increment)
    return state, tuple(increments)


def accumulate_details(
    state: DetailsFold, comparison: Comparison, segment: Segment, first: int, samples: Sequence[Sample]
) -> tuple[DetailsFold, tuple[Increment, ...]]:
    """Folds the segment's blocks `first`, `first` + 1, …: one sample for each, as of its end.

    There is an increment for every point of a block; all but the last are empty, for they count as looks.
    """
    increments: list[Increment] = []
    for block, sample in enumerate(samples, first):
        end = block * segment.delay_points
        points = range(max(1, end - segment.delay_points + 1), end + 1)
        judged = [index for index in points if _is_after_settling(comparison, segment, segment.instant(index - 1))]
        empty = [_empty(segment, index) for index in judged]
        state, detailed = _fold_details(state, comparison, segment, Reading(segment.instant(end), sample))
        increments += empty if detailed is None else [*empty[:-1], detailed]
    return state, tuple(increments)


def accumulate_readings(
    state: TrafficFold,
    comparison: Comparison,
    grid: Sequence[Segment],
    readings: Sequence[Reading],
    *,
    span: timedelta,
    pods: ReadyPods,
) -> tuple[TrafficFold, tuple[Increment, ...]]:
    """Folds what routers answered that were asked directly, each reading as of its own time: when they were asked.

    None is older than what has been folded. Those from before the first shift give no increment, but the candidate's
    first requests are counted from the last of them. `Counted.at` has to be by the operator's clock too, the time at
    which that router was asked. `span` is how far back a share has to reach. Increments say since when they are.
    """
    increments: list[Increment] = []
    for reading in readings:
        newest = Reading(reading.at, never_back(state.latest, reading.sample))
        before, state = state, _take_in(state, comparison, newest, _reaching_back(state.recent, newest, span))
        segment = segment_at(grid, reading.at)
        if segment and before.last and state.last and not state.has_gap:
            answered = before.exposed.requests + before.shadowed.requests
            is_warm = before.last.at >= segment.start + WARM_UP and answered >= WARM_UP_REQUESTS
            if increment := _between(before.last, state.last, comparison, segment, pods):
                state, increment = _known_latency(state, comparison, increment, is_warm=is_warm)
                increments.append(increment)
    return state, tuple(increments)


def share_of(recent: Sequence[Reading], span: timedelta) -> Share | None:
    """Requests per revision over the latest readings that are at least `span` apart; None where they aren't there."""
    for earlier in reversed(recent):
        if earlier.at <= recent[-1].at - span and (share := share_between(earlier, recent[-1], span)):
            return share
    return None


def share_between(before: Reading, after: Reading, span: timedelta) -> Share | None:
    """Requests per revision between two readings, live and preview apart; None where either lacks counters.

    It says when they were counted, not when they were read: samples come late. None too where one of the processes
    hasn't been counted anew in between, for that says nothing of it.
    """
    before, after = (each._replace(sample=without_latency(each.sample)) for each in (before, after))
    if not before.sample or not after.sample or vanished(before.sample, after.sample, after.at):
        return None
    if (counted := _counted_between(before, after, span)) is None:
        return None
    by_suffix: dict[str, dict[str, int]] = {"": {}, PREVIEW_SUFFIX: {}, MIRROR_SUFFIX: {}, MATCH_SUFFIX: {}}
    requests_after = {key: counted for key, counted in after.sample.items() if key.measure in _ARE_REQUESTS}
    for key, gain in counter_increases(before.sample, requests_after).items():
        suffix = next((each for each in by_suffix if each and key.revision.endswith(each)), "")
        requests, revision = by_suffix[suffix], key.revision.removesuffix(suffix)
        requests[revision] = requests.get(revision, 0) + gain
    return Share(*counted, *by_suffix.values())


def counted_until(reading: Reading, span: timedelta) -> datetime | None:
    """Up to when every process has been counted; None where none has.

    One that wasn't counted for a `span` and as long as samples may be late is gone.
    """
    counted = _counted_at(reading.sample, _still_there(reading, span))
    return datetime.fromtimestamp(min(counted.values()), UTC) if counted else None


def _counted_between(before: Reading, after: Reading, span: timedelta) -> tuple[datetime, datetime] | None:
    """From the earliest of the processes' first samples to the earliest of their last ones."""
    first, last = _counted_at(before.sample), _counted_at(after.sample, _still_there(after, span))
    both = first.keys() & last.keys()
    if not both or any(last[process] <= first[process] for process in both):
        return None
    began, ended = min(first[process] for process in both), min(last[process] for process in both)
    return datetime.fromtimestamp(began, UTC), datetime.fromtimestamp(ended, UTC)


def _still_there(reading: Reading, span: timedelta) -> float:
    return (reading.at - span - LATEST).timestamp()


def _counted_at(sample: Sample, since: float = NEVER) -> dict[Process, float]:
    """When each process was counted last, but for those that weren't since."""
    latest: dict[Process, float] = {}
    for key, counted in sample.items():
        if counted.at > latest.get(key.owner, since):
            latest[key.owner] = counted.at
    return latest


def _fold_traffic(
    state: TrafficFold, comparison: Comparison, segment: Segment, at: datetime, sample: Sample
) -> tuple[TrafficFold, Increment | None]:
    newest = Reading(at, never_back(state.latest, sample))
    recent = (*state.recent, newest)[-(segment.delay_points + 2) :]
    before, state = state.last, _take_in(state, comparison, newest, recent)
    if state.has_gap or not before or not state.last or not _is_after_settling(comparison, segment, before.at):
        return state, None
    judged = counter_increases(before.sample, state.last.sample, _split_since(comparison, segment))
    stable, candidate = (counts_of(arm, judged) for arm in (comparison.arms.stable, comparison.arms.candidate))
    return state, Increment(at, stable, candidate, concurrent=segment.concurrent)


def _split_since(comparison: Comparison, segment: Segment) -> float:
    """A counter that was last counted before that says nothing of the segment's split: its samples come late."""
    return NEVER if segment.start == comparison.began else segment.start.timestamp()


def _take_in(state: TrafficFold, comparison: Comparison, reading: Reading, recent: tuple[Reading, ...]) -> TrafficFold:
    """The state with one reading more. `recent` are those that a share needs, with this one."""
    state = replace(state, at=reading.at, recent=recent)
    arms = comparison.arms
    judged = (arms.stable, *judged_as(arms.candidate))
    counted = {key: value for key, value in reading.sample.items() if key.revision in judged}
    if not counted:
        return replace(state, has_gap=True)
    # Its buckets of latency are most of its counters, and none of them is a request more.
    answered = {k: value for k, value in counted.items() if k.revision != arms.stable and k.measure != DURATION}
    gained = counter_increases(state.last.sample, answered) if state.last else {}
    matched = counts_named(arms.candidate + MATCH_SUFFIX, gained).traffic
    return replace(
        state,
        last=Reading(reading.at, counted),
        exposed=state.exposed + counts_named(arms.candidate, gained).traffic + matched,
        shadowed=state.shadowed + counts_named(arms.candidate + MIRROR_SUFFIX, gained).traffic,
        matched=state.matched + matched.requests,
        has_gap=False,
    )


def _between(
    first: Reading, last: Reading, comparison: Comparison, segment: Segment, pods: ReadyPods
) -> Increment | None:
    """What was counted between two readings, if all of it is of the segment's split."""
    since = _one_split_since(comparison, segment)
    if first.at < since:
        return None
    gained = counter_increases(first.sample, last.sample, since.timestamp())
    stable, candidate = (counts_of(arm, gained) for arm in (comparison.arms.stable, comparison.arms.candidate))
    load = _load(segment, pods.stable, len(pods.candidate))
    named = dict.fromkeys(pods.candidate, Counts())
    traffic = _of_a_pod(candidate.durations.total, last.at - first.at, len(pods.candidate))
    return Increment(last.at, stable, candidate, named, segment.concurrent, load, first.at, traffic)


def _load(segment: Segment, stable_pods: int, candidate_pods: int) -> Load | None:
    """None too where the candidate gets a group's requests: nobody knows how many those are."""
    return None if segment.matched else Load.of(segment.weight, stable_pods, candidate_pods, segment.mirror)


def _of_a_pod(requests: int, lasted: timedelta, pods: int) -> PodTraffic | None:
    """What each of the pods answered on average: who counts are routers, and stable's past is told pod by pod."""
    return PodTraffic(lasted.total_seconds(), requests / pods) if requests and pods else None


def _known_latency(
    state: TrafficFold, comparison: Comparison, increment: Increment, *, is_warm: bool
) -> tuple[TrafficFold, Increment]:
    """The increment without latency that is no news yet, or can't be held against that of before: other buckets."""
    arms = (increment.stable, increment.candidate)
    bounds = comparison.reference.bounds or state.bounds or _first([arm.durations for arm in arms])
    known = is_warm and all(arm.durations.bounds in ((), bounds) for arm in arms)
    stable, candidate = (_told_by(arm, bounds if known else (), ()) for arm in arms)
    return replace(state, bounds=bounds), replace(increment, stable=stable, candidate=candidate)


def _one_split_since(comparison: Comparison, segment: Segment) -> datetime:
    """From when on what is counted is of the segment's split. A new candidate had no requests before its first one."""
    is_first = segment.start == comparison.began
    return segment.start - JUST_BEFORE if is_first else segment.start + SETTLES


def _reaching_back(recent: Sequence[Reading], reading: Reading, span: timedelta) -> tuple[Reading, ...]:
    """The readings that a share needs: the newest, one that is a `span` older, and a few in between."""
    spaced = recent if _is_apart(recent, span) else recent[:-1]
    reaching = [each for each in spaced if each.at <= reading.at - span][-1:]
    return (*reaching, *(each for each in spaced if each.at > reading.at - span), reading)


def _is_apart(recent: Sequence[Reading], span: timedelta) -> bool:
    return len(recent) < 2 or recent[-1].at - recent[-2].at >= span / READINGS_OF_A_SHARE


def _empty(segment: Segment, index: int) -> Increment:
    return Increment(segment.instant(index), Counts(), Counts(), concurrent=segment.concurrent)


def _is_after_settling(comparison: Comparison, segment: Segment, since: datetime) -> bool:
    """Whether what was counted since is of one split only: it began when that had settled, or the candidate was new."""
    return since >= _settled(segment) or segment.start == comparison.began


def _settled(segment: Segment) -> datetime:
    return segment.instant(segment.delay_points)


def _fold_details(
    state: DetailsFold, comparison: Comparison, segment: Segment, details: Reading
) -> tuple[DetailsFold, Increment | None]:
    """What the details gained since the block before, if it is one of the same split that had settled."""
    before, at = state.last, details.at
    if before:
        details = details._replace(sample=never_back(before.sample, details.sample))
    state = replace(state, at=at, last=details)
    if before is None or before.at < _settled(segment):
        return state, None
    warm = at + segment.delay_points * segment.step
    warm_from = {**state.warm_from, **dict.fromkeys(_started(before.sample, details.sample), warm)}
    gained = counter_increases(before.sample, details.sample, segment.start.timestamp())
    gained = _without_warm_up(gained, warm_from, at)
    state = replace(state, warm_from={process: since for process, since in warm_from.items() if since > at})
    arms = comparison.arms
    stable, candidate = counts_of(arms.stable, gained), counts_of(arms.candidate, gained)
    pods = counts_by_pod(arms.candidate, gained)
    load = _load(segment, pods_of(arms.stable, gained), pods_of(arms.candidate, gained))
    alone = traffic_of_a_pod(arms.candidate, before.sample, details.sample)
    return _comparable(state, comparison, Increment(at, stable, candidate, pods, segment.concurrent, load, None, alone))


def _comparable(
    state: DetailsFold, comparison: Comparison, increment: Increment
) -> tuple[DetailsFold, Increment | None]:
    """The increment without the histograms that can't be held against those before it, or the arms' against another."""
    arms = (increment.stable, increment.candidate)
    bounds = comparison.reference.bounds or state.bounds or _first([arm.durations for arm in arms])
    scores = state.score_bounds or _first([arm.predictions.scores for arm in arms])
    differ = any(arm.durations.bounds not in ((), bounds) for arm in arms)
    stable, candidate = (_told_by(arm, () if differ else bounds, scores) for arm in arms)
    pods = {} if differ else {pod: each for pod, each in increment.pods.items() if each.durations.bounds == bounds}
    traffic = None if differ else increment.pod_traffic
    state = replace(state, bounds=bounds, score_bounds=scores, histograms_differ=differ)
    return state, replace(increment, stable=stable, candidate=candidate, pods=pods, pod_traffic=traffic)


def _first(histograms: Sequence[Durations]) -> tuple[float, ...]:
    return next((histogram.bounds for histogram in histograms if histogram.bounds), ())


def _told_by(arm: Counts, bounds: tuple[float, ...], score_bounds: tuple[float, ...]) -> Counts:
    """An arm's counts without histograms that have other buckets than these."""
    durations = arm.durations if arm.durations.bounds == bounds else NO_DURATIONS
    scores = arm.predictions.scores if arm.predictions.scores.bounds == score_bounds else NO_DURATIONS
    return replace(arm, durations=durations, predictions=replace(arm.predictions, scores=scores))


def _started(before: Sample, after: Sample) -> Iterable[Process]:
    """The processes with latency that are new, or whose counters fell."""
    known = {key.owner for key in before if key.measure == DURATION}
    fallen = {key.owner for key, counted in after.items() if key in before and counted.value < before[key].value}
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
