"""Raw counters → what each gained between two samples.

PromQL's rate() and increase() lose a new series' first value, and a candidate's first errors are just that: the series
of failures is born with them. So counters are differenced here, series by series.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import accumulate
from statistics import fmean
from typing import NamedTuple

from tidegate.model.evidence import NO_DURATIONS, CellCounts, Cells, Counts, Durations, PodTraffic, Predictions
from tidegate.resources.names import MATCH_SUFFIX, MIRROR_SUFFIX

GRPC = "/grpc"
"""At the end of what a counter is of, where it counts calls by gRPC: they are requests of the same revision."""
GRPC_FAILURES = frozenset(("2", "4", "8", "13", "14", "15"))
"""UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE and DATA_LOSS: what 5xx and 429 are by HTTP."""
REQUESTS, FAILED, TURNED_AWAY = "requests", "failed", "turned away"
ANSWERED = "answered"
"""Requests by their status code: each is one, and one that failed where the code says so."""
ABANDONED = "abandoned"
"""Requests whose clients gave up before there was an answer: each is one more, and one that failed."""
TRIED, RETRIED, UNDER_WAY = "tried", "retried", "under way"
"""What tells of those: tries by how they ended, those among them that are a request's second or third, and a gauge."""
IN_CELL, FAILED_IN_CELL, TURNED_AWAY_IN_CELL = "in cell", "failed in cell", "turned away in cell"
"""The same as the first three, once more, of groups of requests: `of` is the cell."""
TRIES = ("sent", "not connected", "no pod", "overflow", "cancelled")
DURATION, FAILED_IN_POD, CLASS, SCORE = "duration", "failed in pod", "class", "score"
ASKED, TRAINED = "asked", "trained"
"""Values of live inputs and of the training data, by feature and bin, with BETWEEN in between."""
BETWEEN = "\n"
ALL = "+Inf"
"""The bucket that all requests are in, however long they took."""


class Process(NamedTuple):
    """Who counts: a pod, or where the scrape tells none an address. It is one process however many jobs scrape it."""

    namespace: str = ""
    pod: str = ""
    instance: str = ""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> "Process":
        """The process behind a series' labels, any of which may hold any text."""
        return cls(labels.get("namespace", ""), labels.get("pod", ""), labels.get("instance", ""))

    @property
    def name(self) -> str:
        """The pod's name; where the scrape doesn't tell it, the process' address."""
        return self.pod or self.instance


class SeriesKey(NamedTuple):
    """One counter. `owner` is the process that counts, `revision` what it counts for.

    `measure` is one of the names above. `of` is the upper bound of a bucket in seconds or of a score, as Prometheus
    writes it, a class, or a status code and whatever else tells one series from another; and then GRPC, where it is.
    """

    owner: Process
    revision: str
    measure: str
    of: str = ""

    @property
    def of_any(self) -> str:
        """`of`, whatever the protocol."""
        return self.of if self.measure == CLASS else self.of.removesuffix(GRPC)


class Counted(NamedTuple):
    """A counter's value, and when its process was asked for it, in seconds since 1970.

    `restarted` is when it was first asked after the counter had been shown to have begun anew, mostly as the process
    had; None where it hasn't lately.
    """

    value: float
    at: float
    restarted: float | None = None


counted_of: Callable[[tuple[float, float, float | None]], Counted] = partial(tuple.__new__, Counted)
"""`Counted(*values)` in half the time, for where thousands are made a second."""
Sample = Mapping[SeriesKey, Counted]
"""All counters as they were known at one instant; each was counted at a time of its own, then or a little before."""
NEVER = -math.inf


def never_back(before: Sample, after: Sample) -> Sample:
    """`after`, but with what `before` has where that is the newer: replicas of one Prometheus aren't equally far.

    A counter that is lower than before stays where it was, unless its process is shown to have restarted since: two
    who read a process at nearly the same time may differ by a request.
    """
    stay = {
        key: _later(past, counted)
        for key, counted in after.items()
        if (past := before.get(key)) and not (counted.at > past.at and counted.value >= past.value)
    }
    return {**after, **stay} if stay else after


def _later(past: Counted, counted: Counted) -> Counted:
    if counted.at > past.at and (counted.value >= past.value or _restarted(past, counted)):
        return counted
    return past if counted.at <= past.at else past._replace(at=counted.at)


def _restarted(past: Counted, counted: Counted) -> bool:
    return counted.restarted is not None and counted.restarted > past.at


def counter_increases(before: Sample, after: Sample, since: float = NEVER) -> dict[SeriesKey, int]:
    """What each counter gained between two samples; nothing where the first was counted before `since`.

    * fallen, its process shown to have restarted: all that it shows is new; not shown: nothing;
    * counted no later than before: nothing;
    * absent before, its owner known: the series was born since, so all that it shows is new;
    * absent before, its owner unknown: nobody can say when that was counted, so nothing is;
    * gone: what it counted since isn't known, and what was seen before has been counted already.
    """
    gained, owners = {}, None
    for key, counted in after.items():
        past = before.get(key)
        is_known = past is not None and past.at >= since  # mostly, and there are thousands
        if not is_known:
            owners = {key.owner for key, past in before.items() if past.at >= since} if owners is None else owners
            is_known = key.owner in owners
        gained[key] = round(_gain(past, counted)) if is_known else 0
    return gained


def _gain(past: Counted | None, counted: Counted) -> float:
    if past is None:
        return counted.value
    if counted.at <= past.at:
        return 0.0
    if counted.value >= past.value:
        return counted.value - past.value
    return counted.value if _restarted(past, counted) else 0.0


def judged_as(revision: str) -> tuple[str, ...]:
    """The names under which what a revision answered is counted that it is judged by: to users, and to copies."""
    return revision, revision + MIRROR_SUFFIX, revision + MATCH_SUFFIX


def counts_of(revision: str, gained: Mapping[SeriesKey, int]) -> Counts:
    """One arm's increments, summed over the processes that counted them: routers and model servers."""
    return _counts(judged_as(revision), gained)


def counts_named(name: str, gained: Mapping[SeriesKey, int]) -> Counts:
    """Those that were counted under one name alone."""
    return _counts((name,), gained)


def _counts(names: tuple[str, ...], gained: Mapping[SeriesKey, int]) -> Counts:
    by_measure: dict[str, dict[str, int]] = {}
    for key, gain in gained.items():
        if key.revision in names:
            summed = by_measure.setdefault(key.measure, {})
            summed[key.of_any] = summed.get(key.of_any, 0) + gain
    requests = by_measure.get(REQUESTS, {}).get("", 0)
    failed = sum(sum(by_measure.get(measure, {}).values()) for measure in (FAILED, TURNED_AWAY))
    for code, gain in by_measure.get(ANSWERED, {}).items():
        requests, failed = requests + gain, failed + (gain if is_failure(code.split()[0]) else 0)
    abandoned = by_measure.get(ABANDONED, {}).get("", 0)
    failed = min(failed, requests) + abandoned
    predictions = Predictions(by_measure.get(CLASS, {}), durations_of(by_measure.get(SCORE, {})))
    durations = durations_of(by_measure.get(DURATION, {}))
    return Counts(requests + abandoned, failed, durations, predictions, abandoned, _cells(by_measure))


def _cells(by_measure: Mapping[str, Mapping[str, int]]) -> Cells:
    failed, turned_away = by_measure.get(FAILED_IN_CELL, {}), by_measure.get(TURNED_AWAY_IN_CELL, {})
    return {
        cell: CellCounts(requests, min(requests, failed.get(cell, 0) + turned_away.get(cell, 0)))
        for cell, requests in by_measure.get(IN_CELL, {}).items()
        if requests
    }


def counts_by_pod(revision: str, gained: Mapping[SeriesKey, int]) -> dict[str, Counts]:
    """The same for each of the revision's pods, as its own server counted: what never reached it isn't in it."""
    buckets: dict[str, dict[str, int]] = {}
    failed: dict[str, int] = {}
    for key, gain in gained.items():
        if key.revision != revision:
            continue
        pod = key.owner.name
        if key.measure == DURATION:
            summed = buckets.setdefault(pod, {})
            summed[key.of_any] = summed.get(key.of_any, 0) + gain
        elif key.measure == FAILED_IN_POD:
            failed[pod] = failed.get(pod, 0) + gain
    counts = {}
    for pod, summed in buckets.items():
        durations = durations_of(summed)
        if durations.total:
            counts[pod] = Counts(durations.total, min(failed.get(pod, 0), durations.total), durations)
    return counts


def pods_of(revision: str, gained: Mapping[SeriesKey, int]) -> int:
    """How many of the revision's pods there are, whether they answered anything or not."""
    return len({key.owner.name for key in gained if key.revision == revision and key.measure == DURATION})


def traffic_of_a_pod(revision: str, before: Sample, after: Sample) -> PodTraffic | None:
    """What a pod of the revision answered on average, by the times at which each was counted; None where none was."""
    answered = [
        PodTraffic(counted.at - past.at, counted.value - past.value)
        for key, counted in after.items()
        if (key.revision, key.measure, key.of) == (revision, DURATION, ALL)
        and (past := before.get(key))
        and counted.at > past.at
        and counted.value >= past.value
    ]
    if not answered:
        return None
    return PodTraffic(fmean(each.seconds for each in answered), fmean(each.requests for each in answered))


def is_failure(code: str) -> bool:
    """Of class 5; 429, as the model can't keep up; 0, where there was no answer at all."""
    return code in ("0", "429") or (len(code) == 3 and code.startswith("5"))


def durations_of(buckets: Mapping[str, int]) -> Durations:
    """Cumulative buckets by upper bound (`0.5`, `+Inf`) → a histogram in ascending order.

    Sums of counters scraped at different instants may not be monotonic by a request or two; they are made so.
    """
    if not buckets:
        return NO_DURATIONS
    texts, bounds = _in_order(tuple(buckets))
    return Durations(bounds, tuple(accumulate((buckets[text] for text in texts), max)))


@lru_cache(maxsize=256)
def _in_order(texts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Bounds as they are written, in ascending order, and what they are: the same few again and again."""
    ordered = sorted(texts, key=_bound)
    return tuple(ordered), tuple(map(_bound, ordered))


def _bound(text: str) -> float:
    return math.inf if text == ALL else float(text)
