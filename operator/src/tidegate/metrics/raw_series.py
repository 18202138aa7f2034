"""A store's raw samples → what the counters showed at points of time. PURE but for the store that is asked.

A range selector gives each series' own samples with their own times. There is no grid, so it doesn't matter to which
step a query's front end aligns times, what a store fills in between samples, or which of two replicas answers.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from tidegate.metrics.abandoned import abandoned_of, told_apart
from tidegate.metrics.falls import (
    Counters,
    Fall,
    Life,
    Lives,
    Samples,
    Scraped,
    beginnings_of,
    differing,
    disputes_of,
    doubt_of,
    falls_of,
    in_doubt,
)
from tidegate.metrics.increments import Counted, Process, Sample, SeriesKey, counted_of
from tidegate.metrics.processes import processes_of, two_clusters
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason

AT_ONCE = timedelta(minutes=16)
"""How much of the past one query asks for: half an hour with both its ends, minute by minute, takes two."""


class RawStore(Protocol):
    """Whoever holds series."""

    def raw(self, promql: str, since: datetime, until: datetime) -> Sequence[Scraped]:
        """Every sample of the selected series after `since`, up to `until`. Raises MetricsUnavailable."""


def read(store: RawStore, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
    """The counters at start, start + step, …, as far as they can be believed. Raises MetricsUnavailable."""
    at_once = max(1, AT_ONCE // step)
    each = [
        read_at(store, query, [start + index * step for index in range(first, min(points, first + at_once))])
        for first in range(0, points, at_once)
    ]
    return Readings(
        [sample for readings in each for sample in readings.samples],
        max((readings.newest for readings in each if readings.newest is not None), default=None),
        each[-1].interval,
        each[-1].doubt,
    )


def read_at(store: RawStore, query: CounterQuery, instants: Sequence[datetime]) -> Readings:
    """The counters at these instants, in order, at least one. Raises MetricsUnavailable."""
    since, until = instants[0] - query.looks_back, instants[-1]
    counters = _counters(store.raw(query.promql, since, until), query)
    points = [instant.timestamp() for instant in instants]
    if doubt := _of_two_clusters(counters):
        return Readings([{}] * len(points), doubt=doubt)
    counters, parts = told_apart(counters)
    falls = falls_of(counters)
    beginnings = beginnings_of(falls, _lives_told(store, query, falls, since, until), counters)
    unproven = [fall for fall in falls if fall.after.at not in beginnings.of(fall.key)]
    unproven += disputes_of(counters, beginnings)
    looks_back = query.looks_back.total_seconds()
    tracks = {
        key: [_Track(each.samples, beginnings.of(key), looks_back) for each in by]
        for key, by in {**counters, **abandoned_of(counters, parts, beginnings)}.items()
    }
    return Readings(
        [_sample(tracks, in_doubt(unproven, at), at) for at in points],
        max((samples[-1][0] for by in counters.values() for _, samples in by), default=None),
        _interval(counters),
        doubt_of(unproven, points[-1]),
    )


def _counters(series: Iterable[Scraped], query: CounterQuery) -> Counters:
    """The series that are wanted, by what they count: those of one process together, whoever has scraped it."""
    found = [(key, each) for each in series if each.samples and (key := query.key(each.labels))]
    processes = processes_of({key.owner for key, _ in found})
    counters: defaultdict[SeriesKey, list[Scraped]] = defaultdict(list)
    for key, each in found:
        counters[SeriesKey(processes[key.owner], key.revision, key.measure, key.of)].append(each)
    return counters


def _of_two_clusters(counters: Counters) -> MetricsGap | None:
    seen = {key.owner: [each.labels for each in by] for key, by in counters.items()}
    if (two := two_clusters(seen)) is None:
        return None
    one, other = differing(*two)
    return MetricsGap(
        Reason.COUNTED_TWICE,
        f"Prometheus holds the counters of this model from two clusters, {one} and {other}; set prometheus.matchers to "
        "the labels of this one",
    )


def _lives_told(store: RawStore, query: CounterQuery, falls: Iterable[Fall], since: datetime, until: datetime) -> Lives:
    """When the processes whose counters fell say that they began, beside what they count of the same revisions.

    Both in one answer: of two replicas that answer in turn, one knows nothing of the other's scrapes.
    """
    targets = {(fall.process, _target(fall.after.labels)) for fall in falls}
    lives: defaultdict[Process, list[Life]] = defaultdict(list)
    for process, target in targets:
        if life := _life(query, store.raw(query.with_start(target), since, until)):
            lives[process].append(life)
    return lives


def _life(query: CounterQuery, told: Iterable[Scraped]) -> Life | None:
    starts: list[tuple[float, float]] = []
    counted: defaultdict[str, set[float]] = defaultdict(set)
    for labels, samples in told:
        if query.is_start(labels):
            starts += [(at, at - value if query.start.counts_up else value) for at, value in samples]
        elif key := query.key(labels):
            counted[key.revision] |= {at for at, _ in samples}
    return Life(sorted(starts), counted) if starts else None


def _target(labels: Mapping[str, str]) -> str:
    found = ((name, labels[name]) for name in ("job", "namespace", "pod", "instance") if name in labels)
    return ",".join(f'{name}="{escaped(value)}"' for name, value in found)


def escaped(text: str) -> str:
    """Any text inside a PromQL string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class _Track:
    """A counter as one job has it, for looking up. `restarts`: when it was first read after it had begun anew."""

    __slots__ = ("_looks_back", "_restarts", "_samples")

    def __init__(self, samples: Samples, restarts: Collection[float], looks_back: float) -> None:
        self._samples = samples
        self._looks_back = looks_back
        self._restarts = restarts and [
            after for (_, high), (after, low) in pairwise(samples) if low < high and after in restarts
        ]

    def at(self, instant: float) -> tuple[int, Counted] | None:
        """How often it had restarted, and what it showed; None where that is too long ago."""
        index = len(self._samples) - 1
        if index >= 0 and self._samples[index][0] > instant:  # seldom: most are asked for what they showed last
            index = bisect_right(self._samples, (instant, math.inf)) - 1
        if index < 0 or self._samples[index][0] <= instant - self._looks_back:
            return None
        time, value = self._samples[index]
        if not self._restarts:
            return 0, counted_of((value, time, None))
        restarted = [restart for restart in self._restarts if restart <= time]
        return len(restarted), Counted(value, time, restarted[-1] if restarted else None)


def _sample(tracks: Mapping[SeriesKey, Sequence[_Track]], doubted: Collection[Process], at: float) -> Sample:
    """What all counters showed at an instant: of several who read one, whoever is furthest."""
    sample = {}
    for key, by in tracks.items():
        if key.owner in doubted:
            continue
        if len(by) == 1:  # mostly, and there are thousands
            if found := by[0].at(at):
                sample[key] = found[1]
        elif seen := [found for track in by if (found := track.at(at))]:
            sample[key] = max(seen)[1]
    return sample


def _interval(counters: Counters) -> float | None:
    """Seconds between two samples of the process that is read least often; one that was missed changes nothing."""
    read = {key.owner: by[0].samples for key, by in counters.items()}
    shortest = [
        min(after - before for (before, _), (after, _) in pairwise(samples))
        for samples in read.values()
        if len(samples) > 1
    ]
    return max(shortest, default=None)
