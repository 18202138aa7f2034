"""A rollout before the judge and decide() once more, increment by increment. Pure.

Decisions follow the traffic that there was: the judge is asked about a step only while the candidate had that step's
weight or more, for nobody knows what more traffic would have shown. With the settings of that time, it says the same as
it did then, as soon as it did. Only the judge is asked: waits that the strategy or a deadline asks for are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.cli.replay.recorded import Recorded
from tidegate.decide.criteria import criteria_for
from tidegate.decide.rollout import decide
from tidegate.judge.case import Criteria
from tidegate.judge.e_process import e_value
from tidegate.judge.sampling import INGESTION_LAG
from tidegate.judge.sequential_test import SequentialTest
from tidegate.judge.verdict import answer, parameters_of
from tidegate.model.evidence import Answer, Counts, Increment, Measurements, QueryAnswer, Verdict
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.spec import BLUE_GREEN_SWITCHED, BlueGreen, Canary, CanaryStep, ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift, Status
from tidegate.model.traffic import Share, TrafficSplit
from tidegate.simulation.deployment import SimulatedDeployment

Answers = tuple[QueryAnswer, ...]
"""Of all of the user's own queries at one point."""


@dataclass(frozen=True)
class Row:
    """One increment, and what the evidence added up to with it. `at` is when the operator could reconcile with it.

    Times are counted from the candidate's first request. `worse` and `acceptable` are e-values, `heaviest` and
    `weakest` the metrics that they hang on, and the ratio of the error rates is from `low` to `high`.
    """

    at: timedelta
    weight: int
    candidate: Counts
    stable: Counts
    worse: float
    heaviest: str
    acceptable: float
    acceptable_needed: float
    weakest: str
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Finding:
    """A decision that moves a rollout: back (step 0), or into a step; `steps` + 1 is all traffic.

    `then` is when that happened in what was recorded; None where it didn't.
    """

    at: timedelta
    answer: Answer
    step: int
    reason: str
    message: str
    then: timedelta | None


@dataclass(frozen=True)
class Replay:
    """All of it. `steps` is how many steps with traffic the strategy has."""

    steps: int
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    @property
    def rolled_back(self) -> Finding | None:
        """The finding that takes the traffic back."""
        return next((finding for finding in self.findings if finding.step == 0), None)

    @property
    def promoted(self) -> Finding | None:
        """The finding that gives the candidate all traffic, where nothing took it back later."""
        last = self.steps + 1
        return None if self.rolled_back else next((f for f in self.findings if f.step == last), None)

    @property
    def outcome(self) -> str | None:
        """As the history would have it; None where the evidence sufficed for neither."""
        if self.rolled_back:
            return Outcome.ROLLED_BACK
        return Outcome.PROMOTED if self.promoted else None


def replay(
    measurements: Measurements,
    recorded: Recorded,
    spec: ModelDeploymentSpec,
    answers: Mapping[datetime, Answers] | None = None,
) -> Replay:
    """What judge and decide() make of the increments under the spec. Its strategy fits the recorded shifts.

    `answers` are those of the user's own queries by the point at which they were asked, increment or not.
    """
    course = _Course(spec, recorded, measurements, answers or {})
    for at in course.points():
        course.take(at)
    return Replay(course.decisions.steps, tuple(course.rows), tuple(course.decisions.findings))


def _without_waits(spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    """The same steps and the same judge, with nothing else that holds a rollout or ends it."""
    strategy: Canary | BlueGreen = BlueGreen(timedelta(), timedelta())
    if isinstance(spec.strategy, Canary):
        strategy = Canary(tuple(CanaryStep(step.weight, timedelta()) for step in spec.strategy.steps))
    analysis = replace(spec.analysis, deadline=timedelta.max, bake=timedelta())
    return replace(spec, paused=False, strategy=strategy, analysis=analysis)


class Decisions:
    """What decide() makes of verdicts, look by look. Steps are numbered from the first that has traffic."""

    def __init__(self, spec: ModelDeploymentSpec, recorded: Recorded, first: datetime | None) -> None:
        """`first` is the first look, which may be in a later step than the first."""
        self.spec, self._recorded = _without_waits(spec), recorded
        self.steps = spec.strategy.steps_with_traffic
        self.findings: list[Finding] = []
        self._granted = 1 if first is None else self._step_at(first)

    def rollout_at(self, at: datetime) -> Rollout:
        """As it stands by what was granted and came to be."""
        return self._rollout(min(self._granted, self._step_at(at)))

    def weight_at(self, at: datetime) -> int:
        """The candidate's percent."""
        return [shift.weight for shift in self._recorded.shifts if shift.at < at][-1]

    def take(self, rollout: Rollout, now: datetime, verdict: Verdict) -> bool:
        """What decide() makes of a verdict; whether that moves the rollout."""
        # Once it was taken back, whatever comes later decides nothing.
        if self.findings and self.findings[-1].step == 0:
            return False
        step = self._decided(rollout, now, verdict)
        if 0 < step <= self._granted:
            return False
        self._granted = max(step, self._granted)
        since = now - self._recorded.began
        self.findings.append(
            Finding(since, verdict.answer, step, verdict.reason, verdict.message, self._recorded_at(step))
        )
        return True

    def _rollout(self, step: int) -> Rollout:
        recorded, strategy = self._recorded, self.spec.strategy
        number = step if strategy.moves_in_steps else BLUE_GREEN_SWITCHED
        weights = [strategy.weight_at(each) for each in range(1, number + 1)]
        shifts = tuple(Shift(recorded.began, weight) for weight in weights if weight)
        return Rollout(recorded.candidate, recorded.started_at, number, recorded.began, shifts)

    def _decided(self, rollout: Rollout, now: datetime, verdict: Verdict) -> int:
        """The step that decide() wants: 0 takes the traffic back, `steps` + 1 gives all of it for good."""
        recorded, pods = self._recorded, self.spec.replicas
        split = TrafficSplit.between(recorded.stable, recorded.candidate, rollout.shifts[-1].weight)
        deployment = SimulatedDeployment(
            self.spec,
            recorded.candidate,
            Status(stable=recorded.stable, rollout=rollout),
            split,
            {recorded.stable: pods, recorded.candidate: pods},
        )
        # Whether the routers followed was decided then.
        followed = Share(now, now, {}, {})
        status = decide(deployment.observed(now, verdict, followed, timedelta())).status
        if status.rollout is None:
            return 0 if status.history[0].outcome == Outcome.ROLLED_BACK else self.steps + 1
        return status.rollout.step if self.spec.strategy.moves_in_steps else 1

    def _step_at(self, at: datetime) -> int:
        """The step whose weight the candidate had; of a weight that is no step's, more than all of them."""
        weights = [self._rollout(step).shifts[-1].weight for step in range(1, self.steps + 1)]
        weight = self.weight_at(at)
        return weights.index(weight) + 1 if weight in weights else self.steps + 1

    def _recorded_at(self, step: int) -> timedelta | None:
        """When the recorded rollout went back (step 0), into the step, or to all traffic."""
        recorded = self._recorded
        if step == 0 or step > self.steps:
            outcome = Outcome.ROLLED_BACK if step == 0 else Outcome.PROMOTED
            return recorded.ended_after if recorded.outcome == outcome else None
        weight = self.spec.strategy.weight_at(step)
        return next((shift.at - recorded.began for shift in recorded.shifts if shift.weight == weight), None)


class _Course:
    """A rollout by increments alone, point by point."""

    def __init__(
        self,
        spec: ModelDeploymentSpec,
        recorded: Recorded,
        measurements: Measurements,
        answers: Mapping[datetime, Answers],
    ) -> None:
        self._recorded, self._measurements, self._answers = recorded, measurements, answers
        self._increments = {increment.until: increment for increment in measurements.increments}
        self.decisions = Decisions(spec, recorded, next(iter(self.points()), None))
        criteria = criteria_for(self.decisions.spec, recorded.rollout())
        self._test = SequentialTest(parameters_of(measurements, criteria))
        self.rows: list[Row] = []

    def points(self) -> list[datetime]:
        """The operator's own, in order."""
        return sorted({*self._increments, *self._answers})

    def take(self, at: datetime) -> None:
        """The next point: what the judge says, and what decide() makes of it."""
        increment = self._increments.get(at)
        if increment:
            self._test.update(increment)
        rollout = self.decisions.rollout_at(at)
        measured = replace(self._measurements, answers=self._answers.get(at, ()))
        criteria = criteria_for(self.decisions.spec, rollout)
        verdict = answer(self._test, criteria, measured)
        if increment or verdict.reason == Reason.QUERY_BEYOND_LIMIT:
            counted = increment or Increment(at, Counts(), Counts())
            since, weight = at + INGESTION_LAG - self._recorded.began, self.decisions.weight_at(at)
            self.rows.append(row_of(self._test, criteria, verdict, (since, weight), counted))
        self.decisions.take(rollout, at + INGESTION_LAG, verdict)


def row_of(
    test: SequentialTest, criteria: Criteria, verdict: Verdict, when: tuple[timedelta, int], counted: Increment
) -> Row:
    """A test's evidence as a row. `when` is the time since the candidate's first request, and its weight then."""
    weakest, (at, weight) = test.weakest(), when
    return Row(
        at=at,
        weight=weight,
        candidate=counted.candidate,
        stable=counted.stable,
        worse=e_value(test.last.log_worse),
        heaviest=test.last.heaviest,
        acceptable=e_value(weakest.log_acceptable()),
        acceptable_needed=1 / criteria.false_promotion,
        weakest=weakest.name,
        low=test.confidence_sequence.low,
        high=test.confidence_sequence.high,
        verdict=verdict,
    )
