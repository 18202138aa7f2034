"""Every control in every situation of both strategies: what it does to traffic, and what people are told.

The table is golden/controls.txt. Written anew by `python -m tests.operator.decide.test_every_control`, and then read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operator.decide.builder import (
    CANARY,
    CANDIDATE,
    MINUTE,
    NOW,
    STABLE,
    TOO_LITTLE,
    UNSEEN,
    WORSE,
    a_blue_green,
    a_canary,
    a_share,
    an_observation,
    rollout_of,
)
from tidegate.decide.rollout import decide
from tidegate.model.control import Control, Intent, given_controls
from tidegate.model.observation import Observation
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.status import HistoryEntry, Rejected, Status
from tidegate.model.traffic import Share, TrafficSplit

GOLDEN = Path(__file__).parent / "golden" / "controls.txt"
ASKED = {"canary": {"steps": [{"weight": 10, "approval": "Required"}, {"weight": 50}]}}
PAUSED = {"canary": {"steps": [{"weight": 10, "pause": {}}, {"weight": 50}]}}
TIMED = {"canary": {"steps": [{"weight": 10, "minDuration": "5m"}, {"weight": 50}]}}
ASKED_SWITCH = {"blueGreen": {"verifyFor": "30s", "keepOld": "5m", "approval": "Required"}}
DRAINED = Share(NOW - MINUTE / 2, NOW, {CANDIDATE: 1000}, {})
REJECTED = Rejected(CANDIDATE, "plan", Reason.ERROR_RATE_WORSE, f"{CANDIDATE} was rolled back: 20% fail")


def going_back() -> Observation:
    """To a revision that was stable a short while ago."""
    seen = a_canary(0, ready=1)
    left = HistoryEntry(STABLE, Outcome.PROMOTED, Reason.NO_WORSE, "", NOW - MINUTE, NOW - MINUTE, stable=CANDIDATE)
    rollout = replace(rollout_of(seen), fast_track=True)
    return replace(seen, recorded=replace(seen.recorded, rollout=rollout, history=(left,)))


def first_revision() -> Observation:
    """Nothing is live yet."""
    seen = a_canary(None, ready=0, split=None)
    return replace(seen, recorded=Status())


def rolled_back() -> Observation:
    seen = a_canary(None)
    return replace(seen, recorded=replace(seen.recorded, rejected=REJECTED))


SITUATIONS: Mapping[str, Observation] = {
    "the first revision comes up": first_revision(),
    "live, nothing under way": a_canary(None, desired=STABLE),
    "the candidate was rolled back": rolled_back(),
    "going back within rollbackWindow": going_back(),
    "canary: pods start": a_canary(0, ready=0),
    "canary: ready for its first traffic": a_canary(0),
    "canary: paused before traffic": a_canary(0, spec_paused=True),
    "canary: step 1, evidence to come": a_canary(verdict=TOO_LITTLE),
    "canary: step 1, nothing to be seen": a_canary(verdict=UNSEEN, share=None),
    "canary: step 1, condemned": a_canary(verdict=WORSE),
    "canary: step 1, paused": a_canary(spec_paused=True),
    "canary: step 1, pods of step 2 start": a_canary(ready=2),
    "canary: step 1, its pods are gone": a_canary(ready=0),
    "canary: step 1, minDuration": an_observation(step=1, strategy=TIMED),
    "canary: step 1, pause without end": an_observation(step=1, strategy=PAUSED),
    "canary: step 1, waits for approval": an_observation(step=1, strategy=ASKED),
    "canary: step 1, out of time": a_canary(
        verdict=TOO_LITTLE, step_started_at=NOW - 90 * MINUTE, share=a_share(10, since=NOW - MINUTE)
    ),
    "canary: step 1, stable has no pod": a_canary(stable_ready=0, verdict=TOO_LITTLE),
    "canary: all traffic, bakes": a_canary(3, verdict=TOO_LITTLE, share=DRAINED, step_started_at=NOW - MINUTE / 6),
    "blue-green: pods start": a_blue_green(0, ready=0),
    "blue-green: verifying": a_blue_green(1, step_started_at=NOW),
    "blue-green: waits for approval": an_observation(step=1, strategy=ASKED_SWITCH),
    "blue-green: switched, keepOld": a_blue_green(2, share=DRAINED),
    "blue-green: switched, condemned": a_blue_green(2, share=DRAINED, verdict=WORSE),
}


def asked(seen: Observation, control: Control) -> Observation:
    """With that control for what is there: the rollout's candidate at its step, or what the spec asks for."""
    rollout = seen.recorded.rollout
    revision = STABLE if control is Control.RESTART else CANDIDATE
    step = (rollout.step if rollout else 1) if control.concerns_a_step else None
    intent = Intent(control, revision, step, "alice", "why")
    return replace(seen, controls=given_controls({intent.annotation: intent.text}))


def row(situation: str, control: Control) -> str:
    """One line of the table."""
    decision = decide(asked(SITUATIONS[situation], control))
    status = decision.status
    weight = status.candidate_weight
    share = f"all to {status.stable}" if weight is None else f"{weight}% to {CANDIDATE}"
    told = [f"{event.reason}: {event.message}" for event in decision.events]
    taken = "taken away" if decision.handled else "kept"
    said = " | ".join([share, status.phase, f"annotation {taken}", *(told or [status.message])])
    return f"{control.value:<13} {said}".replace(CANDIDATE, "CANDIDATE").replace(STABLE, "STABLE")


def table() -> Iterator[str]:
    """All of it, situation by situation."""
    for situation in SITUATIONS:
        yield f"\n## {situation}\n"
        yield from (row(situation, control) for control in Control)


def test_every_control_in_every_situation_does_and_says_what_the_table_has() -> None:
    assert "\n".join(table()) + "\n" == GOLDEN.read_text()


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("control", Control)
def test_whatever_is_asked_for_no_traffic_goes_where_no_ready_pod_is(control: Control, situation: str) -> None:
    seen = asked(SITUATIONS[situation], control)

    decision = decide(seen)

    before = seen.split or TrafficSplit.only(STABLE)
    weights = {STABLE: 100 - (decision.status.candidate_weight or 0), CANDIDATE: decision.status.candidate_weight or 0}
    gained = [name for name, weight in weights.items() if weight > before.weight(name)]
    assert all(seen.state(name).ready > 0 for name in gained)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("control", Control)
def test_what_is_acted_on_is_recorded_in_the_same_write(control: Control, situation: str) -> None:
    seen = asked(SITUATIONS[situation], control)

    once = decide(seen)
    again = decide(replace(seen, recorded=once.status, route=replace(seen.route, split=split_of(once.status))))

    if once.status.controls:
        assert [given.control for given in once.handled] == [given.control for given in again.handled] == [control]
        assert not {event.reason for event in again.events} & ACTED
    else:
        refused = [event for event in once.events if event.reason == Reason.CONTROL_REFUSED]
        assert len(refused) == len(once.handled) <= 1
        assert len(once.handled) == 1 or once.status.condition("Stalled").reason == Reason.NO_READY_POD  # type: ignore[union-attr]


ACTED = {Reason.APPROVED, Reason.PROMOTED_BY_HAND, Reason.SKIPPED, Reason.RETRIED, Reason.RESTARTING, Reason.ABORTED}


def split_of(status: Status) -> TrafficSplit:
    if status.rollout is None:
        return TrafficSplit.only(status.stable or CANDIDATE)
    return TrafficSplit.between(status.stable or "", status.rollout.candidate, status.rollout.granted)


@pytest.mark.parametrize("control", [each for each in Control if each.concerns_a_step])
def test_a_control_of_another_step_changes_nothing(control: Control) -> None:
    seen = an_observation(step=1, strategy=ASKED)
    intent = Intent(control, CANDIDATE, 2, "alice")

    decision = decide(replace(seen, controls=given_controls({intent.annotation: intent.text})))

    assert decision.status.candidate_weight == 10
    assert decision.events[0].message == f"{control} of {CANDIDATE}/2 by alice is refused: it is at step 1 by now"


def test_an_approval_is_given_once() -> None:
    seen = an_observation(step=1, strategy=ASKED, ready=1)
    first, second = (Intent(Control.APPROVE, CANDIDATE, 1, who) for who in ("alice", "bob"))
    approved = decide(replace(seen, controls=given_controls({first.annotation: first.text})))

    decision = decide(
        replace(seen, recorded=approved.status, controls=given_controls({second.annotation: second.text}))
    )

    assert decision.events[0].message == (
        f"approve of {CANDIDATE}/1 by bob is refused: it was approved before, by alice"
    )


def test_a_newer_spec_is_beyond_the_reach_of_what_was_meant_for_the_one_before() -> None:
    seen = replace(a_canary(), desired="digits-00000003")
    intent = Intent(Control.PROMOTE_FULL, CANDIDATE, None, "alice")

    decision = decide(replace(seen, controls=given_controls({intent.annotation: intent.text})))

    assert "is refused: the spec asks for digits-00000003 by now" in decision.events[0].message


def test_no_deadline_promotes_what_waits_for_approval() -> None:
    late = {"step_started_at": NOW - 90 * MINUTE, "verdict": TOO_LITTLE, "spec_analysis": {"onInconclusive": "Promote"}}

    held = decide(an_observation(step=1, strategy=ASKED, share=a_share(10), **late))
    promoted = decide(an_observation(step=1, strategy=CANARY, share=a_share(10), **late))

    assert (held.status.candidate_weight, promoted.status.candidate_weight) == (10, 100)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(table()) + "\n")
