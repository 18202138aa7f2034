"""A rollout before the judge once more, poll by poll. Pure: what was recorded and what Prometheus holds come in.

The questions follow the traffic that there was: the judge is asked about a step only while the candidate had that
step's weight or more, for nobody knows what more traffic would have shown. With the settings of that time, it says the
same as it did then, as soon as it did.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.cli.common.errors import CannotReplay
from tidegate.decide.criteria import criteria_for
from tidegate.judge.sampling import INGESTION_LAG, segments
from tidegate.judge.sequential_test import SequentialTest
from tidegate.judge.verdict import REASONS, Criteria, answer, parameters_of
from tidegate.model.evidence import Answer, Counts, Increment, Measurements, QueryAnswer, Verdict
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.spec import BlueGreen, Canary, CanaryStep, ModelDeploymentSpec
from tidegate.model.status import HistoryEntry, Rollout, Shift, Status

BY_A_QUERY = Reason.QUERY_BEYOND_LIMIT
BY_THE_JUDGE = frozenset((*REASONS.values(), Reason.ONE_POD_WORSE, BY_A_QUERY))
"""Reasons of a rollback that are a verdict; a crash or a deadline is none."""

Answers = tuple[QueryAnswer, ...]
"""Of all of the user's own queries at one look."""


@dataclass(frozen=True)
class Recorded:
    """A rollout as the status has it. `number` counts the history from 1, the newest; None is the one under way."""

    number: int | None
    stable: str
    candidate: str
    started_at: datetime
    shifts: tuple[Shift, ...]
    until: datetime
    """When it ended; now for the one under way."""
    outcome: str | None = None
    reason: str = ""
    message: str = ""

    @property
    def began(self) -> datetime:
        """When the candidate got its first request."""
        return self.shifts[0].at

    @property
    def ended_after(self) -> timedelta:
        """Until its traffic was where it ended: a canary that has all of it waits on, to see stable's last requests."""
        if self.outcome == Outcome.PROMOTED and self.shifts[0].weight < 100:
            return (
                next(shift.at for shift in (*self.shifts, Shift(self.until, 100)) if shift.weight == 100) - self.began
            )
        return self.until - self.began

    def rollout(self) -> Rollout:
        """As the operator had it at its last look."""
        return Rollout(self.candidate, self.started_at, 1, self.began, self.shifts)


def recorded_in(status: Status, number: int | None, now: datetime) -> Recorded:
    """The rollout under way, or the newest of the history; with a number, that of the history.

    Raises CannotReplay where there is none, or where what it takes wasn't recorded.
    """
    if number is None and status.rollout is not None:
        return _under_way(status, status.rollout, now)
    if not status.history:
        raise CannotReplay("it has no rollout, neither under way nor in its history")
    number = number or 1
    if not 1 <= number <= len(status.history):
        raise CannotReplay(f"its history has {len(status.history)} of them, so there is no number {number}")
    return _ended(status.history[number - 1], number)


def _under_way(status: Status, rollout: Rollout, now: datetime) -> Recorded:
    if status.stable is None:
        raise CannotReplay(f"{rollout.candidate} is its first revision, so there is nothing to compare it with")
    if not rollout.shifts:
        raise CannotReplay(f"the candidate {rollout.candidate} has had no traffic yet, so nothing was judged")
    return Recorded(None, status.stable, rollout.candidate, rollout.started_at, rollout.shifts, now)


def _ended(entry: HistoryEntry, number: int) -> Recorded:
    if not entry.stable:
        raise CannotReplay(
            f"entry {number} of its history, {entry.revision}, was written by an older operator, which didn't record "
            "when traffic was shifted"
        )
    if not entry.shifts:
        raise CannotReplay(f"{entry.revision} ended before it had any traffic, so nothing was judged: {entry.message}")
    return Recorded(
        number,
        entry.stable,
        entry.revision,
        entry.started_at,
        entry.shifts,
        entry.finished_at,
        entry.outcome,
        entry.reason,
        entry.message,
    )


def spec_then(spec: ModelDeploymentSpec, shifts: tuple[Shift, ...]) -> ModelDeploymentSpec:
    """The spec with the strategy of these shifts: its own, or one that fits them where it has changed since."""
    weights = [shift.weight for shift in shifts if shift.weight < 100]
    if not weights:
        own = spec.strategy if isinstance(spec.strategy, BlueGreen) else BlueGreen(timedelta(), timedelta())
        return replace(spec, strategy=own)
    if isinstance(spec.strategy, Canary) and {step.weight for step in spec.strategy.steps} >= set(weights):
        return spec
    return replace(spec, strategy=Canary(tuple(CanaryStep(weight, timedelta()) for weight in dict.fromkeys(weights))))


def expected_increments(recorded: Recorded, interval: timedelta, propagation_delay: timedelta) -> int:
    """How many polls there would be if Prometheus had every sample."""
    first, *later = segments(recorded.shifts, interval, propagation_delay, recorded.until - INGESTION_LAG)
    # The candidate had no traffic before the first shift, so nothing has to settle there.
    return max(0, first.points - 1) + sum(max(0, each.points - 1 - each.delay_points) for each in later)


@dataclass(frozen=True)
class Row:
    """One poll, and what the evidence added up to with it. `at` is when the operator could look at it.

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
    """A verdict that moves a rollout: back, or into a step; `steps` + 1 is all traffic.

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
        return next((finding for finding in self.findings if finding.answer is Answer.WORSE), None)

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


def agrees(recorded: Recorded, replay: Replay) -> bool:
    """Whether the replay ends as it was recorded. Where the judge had no part in the end, it may not object to it."""
    if recorded.outcome is None:
        return True
    if recorded.outcome == Outcome.ROLLED_BACK and recorded.reason in BY_THE_JUDGE:
        return replay.outcome == Outcome.ROLLED_BACK
    if recorded.outcome == Outcome.PROMOTED and recorded.reason == Reason.EVIDENCE_ACCEPTABLE:
        return replay.outcome == Outcome.PROMOTED
    if recorded.reason == Reason.DEADLINE_EXCEEDED:
        return replay.outcome is None
    return replay.outcome != Outcome.ROLLED_BACK


def replay(
    measurements: Measurements,
    recorded: Recorded,
    spec: ModelDeploymentSpec,
    answers: Mapping[datetime, Answers] | None = None,
) -> Replay:
    """What the judge makes of these polls under the spec's analysis. The spec's strategy fits the recorded shifts.

    `answers` are those of the user's own queries by the point at which they were asked, also where there was no poll.
    """
    course, answered = _Course(spec, recorded), answers or {}
    increments = {increment.until: increment for increment in measurements.increments}
    test = SequentialTest(parameters_of(measurements, course.criteria(1)))
    rows: list[Row] = []
    findings: list[Finding] = []
    granted = 1
    for at in sorted({*increments, *answered}):
        if at in increments:
            test.update(increments[at])
        step = min(granted, course.step_at(at))
        then = replace(measurements, answers=answered.get(at, ()))
        row = _row(test, increments.get(at, Increment(at, Counts(), Counts())), course.criteria(step), then, course)
        if at in increments or row.verdict.reason == BY_A_QUERY:
            rows.append(row)
        if findings and findings[-1].answer is Answer.WORSE:
            continue  # whatever comes later, the traffic would be back by now
        if row.verdict.answer is Answer.WORSE:
            findings.append(course.finding(row, 0))
        elif row.verdict.answer is Answer.ACCEPTABLE and step == granted <= course.steps:
            granted += 1
            findings.append(course.finding(row, granted))
    return Replay(course.steps, tuple(rows), tuple(findings))


class _Course:
    """How the traffic went."""

    def __init__(self, spec: ModelDeploymentSpec, recorded: Recorded) -> None:
        self._spec, self._recorded = spec, recorded
        self._weights = [step.weight for step in spec.strategy.steps] if isinstance(spec.strategy, Canary) else []
        # A blue-green switch is one question: whether the candidate, which has all traffic, may keep it.
        self.steps = max(1, len(self._weights))

    def criteria(self, step: int) -> Criteria:
        return criteria_for(self._spec, replace(self._recorded.rollout(), step=step))

    def weight_at(self, at: datetime) -> int:
        return [shift.weight for shift in self._recorded.shifts if shift.at < at][-1]

    def step_at(self, at: datetime) -> int:
        weight = self.weight_at(at)
        if not self._weights:
            return 1
        return self._weights.index(weight) + 1 if weight in self._weights else self.steps + 1

    def finding(self, row: Row, step: int) -> Finding:
        verdict = row.verdict
        return Finding(row.at, verdict.answer, step, verdict.reason, verdict.message, self._then(step))

    def _then(self, step: int) -> timedelta | None:
        """When the recorded rollout went back (step 0), into the step, or to all traffic."""
        recorded = self._recorded
        if step == 0 or step > self.steps:
            outcome = Outcome.ROLLED_BACK if step == 0 else Outcome.PROMOTED
            return recorded.ended_after if recorded.outcome == outcome else None
        weight = self._weights[step - 1]
        return next((shift.at - recorded.began for shift in recorded.shifts if shift.weight == weight), None)

    def since_began(self, at: datetime) -> timedelta:
        return at - self._recorded.began


def _row(
    test: SequentialTest, increment: Increment, criteria: Criteria, measurements: Measurements, course: _Course
) -> Row:
    weakest = test.weakest()
    return Row(
        at=course.since_began(increment.until + INGESTION_LAG),
        weight=course.weight_at(increment.until),
        candidate=increment.candidate,
        stable=increment.stable,
        worse=_exp(test.last.log_worse),
        heaviest=test.last.heaviest,
        acceptable=_exp(weakest.log_acceptable()),
        acceptable_needed=1 / criteria.false_promotion,
        weakest=weakest.name,
        low=test.confidence_sequence.low,
        high=test.confidence_sequence.high,
        verdict=answer(test, criteria, measurements),
    )


def _exp(log_value: float) -> float:
    return math.exp(min(log_value, 700.0))
