"""Requests whose clients gave up before there was an answer, from what a router counts beside its answers. PURE.

No router counts them as such: a try is counted when it begins, and an answer when its status is known, also the
router's own. So they are what has begun, less what was tried once more, was answered, or is still under way.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tidegate.metrics.falls import Beginnings, Counters, Scraped
from tidegate.metrics.increments import ABANDONED, GRPC, REQUESTS, RETRIED, TRIED, TRIES, UNDER_WAY, SeriesKey

_SIGNS = {TRIED: 1, RETRIED: -1, REQUESTS: -1, UNDER_WAY: -1}
READING_SECONDS = 0.05
"""What a router may take from the first part to the last; a request that came and was answered meanwhile is in some."""
_PARTS = frozenset({*((TRIED, of) for of in TRIES), (RETRIED, ""), (REQUESTS, ""), (UNDER_WAY, "")})
ALL_PARTS = len(_PARTS)


class Tries(NamedTuple):
    """What a scrape that has all parts tells: how many tries there were, and how many of them have no answer."""

    at: float
    unanswered: float
    tried: float

    @classmethod
    def of(cls, at: float, parts: Iterable[tuple[int, float]]) -> "Tries":
        """Of each part's sign and value."""
        parts = list(parts)
        unanswered = sum(sign * value for sign, value in parts)
        return cls(at, unanswered, sum(value for sign, value in parts if sign > 0))


def sign_of(key: SeriesKey) -> int | None:
    """Whether a counter's tries, or what is none of them, are told by it; None where neither is."""
    return _SIGNS[key.measure] if (key.measure, key.of_any) in _PARTS else None


def abandoned_key(key: SeriesKey) -> SeriesKey:
    """The counter to which a part belongs."""
    return SeriesKey(key.owner, key.revision, ABANDONED, GRPC if key.of.endswith(GRPC) else "")


def abandoned_in(scrapes: Sequence[Tries]) -> list[tuple[float, float]]:
    """The requests that were given up by each of a life's scrapes, as `abandoned_of` has them."""
    return list(_agreed(_less_what_came_meanwhile(scrapes)))


def told_apart(counters: Counters) -> tuple[Counters, Counters]:
    """What is judged as it was counted, and what only tells of abandoned requests: gauges among it, which may fall."""
    parts = {key: by for key, by in counters.items() if key.measure in (TRIED, RETRIED, UNDER_WAY)}
    return {key: by for key, by in counters.items() if key not in parts}, parts


def abandoned_of(counters: Counters, parts: Counters, beginnings: Beginnings) -> Counters:
    """A counter of abandoned requests for each process and revision of which every part is read.

    The parts are read one after the other, so that a few requests are in one and not in another, and an answer that is
    still being sent is in two. Only what two scrapes in turn agree on counts, less what may begin while one is read;
    what has been counted stays.
    """
    read: defaultdict[SeriesKey, dict[tuple[str, str], Sequence[Scraped]]] = defaultdict(dict)
    for key, by in (*counters.items(), *parts.items()):
        if (part := (key.measure, key.of_any)) in _PARTS:
            read[abandoned_key(key)][part] = by
    return {
        key: [_grown(each, beginnings.of(key)) for each in _by_job(found)]
        for key, found in read.items()
        if found.keys() == _PARTS
    }


def _by_job(found: Mapping[tuple[str, str], Sequence[Scraped]]) -> Iterator[Scraped]:
    """What each job that reads all parts finds, scrape by scrape. Its series are those that agree in all they share."""
    shared = frozenset.intersection(*(_labels(by) for by in found.values()))
    jobs: defaultdict[frozenset[tuple[str, str]], list[tuple[int, Scraped]]] = defaultdict(list)
    for (measure, _), by in found.items():
        for each in by:
            jobs[_labels([each]) & shared].append((_SIGNS[measure], each))
    for parts in jobs.values():
        if len(parts) == len(_PARTS):
            yield Scraped(parts[0][1].labels, _sums(parts))


def _labels(by: Sequence[Scraped]) -> frozenset[tuple[str, str]]:
    return frozenset(label for each in by for label in each.labels.items())


def _sums(parts: Sequence[tuple[int, Scraped]]) -> list[tuple[float, float]]:
    """At each scrape that has all parts."""
    found: defaultdict[float, list[tuple[int, float]]] = defaultdict(list)
    for sign, scraped in parts:
        for at, value in scraped.samples:
            found[at].append((sign, value))
    return _less_what_came_meanwhile(
        [Tries.of(at, values) for at, values in sorted(found.items()) if len(values) == len(parts)]
    )


def _less_what_came_meanwhile(scrapes: Sequence[Tries]) -> list[tuple[float, float]]:
    """What each scrape tells, less what may have begun while its parts were read."""
    others = [*scrapes[1:2], *scrapes]
    return [
        (scrape.at, scrape.unanswered - _meanwhile(scrape.tried - other.tried, scrape.at - other.at))
        for other, scrape in zip(others, scrapes, strict=False)
    ]


def _meanwhile(tried: float, seconds: float) -> int:
    return int(max(0.0, tried / seconds) * READING_SECONDS) if seconds else 0


def _grown(scraped: Scraped, anew: Collection[float]) -> Scraped:
    """What two scrapes in turn agree on, and never less than before in the same life of the counters."""
    lives: list[list[tuple[float, float]]] = [[]]
    for sample in scraped.samples:
        if sample[0] in anew:
            lives.append([])
        lives[-1].append(sample)
    return Scraped(scraped.labels, [sample for life in lives for sample in _agreed(life)])


def _agreed(life: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    highest = 0.0
    # The first has none before it; the one after it is as good.
    neighbours = [*life[1:2], *life] if len(life) > 1 else [*life, *life]
    for (_, other), (at, value) in zip(neighbours, life, strict=False):
        highest = max(highest, min(other, value))
        yield at, highest
