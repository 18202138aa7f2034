"""What spec.gates say to a rollout: answers are taken in and recorded, and it is told who is still to be asked. Pure.

A gate stands before more traffic for the candidate, and before nothing else: no rollback asks it.
"""

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.model.back_off import doubled
from tidegate.model.gate import (
    ASKED_AGAIN,
    LONGEST_PAUSE,
    OPEN,
    SHORTEST_PAUSE,
    WAITING,
    GateAnswer,
    GatePoint,
    GateRecord,
    GateSpec,
    GateState,
)
from tidegate.model.observation import Observation
from tidegate.model.reasons import Policy, Reason, StatusMessage
from tidegate.model.status import Rollout, Status

LONGEST_AFTER_FAILURE = timedelta(minutes=5)
TOLD = {
    GateState.PENDING: Reason.GATE_ASKED,
    GateState.REFUSED: Reason.GATE_REFUSED,
    GateState.FAILED: Reason.GATE_FAILED,
}


@dataclass(frozen=True)
class AwaitsGates(StatusMessage):
    """Why a rollout waits, and what is to be recorded of the gates that it waits for."""

    records: tuple[GateRecord, ...] = ()


def with_answers(seen: Observation) -> Observation:
    """The observation as if the answers that have come had been recorded."""
    rollout = seen.recorded.rollout
    if rollout is None or not rollout.gates:
        return seen
    records = tuple(_answered(seen, record) for record in rollout.gates)
    return replace(seen, recorded=replace(seen.recorded, rollout=replace(rollout, gates=records)))


def awaited(seen: Observation, rollout: Rollout, step: int, points: Set[GatePoint]) -> AwaitsGates | None:
    """Which of the gates at these points don't let the rollout enter `step` yet; all of them are asked at once."""
    gates = [gate for gate in seen.gates if _is_asked(gate, step, points)]
    records = tuple(_record(seen, rollout, gate, step) for gate in gates)
    closed = next((record for record in records if record.state not in OPEN), None)
    if closed is None:
        return None
    reason = TOLD.get(GateState(closed.state), Reason.GATE_REFUSED)
    return AwaitsGates(reason, _sentence(rollout, closed), records)


def ended_by_gate(rollout: Rollout) -> StatusMessage | None:
    """Why the rollout is to go back, where a gate says so."""
    for record in rollout.gates:
        if record.state == GateState.ENDED:
            return StatusMessage(Reason.GATE_REFUSED, f"the gate {record.name} ends it: {record.message}")
        if record.state == GateState.GIVEN_UP:
            return StatusMessage(Reason.GATE_FAILED, f"the gate {record.name} gave no answer: {record.message}")
    return None


def with_gate_records(why: StatusMessage | None, status: Status) -> Status:
    """`status` of a rollout that waits for that, with what is to be recorded of the gates.

    What was asked about steps that are over goes.
    """
    rollout = status.rollout
    if rollout is None:
        return status
    asked = why.records if isinstance(why, AwaitsGates) else ()
    names = {(record.name, record.step) for record in asked}
    kept = tuple(each for each in rollout.gates if (each.name, each.step) not in names and each.step >= rollout.step)
    records = (*kept, *asked)
    return status if records == rollout.gates else replace(status, rollout=replace(rollout, gates=records))


def until_asked_again(seen: Observation, why: StatusMessage | None) -> timedelta | None:
    """Until the first gate of those that are waited for is to be asked again."""
    times = [each.again_at for each in why.records if each.again_at] if isinstance(why, AwaitsGates) else []
    return max(min(times) - seen.now, SHORTEST_PAUSE) if times else None


def _is_asked(gate: GateSpec, step: int, points: Set[GatePoint]) -> bool:
    return gate.at in points and (gate.at is not GatePoint.STEP or not gate.steps or step in gate.steps)


def _record(seen: Observation, rollout: Rollout, gate: GateSpec, step: int) -> GateRecord:
    """What is recorded by now; where it is time to ask again, as being asked."""
    record = next((each for each in rollout.gates if (each.name, each.step) == (gate.name, step)), None)
    if record is None:
        return GateRecord(gate.name, gate.at.value, step, since=seen.now, definition=gate.definition)
    if record.state not in WAITING:
        return record
    is_edited = record.definition != gate.definition
    if is_edited or (record.again_at is not None and _is_due(record.again_at, seen.now)):
        return replace(record, asked=record.asked + 1, again_at=None, definition=gate.definition)
    return record


def _is_due(again_at: datetime, now: datetime) -> bool:
    """By a clock that was set back since, it is."""
    return again_at <= now or again_at > now + LONGEST_PAUSE


def _answered(seen: Observation, record: GateRecord) -> GateRecord:
    answer = seen.gate_answers.get(record.question)
    gate = next((each for each in seen.gates if each.name == record.name), None)
    if answer is None or gate is None or not record.is_being_asked:
        return record
    state = _state(gate, answer)
    again_at = seen.now + _pause(record, answer) if state in WAITING else None
    return replace(record, state=state, message=answer.message, again_at=again_at)


def _state(gate: GateSpec, answer: GateAnswer) -> GateState:
    if answer.allowed:
        return GateState.ALLOWED
    if answer.allowed is None:
        policies = {Policy.IGNORE: GateState.IGNORED, Policy.ROLLBACK: GateState.GIVEN_UP}
        return policies.get(gate.on_failure, GateState.FAILED)
    ends = answer.abort or gate.on_refusal is Policy.ROLLBACK
    return GateState.ENDED if ends else GateState.REFUSED


def _pause(record: GateRecord, answer: GateAnswer) -> timedelta:
    if answer.retry_after is not None:
        return min(max(answer.retry_after, SHORTEST_PAUSE), LONGEST_PAUSE)
    if answer.allowed is None:
        return doubled(ASKED_AGAIN, record.asked - 1, LONGEST_AFTER_FAILURE)
    return ASKED_AGAIN


def _sentence(rollout: Rollout, record: GateRecord) -> str:
    what = f"the gate {record.name}, asked before step {record.step} of {rollout.candidate},"
    match record.state:
        case GateState.PENDING:
            return f"{what} hasn't answered yet"
        case GateState.FAILED:
            return f"{what} gives no answer, and is asked again: {record.message}"
        case _:
            return f"{what} holds it, and is asked again: {record.message}"
