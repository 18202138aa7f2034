"""Raw counters → what happened between two looks.

PromQL's rate() and increase() lose a new series' first value, and a candidate's first errors are just that: the series
of failures is born with them. So counters are differenced here, series by series.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.model.evidence import NO_DURATIONS, Counts, Durations

REQUESTS, FAILED, TURNED_AWAY = "requests", "failed", "turned away"


@dataclass(frozen=True)
class SeriesKey:
    """One counter. `owner` is the process that counts (a scrape target), `revision` what it counts for.

    `measure` is `requests`, `failed`, `turned away` or the upper bound of a latency bucket in seconds, as Prometheus
    writes it.
    """

    owner: str
    revision: str
    measure: str


Sample = Mapping[SeriesKey, float]
"""All counters at one instant."""


def increments(before: Sample, after: Sample) -> dict[SeriesKey, int]:
    """What each counter gained between two samples.

    * fallen: the process restarted, so all that it shows is new;
    * absent before, its owner known: the series was born since, so all that it shows is new;
    * absent before, its owner unknown: nobody can say when that was counted, so nothing is;
    * gone: what it counted since isn't known, and what was seen before has been counted already.
    """
    known = {key.owner for key in before}
    gained = {}
    for key, value in after.items():
        past = before.get(key)
        if past is None:
            gain = value if key.owner in known else 0.0
        else:
            gain = value - past if value >= past else value
        gained[key] = round(gain)
    return gained


def counts_of(revision: str, gained: Mapping[SeriesKey, int]) -> Counts:
    """One arm's increments, summed over the processes that counted them."""
    requests = failed = 0
    buckets: dict[str, int] = {}
    for key, gain in gained.items():
        if key.revision != revision:
            continue
        if key.measure == REQUESTS:
            requests += gain
        elif key.measure in (FAILED, TURNED_AWAY):
            failed += gain
        else:
            buckets[key.measure] = buckets.get(key.measure, 0) + gain
    return Counts(requests, min(failed, requests), durations_of(buckets))


def durations_of(buckets: Mapping[str, int]) -> Durations:
    """Cumulative buckets by upper bound (`0.5`, `+Inf`) → a histogram in ascending order.

    Sums of counters scraped at different instants may not be monotonic by a request or two; they are made so.
    """
    if not buckets:
        return NO_DURATIONS
    ordered = sorted((_bound(text), count) for text, count in buckets.items())
    cumulative = []
    highest = 0
    for _, count in ordered:
        highest = max(highest, count)
        cumulative.append(highest)
    return Durations(tuple(bound for bound, _ in ordered), tuple(cumulative))


def _bound(text: str) -> float:
    return math.inf if text == "+Inf" else float(text)
