"""From increments to one of four answers. Pure: the same increments always give the same verdict."""

from collections.abc import Mapping

from tidegate.judge.case import Case, Criteria
from tidegate.judge.rules import first_verdict
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import Answer, Measurements, MetricsGap, Verdict
from tidegate.model.reasons import Reason

NOTHING_TO_JUDGE = Verdict(Answer.NOT_ENOUGH, Reason.NO_ROLLOUT, "there is no rollout to judge")


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
        criteria.analysis,
        measurements.reference,
        measurements.overdispersion,
        measurements.before,
        measurements.points_apart,
    )


def answer(
    test: SequentialTest, criteria: Criteria, measurements: Measurements, nodes: Mapping[str, str] | None = None
) -> Verdict:
    """The verdict of a test that has been updated with these measurements. `nodes`: pod → node, for people."""
    return first_verdict(Case(test, criteria, measurements, nodes or {}))


def in_short(test: SequentialTest, criteria: Criteria, measurements: Measurements) -> tuple[Answer, str]:
    """The same answer and its reason, without the sentence and the figures, which are most of the work."""
    verdict = first_verdict(Case(test, criteria, measurements, in_short=True))
    return verdict.answer, verdict.reason
