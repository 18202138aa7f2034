"""Counters that are lower than before: have they begun anew, or isn't it one process that counts? PURE.

A counter that began anew has a whole life that is new, so nobody's word is taken for it. With its process: that has to
tell a start since, or, where it tells none at all, everything that it counts has to have fallen at once, and once only.
While its process lives on, as a router's do when a revision goes and comes back: the process has to have been read in
between, and to have had nothing of that revision then.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from tidegate.metrics.increments import Process, SeriesKey
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.model.units import format_instant

Labels = Mapping[str, str]
CLOCKS = 3.0
"""Seconds within which two who read the same process may have read it in the other order."""
EARLY, LATE = 1.0, 7.0
"""Seconds by which a start may be told too early, as it is rounded, or too late: Envoy takes its uptime each 5 s."""
DISTRUST = timedelta(minutes=5)
"""How long a process isn't believed after its counters fell for no reason."""


Samples = Sequence[tuple[float, float]]
"""A counter's values in order, each after its time in seconds since 1970."""


class Scraped(NamedTuple):
    """A counter as one job of one Prometheus has it."""

    labels: Labels
    samples: Samples


Counters = Mapping[SeriesKey, Sequence[Scraped]]
"""Each counter, by everybody who reads it."""


class Life(NamedTuple):
    """What one answer of a store has of a process: when that began, by what it told at each scrape of a job.

    `counted` has the instants of the scrapes at which it told anything of a revision.
    """

    starts: Samples
    counted: Mapping[str, Set[float]]


Lives = Mapping[Process, Sequence[Life]]
"""Nothing for a process that doesn't tell when it began."""
Family = tuple[Process, str]
"""All that a process counts of one revision: it comes and goes at once."""


class Seen(NamedTuple):
    """A counter's value when somebody read it."""

    at: float
    value: float
    labels: Labels


class Fall(NamedTuple):
    """Two readings of one counter, the later the lower."""

    key: SeriesKey
    before: Seen
    after: Seen

    @property
    def process(self) -> Process:
        """Who counts."""
        return self.key.owner


def falls_of(counters: Counters) -> list[Fall]:
    """Where a counter is lower than the same job saw it before."""
    return [
        Fall(key, Seen(*before, scraped.labels), Seen(*after, scraped.labels))
        for key, everybody in counters.items()
        for scraped in everybody
        if not _only_grows(scraped)
        for before, after in pairwise(scraped.samples)
        if after[1] < before[1]
    ]


def _only_grows(scraped: Scraped) -> bool:
    if len(scraped.samples) == 2:  # what a look at thousands of series has of each
        (_, before), (_, after) = scraped.samples
        return before <= after
    values = [value for _, value in scraped.samples]
    return values == sorted(values)


@dataclass(frozen=True)
class Beginnings:
    """When counters that fell were first read after they had begun anew, as far as that has been shown, in order."""

    of_processes: Mapping[Process, Sequence[float]]
    of_families: Mapping[Family, Sequence[float]]

    def of(self, key: SeriesKey) -> Sequence[float]:
        """Those of one counter: its process', and its own revision's there."""
        whole = self.of_processes.get(key.owner, ())
        own = self.of_families.get(key[:2], ()) if self.of_families else ()
        return sorted({*whole, *own}) if own else whole


def beginnings_of(falls: Iterable[Fall], lives: Lives, counters: Counters) -> Beginnings:
    """What these falls are, where they aren't a matter of doubt."""
    by_process: defaultdict[Process, list[Fall]] = defaultdict(list)
    by_family: defaultdict[Family, set[tuple[float, float]]] = defaultdict(set)
    for fall in falls:
        by_process[fall.process].append(fall)
        by_family[fall.key[:2]].add((fall.before.at, fall.after.at))
    return Beginnings(
        {
            process: sorted({fall.after.at for fall in its if _restarted(fall, its, lives.get(process), counters)})
            for process, its in by_process.items()
        },
        {
            (process, revision): sorted(
                {
                    after
                    for before, after in its
                    if any(_came_back(life, revision, before, after) for life in lives.get(process, ()))
                }
            )
            for (process, revision), its in by_family.items()
        },
    )


def _restarted(fall: Fall, others: Sequence[Fall], lives: Sequence[Life] | None, counters: Counters) -> bool:
    before, after = fall.before.at, fall.after.at
    if lives:
        return any(before - EARLY <= start <= after + LATE for life in lives for _, start in life.starts)
    again = any(other.before.labels == fall.before.labels and other.after.at != after for other in others)
    return not again and _all_fell(fall.process, before, after, counters)


def _came_back(life: Life, revision: str, before: float, after: float) -> bool:
    """Whether the process lived all the time, and had nothing of the revision when it was read in between."""
    earlier = [at for at, _ in life.starts if at <= before][-1:]
    later = [at for at, _ in life.starts if at >= after][:1]
    counted = life.counted.get(revision, frozenset())
    if not (earlier and later and counted):
        return False
    told = [start for at, start in life.starts if earlier[0] <= at <= later[0]]
    if max(told) - min(told) > EARLY + LATE:
        return False
    between = [at for at, _ in life.starts if before < at < after and min(counted) < at < max(counted)]
    return not counted >= frozenset(between)


def _all_fell(process: Process, before: float, after: float, counters: Counters) -> bool:
    """Whether all that was counted at the same two scrapes fell."""
    values = (
        (_at(samples, before), _at(samples, after))
        for key, everybody in counters.items()
        if key.owner == process
        for _, samples in everybody
    )
    return all(new < old for old, new in values if old and new is not None)


def _at(samples: Samples, at: float) -> float | None:
    index = bisect_left(samples, at, key=lambda sample: sample[0])
    return samples[index][1] if index < len(samples) and samples[index][0] == at else None


def disputes_of(counters: Counters, beginnings: Beginnings) -> list[Fall]:
    """Where a counter is lower than another job saw it before, and it didn't begin anew in between."""
    return [
        dispute
        for key, everybody in counters.items()
        if len(everybody) > 1
        for dispute in _disputes(key, everybody, beginnings.of(key))
    ]


def _disputes(key: SeriesKey, everybody: Sequence[Scraped], anew: Sequence[float]) -> Iterator[Fall]:
    seen = sorted(
        (Seen(*sample, each.labels) for each in everybody for sample in each.samples), key=lambda each: each.at
    )
    highest, earlier = seen[0], 0
    for last, each in zip([seen[0], *seen], seen, strict=False):
        while seen[earlier].at < each.at - CLOCKS:
            if seen[earlier].value >= highest.value or _between(anew, highest.at, seen[earlier].at):
                highest = seen[earlier]
            earlier += 1
        if last.at == each.at and last.value != each.value:
            yield Fall(key, *sorted((last, each), key=lambda seen: -seen.value))
        lower = highest.at < each.at - CLOCKS and each.value < highest.value and each.labels is not highest.labels
        if lower and not _between(anew, highest.at, each.at):
            yield Fall(key, highest, each)


def _between(instants: Sequence[float], begin: float, end: float) -> bool:
    return any(begin < instant <= end for instant in instants)


def in_doubt(falls: Iterable[Fall], at: float) -> frozenset[Process]:
    """The processes that aren't believed at an instant, as their counters fell for no reason not long before."""
    return frozenset(fall.process for fall in falls if _is_recent(fall, at))


def doubt_of(falls: Iterable[Fall], at: float) -> MetricsGap | None:
    """What to say of counters that fell for no reason not long before an instant; None where none did."""
    fall = next((fall for fall in falls if _is_recent(fall, at)), None)
    if fall is None:
        return None
    before, after = fall.before, fall.after
    went = f"went back from {before.value:,.0f} to {after.value:,.0f} at {_clock(after.at)}"
    if before.labels is after.labels:
        return MetricsGap(
            Reason.COUNTERS_WENT_BACK,
            f"the counters of {fall.process.name} {went}, and it isn't shown to have restarted; make sure that each "
            "process is scraped by its own address, not through a Service, and stored once",
        )
    one, other = differing(before.labels, after.labels)
    return MetricsGap(
        Reason.COUNTED_TWICE,
        f"two series count the requests of {fall.process.name} and don't agree, {one} and {other}: the count {went}; "
        "set prometheus.matchers so that only one of them is read",
    )


def _is_recent(fall: Fall, at: float) -> bool:
    return fall.after.at <= at < fall.after.at + DISTRUST.total_seconds()


def differing(one: Labels, other: Labels) -> tuple[str, str]:
    """Two series' labels as PromQL writes them, only those that differ."""
    names = sorted(name for name in {*one, *other} if one.get(name, "") != other.get(name, ""))
    return _braces(one, names), _braces(other, names)


def _braces(labels: Labels, names: Iterable[str]) -> str:
    return "{" + ", ".join(f'{name}="{labels.get(name, "")}"' for name in names) + "}"


def _clock(at: float) -> str:
    return format_instant(datetime.fromtimestamp(at, UTC))
