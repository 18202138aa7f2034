"""How far Prometheus' view of a rollout agrees with what its verdicts were made from. Reads only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, groupby, pairwise

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import Counted, Sample, counter_increases, counts_of, never_back
from tidegate.metrics.provider import MetricSource, Selection
from tidegate.metrics.record import PROMETHEUS, Header
from tidegate.model.evidence import Counts, Increment, total
from tidegate.model.reasons import Outcome
from tidegate.model.traffic import Arms

POINTS = 200
"""At which counters are read in a time of one split."""
STORED = timedelta(seconds=2)
"""After a scrape, until it can be asked for."""
NOTHING = Counts()
Recorded = Sequence[tuple[str, Increment]]
"""Increments of traffic, each with its source."""


@dataclass(frozen=True)
class Agreement:
    """Requests and failures of both arms, as recorded and as Prometheus has them over the same times.

    `failure` says why Prometheus couldn't tell; '' where it could.
    """

    candidate: Counts = NOTHING
    stable: Counts = NOTHING
    candidate_seen: Counts = NOTHING
    stable_seen: Counts = NOTHING
    failure: str = ""


@dataclass(frozen=True)
class _Span:
    """A time of one split in which increments were recorded. `ends` says whether the candidate had no traffic after."""

    start: datetime
    end: datetime
    ends: bool


def agreement(
    source: MetricSource, header: Header, recorded: Recorded, between: tuple[timedelta, timedelta]
) -> Agreement:
    """`between`: the time between two points of the judge's grid, and the most between two scrapes."""
    interval, scrape = between
    arms = Arms(header.namespace, header.name, header.stable, header.candidate)
    late = timedelta() if all(who == PROMETHEUS for who, _ in recorded) else scrape + STORED
    seen = {arms.candidate: Counts(), arms.stable: Counts()}
    try:
        spans = _spans([increment for _, increment in recorded], header, interval)
        # Between two scrapes counters grow evenly only where no shift is: so at the two ends, and not at each shift.
        for span in spans if not late else [_Span(spans[0].start, spans[-1].end, spans[-1].ends)]:
            for arm in seen:
                seen[arm] += _seen(source, arms, arm, span, late)
    except MetricsUnavailable as error:
        return Agreement(failure=str(error))
    return Agreement(
        total([increment.candidate.traffic for _, increment in recorded]),
        total([increment.stable.traffic for _, increment in recorded]),
        seen[arms.candidate],
        seen[arms.stable],
    )


def sentence(found: Agreement) -> str:
    """What to tell people."""
    if found.failure:
        return f"Prometheus can't say how far it agrees: {found.failure}"
    arms = (
        f"{arm} {_beside(seen.requests, recorded.requests)} requests and {_beside(seen.failed, recorded.failed)} failed"
        for arm, recorded, seen in (
            ("the candidate", found.candidate, found.candidate_seen),
            ("stable", found.stable, found.stable_seen),
        )
    )
    return f"Prometheus counted over the same times of {' and of '.join(arms)}"


def _beside(seen: int, recorded: int) -> str:
    part = f", {100 * seen / recorded:.1f} %" if recorded else ""
    return f"{seen:,} (recorded {recorded:,}{part})"


def _spans(increments: Sequence[Increment], header: Header, interval: timedelta) -> list[_Span]:
    """One for each split."""
    shifts, went_back = header.shifts, header.ended is not None and header.ended.outcome != Outcome.PROMOTED

    def split(increment: Increment) -> int:
        return sum(shift.at < increment.until for shift in shifts) - 1

    spans = []
    for index, of_split in groupby(increments, key=split):
        first, *later = list(of_split)
        start = first.since or max(shifts[max(index, 0)].at, first.until - interval)
        spans.append(_Span(start, (later or [first])[-1].until, went_back and index + 1 == len(shifts)))
    return spans


def _seen(source: MetricSource, arms: Arms, arm: str, span: _Span, late: timedelta) -> Counts:
    """What an arm's counters gained in a span, as Prometheus has them; also of processes that restarted in it.

    Where something else than Prometheus was read, what is known at an instant lies between the scrapes around it; of
    a candidate that has no traffic any more, all that was counted is in the scrape after it.
    """
    over = span.ends and arm == arms.candidate
    last = _at(source, arms, span.end + late) if over else _known(source, arms, span.end, late)
    known = (_known(source, arms, span.start, late), *_inside(source, arms, span), last)
    gained = [counter_increases(one, other) for one, other in pairwise(accumulate(known, never_back))]
    return total([counts_of(arm, each) for each in gained]).traffic


def _inside(source: MetricSource, arms: Arms, span: _Span) -> Sequence[Sample]:
    step = timedelta(seconds=max(1, math.ceil((span.end - span.start) / timedelta(seconds=1) / POINTS)))
    points = math.ceil((span.end - span.start) / step) - 1
    if points < 1:
        return ()
    everybody = Selection(arms.namespace, arms.name)
    return source.readings(everybody, _whole(span.start) + step, step, points).samples


def _known(source: MetricSource, arms: Arms, at: datetime, late: timedelta) -> Sample:
    """The counters as they were at an instant, if they grew evenly between two scrapes."""
    known = _at(source, arms, at)
    if not late:
        return known
    later = _at(source, arms, at + late)
    return {key: _between(counted, later.get(key), at.timestamp()) for key, counted in known.items()}


def _at(source: MetricSource, arms: Arms, at: datetime) -> Sample:
    everybody = Selection(arms.namespace, arms.name)
    return source.readings(everybody, _whole(at), timedelta(seconds=1), 1).samples[0]


def _whole(at: datetime) -> datetime:
    """Prometheus answers at whole seconds."""
    return at.replace(microsecond=0)


def _between(before: Counted, after: Counted | None, at: float) -> Counted:
    if after is None or after.at <= before.at or after.value < before.value or not before.at <= at <= after.at:
        return before
    part = (at - before.at) / (after.at - before.at)
    return Counted(before.value + part * (after.value - before.value), at, before.restarted)
