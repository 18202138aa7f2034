"""From polls to one of four answers. Pure: the same polls always give the same verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.judge import explain
from tidegate.judge.drift import constant_answer, largest_shift
from tidegate.judge.limits import beyond_limits, unusable_query
from tidegate.judge.metric import LATENCY_TOLERANCE
from tidegate.judge.pods import SickPod, Tally, sick_pod
from tidegate.judge.trial import Terms, Trial
from tidegate.model.evidence import Answer, Blindness, Counts, Evidence, Sight, Verdict
from tidegate.model.spec import Analysis

WATCHFUL = 10.0
"""With this much evidence that the candidate is worse it doesn't advance, even if it isn't enough to roll back."""

REASONS = {
    "errors": "ErrorRateWorse",
    "latency": "LatencyWorse",
    "ceiling": "ErrorRateAboveCeiling",
    "latency ceiling": "LatencyAboveCeiling",
    "predictions": "PredictionsDiffer",
}


@dataclass(frozen=True)
class Question:
    """What is to be judged: under which tolerances, and how sure an ACCEPTABLE has to be.

    `false_promotion` is the β of this step. `concurrent` says whether stable serves beside the candidate.
    """

    analysis: Analysis
    false_promotion: float
    concurrent: bool = True


def judge(sight: Sight | Blindness, question: Question) -> Verdict:
    """The verdict on everything that has been seen so far."""
    if isinstance(sight, Blindness):
        return cannot_see(sight)
    trial = Trial(terms_of(sight, question))
    for poll in sight.polls:
        trial.hear(poll)
    return answer(trial, question, sight)


def cannot_see(blindness: Blindness) -> Verdict:
    """Nothing can be seen, and why."""
    return Verdict(Answer.CANNOT_SEE, blindness.reason, blindness.message)


def terms_of(sight: Sight, question: Question) -> Terms:
    """What a trial of this sight is held under."""
    return Terms(question.analysis, question.concurrent, sight.reference, sight.dispersion)


def answer(trial: Trial, question: Question, sight: Sight, nodes: Mapping[str, str] | None = None) -> Verdict:
    """The verdict on what a trial has heard of a sight. `nodes` says on which node each pod runs, for people."""
    return _Answering(trial, question, sight, nodes or {}).verdict()


class _Answering:
    def __init__(self, trial: Trial, question: Question, sight: Sight, nodes: Mapping[str, str]) -> None:
        self._trial, self._question, self._sight, self._nodes = trial, question, sight, nodes
        self._weakest = trial.weakest()
        self._log_acceptable = self._weakest.log_acceptable()
        analysis = question.analysis
        self._evidence = Evidence(
            _exp(trial.highest if trial.condemned else trial.last.log_worse),
            1 / analysis.false_rollback,
            _exp(self._log_acceptable),
            1 / question.false_promotion,
        )

    def verdict(self) -> Verdict:
        """Worst case first."""
        trial = self._trial
        if trial.condemned:
            return self._worse(trial.condemned.heaviest)
        beyond = beyond_limits(self._sight.answers, self._question.analysis.queries)
        if beyond and beyond.rolls_back:
            return self._told(Answer.WORSE, "QueryBeyondLimit", beyond.message)
        if trial.candidate.requests == 0:
            return self._told(Answer.NOT_ENOUGH, *_nothing_judged(self._sight.exposed))
        if beyond:
            return self._told(Answer.NOT_ENOUGH, "QueryBeyondLimit", beyond.message)
        if unusable := unusable_query(self._sight.answers):
            return self._told(Answer.NOT_ENOUGH, "QueryUnusable", unusable)
        if self._evidence.worse >= WATCHFUL:
            return self._measured(Answer.NOT_ENOUGH, "SuspicionOfWorse", trial.last.heaviest)
        if trial.stable_is_unwell and self._question.concurrent:
            return self._measured(Answer.NOT_ENOUGH, "StableUnwell", "errors")
        if differs := self._differs():
            return self._told(Answer.NOT_ENOUGH, *differs)
        if self._log_acceptable >= math.log(self._evidence.acceptable_needed):
            return self._measured(Answer.ACCEPTABLE, "NoWorse", self._weakest.name)
        if trial.latency is self._weakest and not trial.latency.boundaries:
            message = (
                "stable has answered fewer than 100 requests, so its latency gives nothing to compare with; "
                "the rollout goes on when it has"
            )
            return self._told(Answer.NOT_ENOUGH, "NoLatencyToCompareWith", message)
        needed = explain.remaining(trial.candidate, self._log_acceptable, self._evidence)
        return self._measured(Answer.NOT_ENOUGH, "MoreRequestsNeeded", self._weakest.name, needed)

    def _worse(self, blamed: str) -> Verdict:
        if blamed == "predictions":
            return self._told(Answer.WORSE, REASONS[blamed], self._difference())
        sick = self._sick_pod(blamed)
        if sick is None:
            return self._measured(Answer.WORSE, REASONS[blamed], blamed)
        what = "slow" if blamed.startswith("latency") else "failed"
        told = explain.sick_pod(sick, self._nodes.get(sick.pod), what)
        return self._measured(Answer.WORSE, "OnePodWorse", blamed, f"; {told}")

    def _sick_pod(self, blamed: str) -> SickPod | None:
        trial, errors = self._trial, self._question.analysis.error_rate
        if not blamed.startswith("latency"):
            pods = {pod: Tally(counts.failed, counts.requests) for pod, counts in trial.pods.items()}
            stable = trial.stable.failed / trial.stable.requests if trial.stable.requests else 0.0
            return sick_pod(pods, stable, errors.tolerate)
        if trial.latency is None or not trial.latency.boundaries or not trial.stable.durations.total:
            return None
        boundary = trial.latency.heaviest()
        pods = {
            pod: Tally(counts.durations.slower_than(boundary.tolerate), counts.durations.total)
            for pod, counts in trial.pods.items()
            if counts.durations.bounds
        }
        slow = trial.stable.durations.slower_than(boundary.stable) / trial.stable.durations.total
        return sick_pod(pods, slow, LATENCY_TOLERANCE)

    def _differs(self) -> tuple[str, str] | None:
        """A reason to hold: the candidate predicts other things, and nobody has said that it should."""
        predictions = self._question.analysis.predictions
        if predictions.on_drift == "Ignore" or not self._question.concurrent:
            return None
        ours, theirs = self._trial.candidate.predictions, self._trial.stable.predictions
        if constant := constant_answer(ours, theirs):
            rows = sum(ours.classes.values())
            return "ConstantOutput", (
                f"each of the candidate's {rows:,} predictions is class {constant}, stable's differ; "
                "look at the model's input and export, or set spec.analysis.predictions.onDrift to Ignore"
            )
        if self._trial.drift.log_value() < -math.log(self._question.analysis.false_rollback):
            return None
        return REASONS["predictions"], self._difference()

    def _difference(self) -> str:
        ours, theirs, analysis = (
            self._trial.candidate.predictions,
            self._trial.stable.predictions,
            self._question.analysis,
        )
        shift = largest_shift(ours, theirs, analysis.predictions)
        return explain.difference(shift, self._trial.drift.log_value(), analysis)

    def _measured(self, given: Answer, reason: str, metric: str, more: str = "") -> Verdict:
        return self._told(given, reason, explain.explain(metric, self._trial, self._evidence) + more)

    def _told(self, given: Answer, reason: str, message: str) -> Verdict:
        trial = self._trial
        per_metric = [(m.name, _exp(m.log_worse()), _exp(m.log_acceptable())) for m in trial.metrics]
        if trial.terms.concurrent:
            per_metric.append(("predictions", _exp(trial.drift.log_value()), 1.0))
        caution = self._sight.dispersion.noisy
        return Verdict(
            given, reason, message, self._evidence, tuple(per_metric), self._sight.exposed, caution, self._sight.pace
        )


def _nothing_judged(exposed: Counts) -> tuple[str, str]:
    if exposed.requests == 0:
        return "NoRequests", "the candidate has answered no requests yet, so there is nothing to judge"
    return "Settling", (
        f"the candidate has answered its first {exposed.requests:,} requests; what was counted around a shift of "
        "traffic isn't judged, so the evidence begins with the next look"
    )


def _exp(log_value: float) -> float:
    return math.exp(min(log_value, 700.0))
