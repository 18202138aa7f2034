"""What a rollout has ahead of it, by today's traffic: how long, how many requests, and what may go wrong on the way.

A candidate that does as stable does gathers evidence that it is acceptable at a rate that can be told beforehand: each
of its requests is worth b − p − p·ln(b/p) nats, where p is its share of bad requests and b the line it is held against
(the expected logarithm of the best bet, for rare failures). Where the candidate has much of the traffic, stable's own
chance counts as well; with a share w of it, the evidence comes slower by 1 − w.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from tidegate.judge.latency import boundaries_of
from tidegate.judge.metric import LATENCY_LEEWAY
from tidegate.judge.sampling import READ_EVERY, WARM_UP
from tidegate.model.evidence import BaselineTraffic
from tidegate.model.spec import Analysis
from tidegate.model.units import format_duration, format_duration_roughly

COST_OF_THE_MIXTURE = 1.5
"""Nats that a bet on several alternatives at once is behind the best one."""
BLIND_LOOKS = 3
"""Looks until a gross failure is seen: the one that settles, the one that counts, and half of one before each."""


class Stage(NamedTuple):
    """One step of a canary: the candidate's share of the traffic, the least time, and the β that it asks for.

    Of the least time, no deadline counts what is a pause. A shadow step has no share, but copies of one.
    """

    weight: float
    least: timedelta
    false_promotion: float
    paused: timedelta = timedelta()
    mirrored: float = 0.0

    @property
    def compared(self) -> float:
        """What a second of traffic says about both arms, against one in which either had all of it alone."""
        stable, candidate = 1 - self.weight, self.weight + self.mirrored
        return stable * candidate / (stable + candidate)


class _Pace(NamedTuple):
    """How long nothing is judged after a shift, the time from one look to the next, and how long before the first."""

    settles: timedelta
    look: timedelta
    at_first: timedelta


_DIRECTLY = _Pace(WARM_UP, READ_EVERY, timedelta())


@dataclass(frozen=True)
class Estimate:
    """`takes` is None where the traffic can't decide at all; `requests` are the candidate's own until its promotion."""

    takes: timedelta | None
    requests: float
    exposed: float
    """Requests that reach a candidate which fails each of them."""
    worst: float
    """More failures than stable's, on the whole way, of a candidate that is as bad as can be promoted."""
    within_deadline: bool
    message: str


def estimate_duration(
    baseline: BaselineTraffic, analysis: Analysis, stages: Sequence[Stage], propagation_delay: timedelta
) -> Estimate:
    """Of a candidate that does as stable does. Nothing is judged for the propagation delay after each shift.

    Where routers are read directly, that is a moment, and what a new candidate fails at counts from the first look on.
    """
    pace = _DIRECTLY if baseline.read_directly else _Pace(propagation_delay, analysis.interval, propagation_delay)
    worth = min(_worth_of_a_request(baseline, analysis), default=0.0)
    exposed = baseline.rate * stages[0].weight * (pace.at_first + BLIND_LOOKS * pace.look).total_seconds()
    if baseline.rate <= 0 or worth <= 0:
        return Estimate(None, 0.0, exposed, 0.0, False, _undecidable(baseline, analysis, None))
    seconds, requests, evidence = 0.0, 0.0, -COST_OF_THE_MIXTURE
    for stage in stages:
        if not stage.compared:  # a group's requests alone: nobody knows how many those are
            seconds += (stage.least + pace.settles).total_seconds()
            continue
        per_second = baseline.rate * stage.compared * worth
        missing = -math.log(stage.false_promotion) - evidence
        judged = max(stage.least.total_seconds(), max(0.0, missing) / per_second, pace.look.total_seconds())
        stays = judged + pace.settles.total_seconds()
        evidence += judged * per_second
        seconds, requests = seconds + stays, requests + stays * baseline.rate * stage.weight
    takes = timedelta(seconds=math.ceil(seconds))
    errors = analysis.error_rate.accept
    worst = requests * ((errors.ratio - 1) * baseline.failed + errors.absolute)
    decides = takes - sum((stage.paused for stage in stages), timedelta()) <= analysis.deadline
    message = (
        _promising(baseline, takes, requests, exposed, worst) if decides else _undecidable(baseline, analysis, takes)
    )
    return Estimate(takes, requests, exposed, worst, decides, message)


def _worth_of_a_request(baseline: BaselineTraffic, analysis: Analysis) -> Iterator[float]:
    """In nats, for each metric that has to be shown acceptable; the least one decides."""
    accept = analysis.error_rate.accept
    yield _nats(baseline.failed, accept.ratio * baseline.failed + accept.absolute)
    for boundary in boundaries_of(baseline.durations, analysis.latency):
        slow = baseline.durations.slower_than(boundary.stable) / baseline.durations.total
        slower = baseline.durations.slower_than(boundary.accept) / baseline.durations.total
        yield _nats(slower, slow + LATENCY_LEEWAY * (1 - boundary.quantile / 100))


def _nats(share: float, line: float) -> float:
    if line <= share:
        return 0.0
    return line - share - (share * math.log(line / share) if share > 0 else 0.0)


def _promising(baseline: BaselineTraffic, takes: timedelta, requests: float, exposed: float, worst: float) -> str:
    return (
        f"at {_rate(baseline)} a candidate like stable takes about {format_duration_roughly(takes)} and "
        f"{requests:,.0f} requests of its own; one that fails them all would be seen by about {math.ceil(exposed):,}, "
        f"one that is as bad as can be promoted fails about {math.ceil(worst):,} more than stable on the way"
    )


def _undecidable(baseline: BaselineTraffic, analysis: Analysis, takes: timedelta | None) -> str:
    if baseline.rate <= 0:
        return "there is no traffic now, and without traffic nothing is promoted"
    needed = f"about {format_duration_roughly(takes)}" if takes else "more than can be told"
    return (
        f"{_rate(baseline)} can't decide this within spec.analysis.deadline, {format_duration(analysis.deadline)}: "
        f"{needed} would be needed; raise the weight of the steps or the deadline, or widen "
        "spec.analysis.errorRate.accept and spec.analysis.latency.accept"
    )


def _rate(baseline: BaselineTraffic) -> str:
    return f"{baseline.rate:.3g} requests a second"
