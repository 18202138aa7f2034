"""What spec.gates do to a rollout: whom it asks when, what each answer brings about, and what a restart may forget."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.decide.builder import CANDIDATE, MINUTE, NOW, TOO_LITTLE, WORSE, a_blue_green, a_canary, rollout_of
from tidegate.decide.rollout import decide
from tidegate.model.actions import RecordStatus, ShiftTraffic
from tidegate.model.agreement import AgreementCheck, RequestSamples
from tidegate.model.decision import Decision
from tidegate.model.gate import GateAnswer, GateRecord, parse_gates
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.status import Since, Status

YES, NO = GateAnswer(True, "all clear"), GateAnswer(False, "a freeze is on")
SILENT = GateAnswer(None, "it gave no whole answer within 10 s")


def gate(at: str, name: str = "ci", **fields: Any) -> dict[str, Any]:
    return {"name": name, "at": at, "url": "https://ci.example.com/ok", **fields}


def with_gates(seen: Observation, *gates: Mapping[str, Any]) -> Observation:
    return replace(seen, spec=replace(seen.spec, gates=parse_gates(gates)))


def with_agreement(seen: Observation, *, samples: bool) -> Observation:
    """Answers are to be compared; `samples`: whether stable's pods keep requests."""
    spec = replace(seen.spec, analysis=replace(seen.spec.analysis, agreement=AgreementCheck()))
    stable = seen.state(seen.recorded.stable)
    assert stable.snapshot is not None
    server = replace(stable.snapshot.server, request_samples=RequestSamples("samples") if samples else None)
    stable = replace(stable, snapshot=replace(stable.snapshot, server=server))
    return replace(seen, spec=spec, revisions={**seen.revisions, stable.name: stable})


def decided(seen: Observation) -> tuple[Decision, str]:
    """The decision, and why the rollout waits; '' where it doesn't."""
    decision = decide(seen)
    condition = decision.status.condition("Reconciling")
    assert condition is not None
    return decision, condition.reason if not weights(decision) else ""


def weights(decision: Decision) -> list[int]:
    return [action.split.weight(CANDIDATE) for action in decision.actions if isinstance(action, ShiftTraffic)]


def next_look(
    seen: Observation, decision: Decision, after: timedelta = timedelta(), **answers: GateAnswer
) -> Observation:
    """The same world a little later, with answers by the gate's name to whatever is being asked."""
    rollout = decision.status.rollout
    assert rollout is not None
    said = {record.question: answers[record.name] for record in rollout.gates if record.name in answers}
    return replace(seen, now=seen.now + after, recorded=decision.status, gate_answers=said)


def states(decision: Decision) -> dict[str, str]:
    rollout = decision.status.rollout
    return {record.name: record.state for record in rollout.gates} if rollout else {}


@pytest.mark.parametrize(
    ("seen", "at", "asked"),
    [
        pytest.param(a_canary(0), "Start", True, id="before the first traffic of a canary"),
        pytest.param(a_canary(0), "Step", True, id="before the first step"),
        pytest.param(a_canary(0), "Promotion", False, id="the promotion isn't the first step"),
        pytest.param(a_canary(1), "Start", False, id="what has started"),
        pytest.param(a_canary(1), "Step", True, id="before the second step"),
        pytest.param(a_canary(2), "Step", False, id="the promotion isn't a step"),
        pytest.param(a_canary(2), "Promotion", True, id="before all the traffic"),
        pytest.param(a_blue_green(1), "Start", True, id="before the switch, which is the start"),
        pytest.param(a_blue_green(1), "Promotion", True, id="and the promotion"),
        pytest.param(a_blue_green(1), "Step", False, id="a switch has no steps"),
        pytest.param(a_canary(1, verdict=TOO_LITTLE), "Step", False, id="not while the evidence doesn't suffice"),
        pytest.param(a_canary(1, spec_paused=True), "Step", False, id="not in a pause"),
        pytest.param(a_canary(1), "End", False, id="the end holds nothing"),
    ],
)
def test_a_gate_is_asked(seen: Observation, at: str, asked: bool) -> None:
    decision, _ = decided(with_gates(seen, gate(at)))

    assert states(decision) == ({"ci": "Pending"} if asked else {})
    assert not (asked and weights(decision))


def test_a_gate_at_named_steps_is_asked_before_no_other() -> None:
    seen = with_gates(a_canary(1), gate("Step", steps=[1]), gate("Step", "lab", steps=[2]))

    assert states(decided(seen)[0]) == {"lab": "Pending"}


def test_what_is_asked_is_recorded_and_said_and_no_deadline_counts_the_wait() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    decision, reason = decided(seen)
    rollout = decision.status.rollout

    assert rollout is not None
    assert rollout.gates == (GateRecord("ci", "Step", 2, since=NOW, definition=seen.spec.gates[0].definition),)
    assert (reason, rollout.since.gates) == (Reason.GATE_ASKED, NOW)
    assert decision.status.message == f"the gate ci, asked before step 2 of {CANDIDATE}, hasn't answered yet"
    assert RecordStatus in map(type, decision.actions)


def test_a_yes_lets_the_step_pass_and_is_remembered() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    asked, _ = decided(seen)
    decision, _ = decided(next_look(seen, asked, ci=YES))

    assert weights(decision) == [50]
    assert states(decision) == {"ci": "Allowed"}


def test_an_answer_that_is_recorded_is_not_asked_for_again() -> None:
    record = GateRecord("ci", "Step", 2, "Allowed", NOW, message="all clear")
    seen = with_gates(a_canary(1), gate("Step"))
    seen = replace(seen, recorded=replace(seen.recorded, rollout=replace(rollout_of(seen), gates=(record,))))

    assert weights(decided(seen)[0]) == [50]


def test_all_gates_of_a_step_are_asked_at_once_and_each_has_to_say_yes() -> None:
    seen = with_gates(a_canary(1), gate("Step"), gate("Step", "lab"))
    asked, _ = decided(seen)
    half, reason = decided(next_look(seen, asked, ci=YES))

    assert states(asked) == {"ci": "Pending", "lab": "Pending"}
    assert (states(half), reason) == ({"ci": "Allowed", "lab": "Pending"}, Reason.GATE_ASKED)
    assert weights(decided(next_look(seen, half, lab=YES))[0]) == [50]


def test_a_no_holds_says_why_and_is_asked_again_after_as_long_as_it_says() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    asked, _ = decided(seen)
    held, reason = decided(next_look(seen, asked, ci=replace(NO, retry_after=MINUTE)))
    still, _ = decided(next_look(seen, held, MINUTE / 2))
    again, told = decided(next_look(seen, held, MINUTE))

    assert (reason, held.status.phase) == (Reason.GATE_REFUSED, "Held")
    assert held.status.message == (
        f"the gate ci, asked before step 2 of {CANDIDATE}, holds it, and is asked again: a freeze is on"
    )
    assert [event.reason for event in held.events] == [Reason.GATE_REFUSED]
    assert held.status.rollout is not None
    assert still.status.rollout is not None
    assert again.status.rollout is not None
    assert held.status.rollout.gates[0].again_at == NOW + MINUTE
    assert still.status.rollout.gates == held.status.rollout.gates
    assert again.status.rollout.gates[0].question == "ci/2/2"
    assert (told, again.events) == (Reason.GATE_REFUSED, ())


def test_a_gate_is_asked_again_in_time_however_seldom_the_evidence_is_looked_at() -> None:
    seen = with_gates(a_canary(1, spec_analysis={"interval": "5m"}), gate("Step"))
    asked, _ = decided(seen)
    held, _ = decided(next_look(seen, asked, ci=NO))

    assert held.requeue_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("fields", "answer", "reason", "sentence"),
    [
        pytest.param({}, replace(NO, abort=True), "GateRefused", "ends it: a freeze is on", id="a no that aborts"),
        pytest.param({"onRefusal": "Rollback"}, NO, "GateRefused", "ends it: a freeze is on", id="a no, by policy"),
        pytest.param(
            {"onFailure": "Rollback"},
            SILENT,
            "GateFailed",
            "gave no answer: it gave no whole answer within 10 s",
            id="no answer, by policy",
        ),
    ],
)
def test_a_rollout_goes_back_at(fields: dict[str, Any], answer: GateAnswer, reason: str, sentence: str) -> None:
    seen = with_gates(a_canary(1), gate("Step", **fields))
    asked, _ = decided(seen)
    decision = decide(next_look(seen, asked, ci=answer))

    assert weights(decision) == [0]
    assert (decision.status.phase, decision.status.history[0].reason) == ("RolledBack", reason)
    assert decision.status.message == f"{CANDIDATE} was rolled back: the gate ci {sentence}"


def test_no_answer_holds_and_is_asked_for_ever_more_seldom() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    decision, pauses = decided(seen)[0], []
    for _ in range(5):
        decision, reason = decided(next_look(seen, decision, ci=SILENT))
        assert decision.status.rollout is not None
        assert reason == Reason.GATE_FAILED
        again_at = decision.status.rollout.gates[0].again_at
        assert again_at is not None
        pauses.append((again_at - seen.now).total_seconds())
        seen = replace(seen, now=again_at)
        decision, _ = decided(next_look(seen, decision))

    assert pauses == [30, 60, 120, 240, 300]


def test_no_answer_is_no_obstacle_where_the_user_wants_it_so() -> None:
    seen = with_gates(a_canary(1), gate("Step", onFailure="Ignore"))
    asked, _ = decided(seen)

    assert weights(decided(next_look(seen, asked, ci=SILENT))[0]) == [50]


@pytest.mark.parametrize("answer", [None, NO, SILENT], ids=["asked", "refused", "failed"])
def test_no_gate_stands_before_a_rollback(answer: GateAnswer | None) -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    decision, _ = decided(seen)
    if answer is not None:
        decision, _ = decided(next_look(seen, decision, ci=answer))

    assert weights(decide(replace(next_look(seen, decision), verdict=WORSE))) == [0]


def test_an_edited_gate_is_asked_at_once() -> None:
    seen = with_gates(a_canary(1), gate("Step", url="https://typo.example.com/"))
    asked, _ = decided(seen)
    failed, _ = decided(next_look(seen, asked, ci=SILENT))
    edited, _ = decided(next_look(with_gates(seen, gate("Step")), failed))

    assert edited.status.rollout is not None
    assert edited.status.rollout.gates[0].is_being_asked


def test_a_gate_that_is_taken_out_of_the_spec_holds_nothing() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    asked, _ = decided(seen)

    assert weights(decided(next_look(with_gates(seen), asked))[0]) == [50]


def test_the_wait_for_a_gate_counts_against_no_deadline() -> None:
    seen = a_canary(1, spec_analysis={"deadline": "1m", "onInconclusive": "Rollback"}, verdict=TOO_LITTLE)
    asked = replace(rollout_of(seen), since=Since(gates=NOW - 3 * MINUTE), shifts=rollout_of(seen).shifts)
    long_ago = tuple(replace(shift, at=NOW - 3 * MINUTE) for shift in asked.shifts)
    waited = replace(seen, recorded=replace(seen.recorded, rollout=replace(asked, shifts=long_ago)))

    assert weights(decide(waited)) == []


def test_what_is_recorded_survives_a_round_trip_through_the_api() -> None:
    seen = with_gates(a_canary(1), gate("Step"))
    asked, _ = decided(seen)
    held, _ = decided(next_look(seen, asked, ci=NO))

    assert Status.parse(held.status.to_dict()).rollout == held.status.rollout


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        pytest.param(
            with_agreement(a_canary(0), samples=True), {"agreement": "Pending"}, id="before the first traffic"
        ),
        pytest.param(with_agreement(a_canary(0), samples=False), {}, id="not where stable keeps no samples"),
        pytest.param(with_agreement(a_canary(1), samples=True), {}, id="not once it has traffic"),
    ],
)
def test_whether_answers_agree_is_asked(seen: Observation, asked: dict[str, str]) -> None:
    decision, _ = decided(seen)

    assert (states(decision), bool(weights(decision))) == (asked, not asked)


@pytest.mark.parametrize(
    ("answer", "weight", "ends"),
    [
        pytest.param(YES, [10], False, id="they do"),
        pytest.param(NO, [0], True, id="they don't: it goes back without traffic"),
        pytest.param(SILENT, [], False, id="nobody knows: it waits"),
    ],
)
def test_what_follows_from_whether_answers_agree(answer: GateAnswer, weight: list[int], ends: bool) -> None:
    seen = with_agreement(a_canary(0), samples=True)
    decision = decide(next_look(seen, decide(seen), agreement=answer))

    assert (weights(decision), decision.status.rollout is None) == (weight, ends)
