"""From polls to one of four answers. Pure, and a fold: the same polls always give the same verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tidegate.judge.eprocess import CEILING_UPWARD, DOWNWARD, UPWARD, Mixture, log_e, log_e_ceiling, log_sum
from tidegate.judge.explain import explain, remaining
from tidegate.judge.latency import Boundary, choose_boundaries
from tidegate.model.evidence import (
    NO_DURATIONS,
    Answer,
    Blindness,
    Durations,
    Evidence,
    Poll,
    Sight,
    Verdict,
    total,
)
from tidegate.model.spec import Analysis, Margin

WATCHFUL = 10.0
"""With this much evidence that the candidate is worse it doesn't advance, even if it isn't enough to roll back."""
AT_ONCE = 10.0
"""This many times the needed evidence rolls back on one poll; less has to be seen on two."""
LATENCY_TOLERANCE = Margin(ratio=1.25, absolute=0.001)
"""The pods of two revisions are never equally lucky with their nodes: a quarter more slow requests is no regression."""
LATENCY_LEEWAY = 0.5
"""A percentile is acceptable when fewer requests are slower than stable's share plus half of what it leaves above it.

A bucket's bound lies somewhat above the percentile, so stable's own share of slower requests may be near zero there,
and against zero nothing could ever be shown.
"""


@dataclass(frozen=True)
class Question:
    """What is to be judged: under which tolerances, and how sure an ACCEPTABLE has to be.

    `false_promotion` is the β of this step. `concurrent` says whether stable serves beside the candidate; where it
    doesn't (after a blue-green switch), only the ceiling on the error rate can tell.
    """

    analysis: Analysis
    false_promotion: float
    concurrent: bool = True


def judge(sight: Sight | Blindness, question: Question) -> Verdict:
    """The verdict on everything that has been seen so far."""
    if isinstance(sight, Blindness):
        return Verdict(Answer.CANNOT_SEE, sight.reason, sight.message)
    metrics = _metrics(question)
    trail = [_look(metrics, poll) for poll in _with_reference(sight, question, metrics)]
    return _answer(sight, question, metrics, trail)


@dataclass
class _Metric:
    """One metric's evidence in both directions, with the weight that it has in a rollback."""

    name: str
    weight: float
    worse: list[Mixture]
    acceptable: list[Mixture]
    margins: tuple[Margin, ...] = ()
    ceiling: float = 0.0
    boundaries: tuple[Boundary, ...] = field(default=())

    def log_worse(self) -> float:
        """The average over boundaries: valid whatever the dependence among them."""
        if not self.worse:
            return 0.0
        return log_sum(mixture.log_value for mixture in self.worse) - math.log(len(self.worse))

    def log_acceptable(self) -> float:
        """The minimum over boundaries: each has to be shown."""
        return min((mixture.log_value for mixture in self.acceptable), default=-math.inf)


def _metrics(question: Question) -> list[_Metric]:
    errors = question.analysis.error_rate
    upward, downward = Mixture(UPWARD), Mixture(DOWNWARD, start_at_once=1.0)
    ceiling = _Metric("ceiling", 0.2, [Mixture(CEILING_UPWARD)], [], ceiling=errors.ceiling)
    if not question.concurrent:
        ceiling.weight = 1.0
        ceiling.acceptable = [Mixture(DOWNWARD, start_at_once=1.0)]
        return [ceiling]
    return [
        _Metric("errors", 0.5, [upward], [downward], margins=(errors.tolerate, errors.accept)),
        _Metric("latency", 0.3, [], []),
        ceiling,
    ]


def _with_reference(sight: Sight, question: Question, metrics: Sequence[_Metric]) -> Sequence[Poll]:
    """Fixes the latency boundaries before the first poll that they are used on, and hands the polls on.

    Where stable had too little traffic before the rollout, its first polls choose the boundaries and aren't judged for
    latency: a boundary may depend on the past only.
    """
    latency = next((metric for metric in metrics if metric.name == "latency"), None)
    if latency is None:
        return sight.polls
    reference = sight.reference
    polls = list(sight.polls)
    for index, poll in enumerate(polls):
        latency.boundaries = _boundaries(reference, question)
        if latency.boundaries:
            break
        reference = reference + poll.stable.durations
        polls[index] = _without_durations(poll)
    if not latency.boundaries:
        latency.boundaries = _boundaries(reference, question)
    latency.worse = [Mixture(UPWARD) for _ in latency.boundaries]
    latency.acceptable = [Mixture(DOWNWARD, start_at_once=1.0) for _ in latency.boundaries]
    return polls


def _boundaries(reference: Durations, question: Question) -> tuple[Boundary, ...]:
    latency = question.analysis.latency
    return choose_boundaries(
        reference,
        latency.quantiles,
        tolerate=latency.tolerate,
        accept=latency.accept,
        negligible=latency.negligible,
    )


def _without_durations(poll: Poll) -> Poll:
    return replace(
        poll,
        stable=replace(poll.stable, durations=NO_DURATIONS),
        candidate=replace(poll.candidate, durations=NO_DURATIONS),
    )


@dataclass(frozen=True)
class _Look:
    """The evidence after one poll: of all metrics together, and which of them weighs most."""

    log_worse: float
    heaviest: str
    saw_candidate: bool


def _look(metrics: Sequence[_Metric], poll: Poll) -> _Look:
    for metric in metrics:
        _add(metric, poll)
    weighted = {metric.name: math.log(metric.weight) + metric.log_worse() for metric in metrics}
    return _Look(log_sum(weighted.values()), max(weighted, key=weighted.__getitem__), poll.candidate.requests > 0)


def _add(metric: _Metric, poll: Poll) -> None:
    if metric.name == "latency":
        _add_latency(metric, poll)
    elif metric.name == "ceiling":
        failed, requests = poll.candidate.failed, poll.candidate.requests
        for mixture in metric.worse + metric.acceptable:
            mixture.add(lambda kappa: log_e_ceiling(failed, requests, kappa=kappa, ceiling=metric.ceiling))
    else:
        for mixture, margin in zip(metric.worse + metric.acceptable, metric.margins, strict=True):
            _add_two_arms(
                mixture,
                margin,
                (poll.candidate.failed, poll.candidate.requests),
                (poll.stable.failed, poll.stable.requests),
            )


def _add_latency(metric: _Metric, poll: Poll) -> None:
    candidate, stable = poll.candidate.durations, poll.stable.durations
    for index, boundary in enumerate(metric.boundaries):
        slow_stable = stable.slower_than(boundary.stable) if stable.bounds else 0
        acceptance = Margin(1.0, LATENCY_LEEWAY * (1 - boundary.quantile / 100))
        for mixture, margin, at in (
            (metric.worse[index], LATENCY_TOLERANCE, boundary.tolerate),
            (metric.acceptable[index], acceptance, boundary.accept),
        ):
            slow_candidate = candidate.slower_than(at) if candidate.bounds else 0
            _add_two_arms(mixture, margin, (slow_candidate, candidate.total), (slow_stable, stable.total))


def _add_two_arms(mixture: Mixture, margin: Margin, candidate: tuple[int, int], stable: tuple[int, int]) -> None:
    mixture.add(
        lambda kappa: log_e(
            candidate[0],
            stable[0],
            candidate[1],
            stable[1],
            kappa=kappa,
            ratio=margin.ratio,
            absolute=margin.absolute,
        )
    )


REASONS = {"errors": "ErrorRateWorse", "latency": "LatencyWorse", "ceiling": "ErrorRateAboveCeiling"}


def _answer(sight: Sight, question: Question, metrics: Sequence[_Metric], trail: Sequence[_Look]) -> Verdict:
    analysis = question.analysis
    stable = total([poll.stable for poll in sight.polls])
    candidate = total([poll.candidate for poll in sight.polls])
    condemned = _first_condemned(trail, analysis.false_rollback)
    highest = max((look.log_worse for look in trail), default=0.0)
    worse = highest if condemned else (trail[-1].log_worse if trail else 0.0)
    judged = [metric for metric in metrics if metric.acceptable or metric.name == "latency"]
    weakest = min(judged, key=lambda metric: metric.log_acceptable())
    log_acceptable = weakest.log_acceptable()
    evidence = Evidence(_exp(worse), 1 / analysis.false_rollback, _exp(log_acceptable), 1 / question.false_promotion)
    per_metric = tuple((m.name, _exp(m.log_worse()), _exp(m.log_acceptable())) for m in metrics)

    def verdict(answer: Answer, reason: str, blamed: str, needed: str = "") -> Verdict:
        message = explain(blamed, stable, candidate, evidence, analysis) + needed
        return Verdict(answer, reason, message, evidence, per_metric, sight.exposed)

    if condemned:
        return verdict(Answer.WORSE, REASONS[condemned.heaviest], condemned.heaviest)
    if candidate.requests == 0:
        return Verdict(Answer.NOT_ENOUGH, *_nothing_judged(sight), evidence, per_metric, sight.exposed)
    if evidence.worse >= WATCHFUL:
        return verdict(Answer.NOT_ENOUGH, "SuspicionOfWorse", trail[-1].heaviest)
    if log_acceptable >= math.log(evidence.acceptable_needed):
        return verdict(Answer.ACCEPTABLE, "NoWorse", weakest.name)
    if weakest.name == "latency" and not weakest.boundaries:
        message = (
            "stable has answered fewer than 100 requests, so its latency gives nothing to compare with; "
            "the rollout goes on when it has"
        )
        return Verdict(Answer.NOT_ENOUGH, "NoLatencyToCompareWith", message, evidence, per_metric, sight.exposed)
    return verdict(
        Answer.NOT_ENOUGH, "MoreRequestsNeeded", weakest.name, remaining(candidate, log_acceptable, evidence)
    )


def _nothing_judged(sight: Sight) -> tuple[str, str]:
    if sight.exposed.requests == 0:
        return "NoRequests", "the candidate has answered no requests yet, so there is nothing to judge"
    return "Settling", (
        f"the candidate has answered its first {sight.exposed.requests:,} requests; what was counted around a shift of "
        "traffic isn't judged, so the evidence begins with the next look"
    )


def _first_condemned(trail: Sequence[_Look], false_rollback: float) -> _Look | None:
    """The first look at which the evidence sufficed: once by far, or on two polls that held requests."""
    needed = math.log(1 / false_rollback)
    confirmed = False
    for look in trail:
        if look.log_worse >= needed + math.log(AT_ONCE):
            return look
        if not look.saw_candidate:
            continue
        if look.log_worse >= needed and confirmed:
            return look
        confirmed = look.log_worse >= needed
    return None


def _exp(log_value: float) -> float:
    return math.exp(min(log_value, 700.0))
