"""The operator's own record before the judge once more: the same increments, the same parameters, the same looks. Pure.

Nothing is asked of anybody, and nothing is computed anew that was known then, so every verdict and each digit of its
evidence is what it was; where one isn't, another judge wrote the record, or somebody else did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.cli.common.errors import CannotReplay
from tidegate.cli.replay.engine import Answers, Decisions, Replay, Row, row_of
from tidegate.cli.replay.recorded import Recorded
from tidegate.judge.case import Criteria
from tidegate.judge.checkpoint import taken_up, written_down
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.verdict import answer
from tidegate.metrics.record import (
    MALFORMED,
    Asked,
    Began,
    Counted,
    Details,
    Edited,
    Entry,
    Header,
    Looked,
    Record,
    Resumed,
    Said,
    Traffic,
    Whole,
)
from tidegate.model.evidence import NO_DURATIONS, Answer, Counts, Evidence, Increment, Measurements, Verdict
from tidegate.model.reasons import Reason
from tidegate.model.spec import Analysis, ModelDeploymentSpec
from tidegate.model.units import format_instant


@dataclass(frozen=True)
class Repetition:
    """What came of a record. `said` is how many verdicts were held against what was said then."""

    replay: Replay
    said: int
    differs: str = ""
    """The first that isn't what was said then; '' where all are."""


def recorded_by(header: Header, now: datetime) -> Recorded:
    """The rollout as its record has it, without a status."""
    shape = header.stable, header.candidate, header.started_at, header.shifts
    if header.ended is None:
        return Recorded(None, *shape, now)
    return Recorded(None, *shape, header.ended.at, *header.ended[:3])


def analysis_of(record: Record) -> Analysis:
    """The settings of that time; where they were edited, the last. Raises CannotReplay where there are none."""
    try:
        return _parameters(record.entries).analysis
    except MALFORMED as error:
        raise _nonsense(record, error) from error


def traffic_of(record: Record) -> tuple[tuple[str, Increment], ...]:
    """The increments of traffic that its last test was given, each with its source."""
    return tuple((each.source, each.increment) for each in _of_last_test(record) if isinstance(each, Traffic | Whole))


def measurements_of(record: Record) -> tuple[Measurements, dict[datetime, Answers]]:
    """What its last test was given, for a judge with other settings, and what own queries said at each look.

    Details count with the first traffic that is no older. Raises CannotReplay where no increment is left.
    """
    entries = _of_last_test(record)
    parameters = _parameters(entries)
    joined = _joined([each for each in entries if isinstance(each, Traffic | Details | Whole)])
    if not joined:
        raise CannotReplay(f"the record of {record.header.candidate} holds no increment")
    answers = {each.at: each.asked.answers for each in entries if isinstance(each, Looked) and each.asked.answers}
    return Measurements(
        tuple(joined),
        parameters.reference,
        overdispersion=parameters.overdispersion,
        before=parameters.before,
        points_apart=parameters.points_apart,
    ), answers


def repeat(record: Record, recorded: Recorded, spec: ModelDeploymentSpec) -> Repetition:
    """All verdicts of a record. The spec's strategy fits the shifts. Raises CannotReplay where it has none."""
    first = next((each.at for each in record.entries if isinstance(each, Looked)), None)
    if first is None:
        raise CannotReplay(f"the record of {record.header.candidate} holds no verdict")
    course = _Course(Decisions(spec, recorded, first), recorded.began)
    try:
        for entry in record.entries:
            course.take(entry)
    except MALFORMED as error:
        raise _nonsense(record, error) from error
    replay = Replay(course.decisions.steps, tuple(course.rows), tuple(course.decisions.findings))
    return Repetition(replay, course.said, course.differs)


class _Course:
    """How far the rollout has come, entry by entry."""

    def __init__(self, decisions: Decisions, began: datetime) -> None:
        self.decisions, self._began = decisions, began
        self._test: SequentialTest | None = None
        self._counted = _NOTHING
        self.rows: list[Row] = []
        self.said = 0
        self.differs = ""

    @property
    def test(self) -> SequentialTest:
        """Raises CannotReplay before there is one."""
        if self._test is None:
            raise CannotReplay("the record begins with no test")
        return self._test

    def take(self, entry: Entry) -> None:
        """The next entry."""
        match entry:
            case Began(parameters):
                # What was counted is counted again for it.
                self._test, self._counted = SequentialTest(parameters), _NOTHING
            case Edited(parameters):
                self.test.parameters = parameters
            case Resumed(state):
                self._resume(state)
            case Looked(at, asked, said):
                self._look(at, asked, said)
            case _:
                self._count(entry)

    def _resume(self, state: Mapping[str, Any]) -> None:
        """What the test knew then, which is what it was given until then."""
        if self._test is not None and written_down(self._test) != state:
            self._differ("what is recorded of the test isn't what the increments before come to")
        self._test = taken_up(state)

    def _count(self, entry: Counted) -> None:
        """Gives the test an increment as the operator did."""
        entry.give_to(self.test)
        self._counted = _sum(self._counted, entry.increment)

    def _look(self, at: datetime, asked: Asked, said: Said | None) -> None:
        """What the judge says now, beside what it said, and what decide() makes of it."""
        criteria = Criteria(self.test.parameters.analysis, asked.false_promotion, asked.promotes)
        verdict = answer(self.test, criteria, _told(self.test, asked))
        if said is not None:
            self._compare(at, said, verdict)
        moves = self.decisions.take(self.decisions.rollout_at(at), at, verdict)
        if moves or self._counted is not _NOTHING or verdict.reason == Reason.QUERY_BEYOND_LIMIT:
            when = at - self._began, self.decisions.weight_at(at)
            self.rows.append(row_of(self.test, criteria, verdict, when, self._counted))
            self._counted = _NOTHING

    def _compare(self, at: datetime, said: Said, verdict: Verdict) -> None:
        self.said += 1
        if (verdict.answer, verdict.reason, verdict.evidence) != (said.answer, said.reason, said.evidence):
            now, then = _words(verdict.answer, verdict.evidence), _words(said.answer, said.evidence)
            self._differ(f"at {format_instant(at)} it comes to {now}, and the operator said {then}")

    def _differ(self, sentence: str) -> None:
        self.differs = self.differs or sentence


_NOTHING = Increment(datetime.max.replace(tzinfo=UTC), Counts(), Counts())


def _of_last_test(record: Record) -> Sequence[Entry]:
    """From where its last test began."""
    begun = [index for index, entry in enumerate(record.entries) if isinstance(entry, Began)]
    return record.entries[begun[-1] :] if begun else record.entries


def _parameters(entries: Sequence[Entry]) -> SequentialTestParameters:
    """The last that were in force. Raises CannotReplay where none are told."""
    for entry in reversed(entries):
        if isinstance(entry, Began | Edited):
            return entry.parameters
        if isinstance(entry, Resumed):
            return taken_up(entry.state).parameters
    raise CannotReplay("the record begins with no test")


def _joined(increments: Sequence[Counted]) -> list[Increment]:
    """Each increment of traffic with the details since the one before."""
    joined: list[Increment] = []
    waiting: list[Increment] = []
    for entry in sorted(increments, key=lambda each: (each.increment.until, isinstance(each, Traffic))):
        increment = entry.increment
        if isinstance(entry, Details):
            waiting.append(increment)
            continue
        for details in waiting:
            increment = _sum(details, increment)
        waiting = []
        joined.append(increment)
    return joined


def _sum(before: Increment, after: Increment) -> Increment:
    """Both as one, until the later."""
    return replace(
        after,
        until=after.until if before is _NOTHING else max(before.until, after.until),
        stable=_plus(before.stable, after.stable),
        candidate=_plus(before.candidate, after.candidate),
        pods={**before.pods, **after.pods},
        load=after.load or before.load,
    )


def _plus(one: Counts, other: Counts) -> Counts:
    """The sum; of latency in other buckets only the other's, for the routers' and the servers' can't be added."""
    alike = one.durations.bounds in ((), other.durations.bounds) or not other.durations.bounds
    return (one if alike else replace(one, durations=NO_DURATIONS)) + other


def _nonsense(record: Record, error: Exception) -> CannotReplay:
    return CannotReplay(f"the record of {record.header.candidate} makes no sense: {type(error).__name__}: {error}")


def _told(test: SequentialTest, asked: Asked) -> Measurements:
    parameters = test.parameters
    return Measurements(
        (),
        parameters.reference,
        Counts(asked.exposed),
        parameters.overdispersion,
        asked.answers,
        before=parameters.before,
        missing=asked.missing,
        inputs=asked.inputs,
    )


def _words(given: Answer, evidence: Evidence | None) -> str:
    if evidence is None:
        return given.value
    return f"{given.value} (rollback evidence {evidence.worse!r}, promotion evidence {evidence.acceptable!r})"
