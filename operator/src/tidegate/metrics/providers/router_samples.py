"""What routers answered that were asked directly: the last minute of it, by the operator's own clock.

A RawStore for each ModelDeployment answers from it as Prometheus would, so that births, restarts, counters that went
back and requests that were given up are told in the same way. Nothing in it grows while a rollout lasts.
"""

import math
import operator
import threading
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tidegate.metrics.abandoned import ALL_PARTS, Tries, abandoned_in, abandoned_key, sign_of
from tidegate.metrics.falls import DISTRUST, Labels, Scraped
from tidegate.metrics.increments import (
    DURATION,
    RETRIED,
    TRIED,
    UNDER_WAY,
    Counted,
    Process,
    Sample,
    SeriesKey,
    counted_of,
)
from tidegate.metrics.provider import STALE
from tidegate.metrics.providers.exposition import ExpositionReader
from tidegate.resources.names import PREVIEW_SUFFIX

MOST_READINGS = 60
"""Of a cluster at one router, about a minute of them."""
STILL = 3.0
"""Seconds after which what a router counts isn't known any more: it is asked each second, or more often."""
MAY_FALL = ("envoy_cluster_upstream_rq_active", "envoy_cluster_upstream_cx_active")
"""Gauges."""
ONLY_PARTS = (TRIED, RETRIED, UNDER_WAY)
"""What is no count of anything by itself."""
UPTIME = "envoy_server_uptime"
Model = tuple[str, str]
KeyOf = Callable[[Labels], SeriesKey | None]


class RouterPod(NamedTuple):
    """A router as the operator knows it, and where it is asked: host:port, empty where it doesn't say."""

    namespace: str
    name: str
    address: str = ""

    @property
    def full_name(self) -> str:
        """Its pod, as an answer names it."""
        return f"{self.namespace}/{self.name}"

    @property
    def host(self) -> str:
        """Its address without the port."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def process(self) -> Process:
        """Who counts, as Prometheus would have it too."""
        return Process(self.namespace, self.name)


class Reading(NamedTuple):
    """The series of one cluster when a router was asked; NaN for one that it didn't tell then."""

    at: float
    values: "array[float]"
    tries: Tries | None = None
    """None where a part of them wasn't told."""


class Fell(NamedTuple):
    """The readings before and after a counter fell, and when the router, asked in between, had no such cluster."""

    before: Reading
    after: Reading
    untold_at: float | None = None

    @property
    def readings(self) -> tuple[Reading, Reading]:
        """Both."""
        return self.before, self.after

    @property
    def instants(self) -> tuple[float, ...]:
        """When the router answered: three times, or without meanwhile none that says anything."""
        return () if self.untold_at is None else (self.before.at, self.untold_at, self.after.at)


@dataclass
class ClusterReadings:
    """All that is kept of a cluster at one router."""

    heads: dict[str, int] = field(default_factory=dict)
    labels: list[Labels] = field(default_factory=list)
    latency: dict[int, SeriesKey] = field(default_factory=dict)
    """The buckets of latency among them: most of all series, and each as plain as another."""
    traffic: list[int] = field(default_factory=list)
    """All others that are counted."""
    counted: dict[int, SeriesKey] = field(default_factory=dict)
    """Those of them that are judged as they are."""
    parts: dict[int, int] = field(default_factory=dict)
    """Those that tell of requests that were given up, each with its sign."""
    names_twice: bool = False
    """Whether two series count the same."""
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=MOST_READINGS))
    falls: list[Fell] = field(default_factory=list)
    _untold_at: float | None = None
    _keys_of_parts: set[SeriesKey] = field(default_factory=set)

    def add(self, at: float, told: Mapping[str, float], labels_of: Callable[[str], Labels], key_of: KeyOf) -> None:
        """One reading more; one that is no newer than the last is none."""
        before = self.readings[-1] if self.readings else None
        if before and at <= before.at:
            return
        if not told.keys() <= self.heads.keys():
            self._learn(told.keys() - self.heads.keys(), labels_of, key_of)
        values = array("d", [told.get(head, math.nan) for head in self.heads])
        after = Reading(at, values, self._tries(at, values))
        self.falls = [fall for fall in self.falls if fall.after.at > at - DISTRUST.total_seconds()]
        if before and self._fell(before, after):
            self.falls.append(Fell(before, after, self._untold_at))
        self.readings.append(after)
        self._untold_at = None

    def untold(self, at: float) -> None:
        """The router was asked about it, and has no such cluster: what it tells later was counted from nothing on."""
        if self.readings and at > self.readings[-1].at:
            self._untold_at = at

    def _learn(self, heads: Iterable[str], labels_of: Callable[[str], Labels], key_of: KeyOf) -> None:
        for head in heads:
            index = self.heads[head] = len(self.heads)
            self.labels.append(labels_of(head))
            key = key_of(self.labels[index])
            if key and key.measure == DURATION:
                if not key.revision.endswith(PREVIEW_SUFFIX):  # which nobody judges
                    self.latency[index] = key
            elif key:
                self.traffic.append(index)
                self._sort_in(index, key)

    def _sort_in(self, index: int, key: SeriesKey) -> None:
        if sign := sign_of(key):
            self.names_twice |= key in self._keys_of_parts
            self._keys_of_parts.add(key)
            self.parts[index] = sign
        if key.measure not in ONLY_PARTS:
            self.names_twice |= key in self.counted.values()
            self.counted[index] = key

    def _tries(self, at: float, values: "array[float]") -> Tries | None:
        if len(self.parts) != ALL_PARTS:
            return None
        tries = Tries.of(at, [(sign, values[index]) for index, sign in self.parts.items()])
        return None if math.isnan(tries.unanswered) else tries

    def _fell(self, before: Reading, after: Reading) -> bool:
        if not any(map(operator.lt, after.values, before.values)):
            return False
        return any(
            new < old and not head.startswith(MAY_FALL)
            for head, old, new in zip(self.heads, before.values, after.values, strict=False)
        )

    def latency_at(self, instant: float, started_at: float) -> Sample:
        """The buckets as they were last told by then, where nothing has fallen of late."""
        reading = self._newest_by(instant)
        if reading is None:
            return {}
        at, values, _ = reading
        return {
            key: counted_of((values[index], at, started_at))
            for index, key in self.latency.items()
            if index < len(values) and values[index] == values[index]
        }

    def plainly(self, after: float, rounds: Sequence[float], started_at: float) -> list[Sample] | None:
        """All counters at each of the rounds, which are later than `after`; None where they aren't as they look.

        They are where none has fallen, none is missing, and no two are the same: then there is nothing to find out.
        """
        if self.falls or self.names_twice:
            return None
        given_up = abandoned_in([each.tries for each in self.between(after, rounds[-1]) if each.tries])
        known = [self._plainly_at(at, started_at, given_up) for at in rounds]
        samples = [sample for sample in known if sample is not None]
        return samples if len(samples) == len(rounds) else None

    def _plainly_at(self, instant: float, started_at: float, given_up: Sequence[tuple[float, float]]) -> Sample | None:
        reading = self._newest_by(instant)
        if reading is None:
            return {}
        at, values, _ = reading
        there = len(values)
        if math.isnan(sum(values)):
            return None
        sample = {
            key: counted_of((values[index], at, started_at))
            for of_kind in (self.counted, self.latency)
            for index, key in of_kind.items()
            if index < there
        }
        known = bisect_right(given_up, instant, key=lambda scrape: scrape[0]) - 1
        if known >= 0 and (key := self._abandoned):
            scraped, count = given_up[known]
            sample[key] = counted_of((count, scraped, started_at))
        return sample

    def _newest_by(self, instant: float) -> Reading | None:
        """What was told last by then; None where that is too long ago."""
        index = bisect_right(self.readings, instant, key=lambda reading: reading.at) - 1
        if index < 0 or self.readings[index].at <= instant - STALE.total_seconds():
            return None
        return self.readings[index]

    @property
    def _abandoned(self) -> SeriesKey | None:
        key = next(iter(self._keys_of_parts), None)
        return key and abandoned_key(key)

    def between(self, after: float, until: float) -> list[Reading]:
        """Those later than `after`, two from before it, and those around a fall: all that the next look needs."""
        first = max(0, bisect_right(self.readings, after, key=lambda reading: reading.at) - 2)
        wanted = {reading.at: reading for fall in self.falls for reading in fall.readings}
        wanted |= {reading.at: reading for reading in list(self.readings)[first:] if reading.at <= until}
        return [wanted[at] for at in sorted(wanted) if at > until - STALE.total_seconds()]


@dataclass
class Router:
    """What is known of one router. `why` says why its last answer was none; '' where it was one."""

    pod: RouterPod
    started: float | None = None
    """By its own clock, only to be held against itself."""
    starts: list[float] = field(default_factory=list)
    """By ours, the newest last: those after which a fall may still be seen, and the last."""
    heard: dict[Model, float] = field(default_factory=dict)
    """When it answered last about each model: an answer about one says nothing of another."""
    asked_since: float | None = None
    why: str = ""
    reader: ExpositionReader = field(default_factory=ExpositionReader)
    clusters: dict[Model, dict[str, ClusterReadings]] = field(default_factory=dict)

    @property
    def started_at(self) -> float:
        """When its Envoy began, by our clock."""
        return self.starts[-1] if self.starts else 0.0

    def began(self, started: float, at: float, uptime: float) -> None:
        """Takes in when it says that it began."""
        if started == self.started:
            return
        self.started = started
        of_late = [start for start in self.starts if start > at - 2 * DISTRUST.total_seconds()]
        self.starts = [*of_late[-MOST_READINGS:], at - max(0.0, uptime)]

    def labels_of(self, head: str) -> Labels:
        """A series' labels, its process' among them."""
        return {**self.reader.name_of(head).labels, "namespace": self.pod.namespace, "pod": self.pod.name}

    def of_model(self, model: Model) -> Collection[ClusterReadings]:
        """What is kept of the clusters of one ModelDeployment."""
        return self.clusters.get(model, {}).values()

    def gone_and_back(self, model: Model) -> Iterator[tuple[float, ...]]:
        """When it answered before, while and after it hadn't a cluster whose counters are lower than they were."""
        for kept in self.of_model(model):
            yield from (fall.instants for fall in kept.falls if fall.instants)

    def is_still(self, model: Model, asked_since: float, now: float) -> bool:
        """Whether what it counts of a model isn't known now, though it was asked."""
        return now - self.heard.get(model, max(asked_since, self.asked_since or asked_since)) > STILL


class RouterSamples:
    """The buffer. Safe to use from several threads. `clock` is ours, in seconds since 1970."""

    def __init__(self, clock: Callable[[], float], key_of: KeyOf) -> None:
        """`key_of` says what a series counts; None for one that isn't wanted."""
        self.clock, self._key_of = clock, key_of
        self._lock = threading.RLock()
        self._routers: dict[str, Router] = {}
        self._rounds: dict[Model, deque[float]] = {}

    def live(self, pods: Iterable[RouterPod]) -> None:
        """These routers live, and no others."""
        with self._lock:
            known = {pod.full_name: pod for pod in pods}
            for name in self._routers.keys() - known.keys():
                del self._routers[name]
            for name, pod in known.items():
                router = self._routers.setdefault(name, Router(pod))
                router.pod = pod
                if router.asked_since is None and not pod.address:
                    router.asked_since, router.why = self.clock(), "it doesn't say where it can be asked"

    def take(self, pod: RouterPod, asked: Collection[str], at: float, uptime: float, started: float, text: str) -> None:
        """An answer, as of `at` by our clock. Raises NotEvidence where it can't be read; nothing of it is kept then."""
        with self._lock:
            router = self._routers.get(pod.full_name)
            if router is None:
                return
            told = router.reader.read(text, asked)
            router.began(started, at, uptime)
            router.why = ""
            router.heard |= dict.fromkeys(map(_model_of, asked), at)
            for cluster, values in told.items():
                of_model = router.clusters.setdefault(_model_of(cluster), {})
                of_model.setdefault(cluster, ClusterReadings()).add(at, values, router.labels_of, self._key_of)
            for cluster in asked:
                if cluster not in told and (kept := router.clusters.get(_model_of(cluster), {}).get(cluster)):
                    kept.untold(at)

    def failed(self, pod: RouterPod, why: str) -> None:
        """It was asked, and there is no answer that counts."""
        with self._lock:
            router = self._routers.get(pod.full_name)
            if router is not None:
                router.why = why
                router.asked_since = router.asked_since if router.asked_since is not None else self.clock()

    def round_over(self, models: Iterable[Model]) -> None:
        """All who were asked about these models have answered, or are waited for no more: that is a point of time."""
        with self._lock:
            now = self.clock()
            for model in models:
                rounds = self._rounds.setdefault(model, deque(maxlen=MOST_READINGS))
                if rounds and now < rounds[-1]:
                    self._forget(model)  # the clock was set back
                    rounds = self._rounds.setdefault(model, deque(maxlen=MOST_READINGS))
                rounds.append(now)

    def forget(self, model: Model) -> None:
        """Nobody asks for it any more."""
        with self._lock:
            self._forget(model)

    def _forget(self, model: Model) -> None:
        self._rounds.pop(model, None)
        for router in self._routers.values():
            router.heard.pop(model, None)
            router.reader.forget(_prefix(model))
            router.clusters.pop(model, None)

    def view(self, model: Model, after: float) -> "ModelView":
        """What is known of one model, later than `after`."""
        with self._lock:
            rounds = [at for at in self._rounds.get(model, ()) if at > after]
            routers = list(self._routers.values())
            plain = _plainly(routers, model, after, rounds)
            series = [] if plain else [each for router in routers for each in _series(router, model, after, rounds)]
            now = self.clock()
            still = self._still(model, now)
            return ModelView(
                plain,
                [] if plain else [_latency(routers, model, at) for at in rounds],
                rounds,
                {router.pod.process: tuple(router.starts) for router in routers if router.starts},
                {router.pod.process: tuple(router.gone_and_back(model)) for router in routers},
                still,
                any(model in router.heard and router.pod.name not in still for router in routers),
                {name: router.pod.process for router in routers for name in (router.pod.name, router.pod.host) if name},
                series,
            )

    def _still(self, model: Model, now: float) -> dict[str, str]:
        since = next(iter(self._rounds.get(model, ())), now)
        still = [router for router in self._routers.values() if router.is_still(model, since, now)]
        return {router.pod.name: router.why or "it hasn't answered" for router in still}


def _plainly(routers: Iterable[Router], model: Model, after: float, rounds: Sequence[float]) -> Sequence[Sample] | None:
    """All counters at each of the rounds, where nobody has to find out what they mean; else None."""
    samples: list[dict[SeriesKey, Counted]] = [{} for _ in rounds]
    for router in routers if rounds else ():
        for kept in router.of_model(model):
            told = kept.plainly(after, rounds, router.started_at)
            if told is None:
                return None
            for sample, more in zip(samples, told, strict=True):
                sample |= more
    return samples


def _latency(routers: Iterable[Router], model: Model, at: float) -> Sample:
    """The buckets at an instant of each router of which nothing has fallen of late."""
    found: dict[SeriesKey, Counted] = {}
    for router in routers:
        of_model = router.of_model(model)
        if not any(kept.falls for kept in of_model):
            for kept in of_model:
                found |= kept.latency_at(at, router.started_at)
    return found


def _series(router: Router, model: Model, after: float, rounds: Sequence[float]) -> Iterator[Scraped]:
    """Raw series since `after`, without the buckets that are as plain as they look."""
    if not rounds:
        return
    of_model = router.of_model(model)
    has_fallen = any(kept.falls for kept in of_model)
    for kept in of_model:
        readings = kept.between(after, rounds[-1])
        for index in [*kept.traffic, *kept.latency] if has_fallen else kept.traffic:
            samples = [
                (reading.at, reading.values[index])
                for reading in readings
                if index < len(reading.values) and reading.values[index] == reading.values[index]
            ]
            if samples:
                yield Scraped(kept.labels[index], samples)


@dataclass(frozen=True)
class ModelView:
    """One model's part of the buffer, a RawStore: `rounds` are the times at which all who answer had been asked."""

    plain: Sequence[Sample] | None
    """All counters at each of them; None where it has to be found out from the series what they mean."""
    latency: Sequence[Sample]
    """Else the buckets of latency at each of them, of which nothing has fallen of late: nobody needs to look for it."""
    rounds: Sequence[float]
    starts: Mapping[Process, Sequence[float]]
    """When each router's Envoy began of late, by our clock, the newest last."""
    answers: Mapping[Process, Sequence[Sequence[float]]]
    """When each answered, around times in which it hadn't one of the clusters."""
    still: Mapping[str, str]
    """The live routers that aren't heard of now, and why."""
    anybody: bool
    """Whether at least one is."""
    known_as: Mapping[str, Process]
    """The routers by their pods' names and addresses, by one of which anybody else knows them."""
    _series: Sequence[Scraped]

    def raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        """See RawStore. Of a selector only the gauge's name and the pod are looked at: the rest was asked for."""
        if UPTIME not in promql:
            return list(self._series)
        asked_for = [process for process in self.starts if f'pod="{process.pod}"' in promql]
        uptimes = [each for process in asked_for for each in self._uptime(process, until.timestamp())]
        pods = {process.pod for process in asked_for}
        return [*uptimes, *(each for each in self._series if each.labels["pod"] in pods)]

    def _uptime(self, process: Process, now: float) -> Iterator[Scraped]:
        """What a router would have told of it: of each start now, and of those times at which it answered."""
        starts = self.starts[process]
        for started in starts:
            yield Scraped(_labels(process), [(now, now - started)])
        for instants in self.answers.get(process, ()):
            told = [(at, max((start for start in starts if start <= at), default=starts[0])) for at in instants]
            yield Scraped(_labels(process), [(at, at - started) for at, started in told])


def _labels(process: Process) -> Labels:
    return {"__name__": UPTIME, "namespace": process.namespace, "pod": process.pod}


def _model_of(cluster: str) -> Model:
    namespace, _, rest = cluster.partition("/")
    return namespace, rest.partition("/")[0]


def _prefix(model: Model) -> str:
    return "/".join(model) + "/"
