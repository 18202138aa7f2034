"""From increments to one of four answers. Pure: the same increments always give the same verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.judge import explain
from tidegate.judge.drift import constant_answer, largest_shift
from tidegate.judge.e_process import e_value
from tidegate.judge.metric import LATENCY_TOLERANCE
from tidegate.judge.pods import SickPod, Tally, sick_pod
from tidegate.judge.query_limits import beyond_limits, unusable_query
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import Answer, Counts, Evidence, Measurements, MetricsGap, Verdict
from tidegate.model.reasons import Policy, Reason
from tidegate.model.spec import Analysis

WATCHFUL = 10.0
"""With this much evidence that the candidate is worse it doesn't advance, even if it isn't enough to roll back."""

REASONS = {
    "errors": Reason.ERROR_RATE_WORSE,
    "latency": Reason.LATENCY_WORSE,
    "ceiling": Reason.ERROR_RATE_ABOVE_CEILING,
    "latency ceiling": Reason.LATENCY_ABOVE_CEILING,
    "predictions": Reason.PREDICTIONS_DIFFER,
}


NOTHING_TO_JUDGE = Verdict(Answer.NOT_ENOUGH, Reason.NO_ROLLOUT, "there is no rollout to judge")


@dataclass(frozen=True)
class Criteria:
    """What is to be judged: under which tolerances, and how sure an ACCEPTABLE has to be.

    `false_promotion` is the β of this step. `concurrent` says whether stable serves beside the candidate.
    """

    analysis: Analysis
    false_promotion: float
    concurrent: bool = True


def judge(measurements: Measurements | MetricsGap, criteria: Criteria) -> Verdict:
    """The verdict on everything that has been seen so far."""
    if isinstance(measurements, MetricsGap):
        return cannot_see(measurements)
    test = SequentialTest(parameters_of(measurements, criteria))
    for increment in measurements.increments:
        test.update(increment)
    return answer(test, criteria, measurements)


def cannot_see(gap: MetricsGap) -> Verdict:
    """Nothing can be seen, and why."""
    return Verdict(Answer.CANNOT_SEE, gap.reason, gap.message)


def parameters_of(measurements: Measurements, criteria: Criteria) -> SequentialTestParameters:
    """What these measurements are tested with."""
    return SequentialTestParameters(
        criteria.analysis, criteria.concurrent, measurements.reference, measurements.overdispersion
    )


def answer(
    test: SequentialTest, criteria: Criteria, measurements: Measurements, nodes: Mapping[str, str] | None = None
) -> Verdict:
    """The verdict of a test that has been updated with these measurements. `nodes`: pod → node, for people."""
    return _Answering(test, criteria, measurements, nodes or {}).verdict()


class _Answering:
    def __init__(
        self, test: SequentialTest, criteria: Criteria, measurements: Measurements, nodes: Mapping[str, str]
    ) -> None:
        self._test, self._criteria, self._measurements, self._nodes = test, criteria, measurements, nodes
        self._weakest = test.weakest()
        self._log_acceptable = self._weakest.log_acceptable()
        analysis = criteria.analysis
        self._evidence = Evidence(
            e_value(test.highest if test.rejected_at else test.last.log_worse),
            1 / analysis.false_rollback,
            e_value(self._log_acceptable),
            1 / criteria.false_promotion,
        )

    def verdict(self) -> Verdict:
        """Worst case first."""
        test = self._test
        if test.rejected_at:
            return self._worse(test.rejected_at.heaviest)
        beyond = beyond_limits(self._measurements.answers, self._criteria.analysis.queries)
        if beyond and beyond.rolls_back:
            return self._verdict(Answer.WORSE, Reason.QUERY_BEYOND_LIMIT, beyond.message)
        if test.candidate.requests == 0:
            return self._verdict(Answer.NOT_ENOUGH, *_nothing_judged(self._measurements.exposed))
        if beyond:
            return self._verdict(Answer.NOT_ENOUGH, Reason.QUERY_BEYOND_LIMIT, beyond.message)
        if unusable := unusable_query(self._measurements.answers):
            return self._verdict(Answer.NOT_ENOUGH, Reason.QUERY_UNUSABLE, unusable)
        if self._evidence.worse >= WATCHFUL:
            return self._measured(Answer.NOT_ENOUGH, Reason.SUSPICION_OF_WORSE, test.last.heaviest)
        if test.stable_is_unwell and self._criteria.concurrent:
            return self._measured(Answer.NOT_ENOUGH, Reason.STABLE_UNWELL, "errors")
        if differs := self._differs():
            return self._verdict(Answer.NOT_ENOUGH, *differs)
        if self._log_acceptable >= math.log(self._evidence.acceptable_needed):
            return self._measured(Answer.ACCEPTABLE, Reason.NO_WORSE, self._weakest.name)
        if test.latency is self._weakest and not test.latency.boundaries:
            message = (
                "stable has answered fewer than 100 requests, so its latency gives nothing to compare with; "
                "the rollout goes on when it has"
            )
            return self._verdict(Answer.NOT_ENOUGH, Reason.NO_LATENCY_TO_COMPARE_WITH, message)
        needed = explain.remaining(test, self._log_acceptable, self._evidence)
        return self._measured(Answer.NOT_ENOUGH, Reason.MORE_REQUESTS_NEEDED, self._weakest.name, needed)

    def _worse(self, blamed: str) -> Verdict:
        if blamed == "predictions":
            return self._verdict(Answer.WORSE, REASONS[blamed], self._difference())
        sick = self._sick_pod(blamed)
        if sick is None:
            return self._measured(Answer.WORSE, REASONS[blamed], blamed)
        what = "slow" if blamed.startswith("latency") else "failed"
        sentence = explain.sick_pod(sick, self._nodes.get(sick.pod), what)
        return self._measured(Answer.WORSE, Reason.ONE_POD_WORSE, blamed, f"; {sentence}")

    def _sick_pod(self, blamed: str) -> SickPod | None:
        test, errors = self._test, self._criteria.analysis.error_rate
        if not blamed.startswith("latency"):
            pods = {pod: Tally(counts.failed, counts.requests) for pod, counts in test.pods.items()}
            stable = test.stable.failed / test.stable.requests if test.stable.requests else 0.0
            return sick_pod(pods, stable, errors.tolerate)
        if test.latency is None or not test.latency.boundaries or not test.stable.durations.total:
            return None
        boundary = test.latency.heaviest()
        pods = {
            pod: Tally(counts.durations.slower_than(boundary.tolerate), counts.durations.total)
            for pod, counts in test.pods.items()
            if counts.durations.bounds
        }
        slow = test.stable.durations.slower_than(boundary.stable) / test.stable.durations.total
        return sick_pod(pods, slow, LATENCY_TOLERANCE)

    def _differs(self) -> tuple[str, str] | None:
        """A reason to hold: the candidate predicts other things, and nobody has said that it should."""
        predictions = self._criteria.analysis.predictions
        if predictions.on_drift == Policy.IGNORE or not self._criteria.concurrent:
            return None
        ours, theirs = self._test.candidate.predictions, self._test.stable.predictions
        if constant := constant_answer(ours, theirs):
            rows = sum(ours.classes.values())
            return Reason.CONSTANT_OUTPUT, (
                f"each of the candidate's {rows:,} predictions is class {constant}, stable's differ; "
                "look at the model's input and export, or set spec.analysis.predictions.onDrift to Ignore"
            )
        if self._test.drift.log_value() < -math.log(self._criteria.analysis.false_rollback):
            return None
        return REASONS["predictions"], self._difference()

    def _difference(self) -> str:
        ours, theirs, analysis = (
            self._test.candidate.predictions,
            self._test.stable.predictions,
            self._criteria.analysis,
        )
        shift = largest_shift(ours, theirs, analysis.predictions)
        return explain.difference(shift, self._test.drift.log_value(), analysis)

    def _measured(self, given: Answer, reason: str, metric: str, more: str = "") -> Verdict:
        return self._verdict(given, reason, explain.explain(metric, self._test, self._evidence) + more)

    def _verdict(self, given: Answer, reason: str, message: str) -> Verdict:
        test = self._test
        per_metric = [(m.name, e_value(m.log_worse()), e_value(m.log_acceptable())) for m in test.metrics]
        if test.parameters.concurrent:
            per_metric.append(("predictions", e_value(test.drift.log_value()), 1.0))
        caution = self._measurements.overdispersion.noisy
        return Verdict(
            given,
            reason,
            message,
            self._evidence,
            tuple(per_metric),
            self._measurements.exposed,
            caution,
            self._measurements.baseline,
        )


def _nothing_judged(exposed: Counts) -> tuple[str, str]:
    if exposed.requests == 0:
        return Reason.NO_REQUESTS, "the candidate has answered no requests yet, so there is nothing to judge"
    return Reason.SETTLING, (
        f"the candidate has answered its first {exposed.requests:,} requests; what was counted around a shift of "
        "traffic isn't judged, so the evidence begins with the next look"
    )
