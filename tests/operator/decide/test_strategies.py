"""What each strategy does next, from one Observation to one Decision."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.decide.builder import (
    ACCEPTABLE,
    CANDIDATE,
    MINUTE,
    NOW,
    STABLE,
    TOO_LITTLE,
    UNSEEN,
    WORSE,
    a_blue_green,
    a_canary,
    rollout_of,
)
from tidegate.decide.rollout import decide
from tidegate.model.actions import DeleteWorkload, EnsureRevision, RecordStatus, ScaleRevision, ShiftTraffic
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.reasons import Outcome, Phase, Reason
from tidegate.model.revision import PodFailure
from tidegate.model.status import Rollout, Shift, Status
from tidegate.model.traffic import Share, TrafficSplit

HOUR_AGO = (Shift(NOW - 61 * MINUTE, 10),)
SWITCHED_AN_HOUR_AGO = (Shift(NOW - 61 * MINUTE, 100),)
ALL_ON_CANDIDATE = Share(NOW - MINUTE / 2, NOW, {CANDIDATE: 1000}, {})


def at(percent: int) -> TrafficSplit:
    return TrafficSplit.between(STABLE, CANDIDATE, percent)


def summary(decision: Decision) -> tuple[Any, ...]:
    """Phase, split that is written, how the rollout ended, and the reason that people read."""
    split = next((action.split for action in decision.actions if isinstance(action, ShiftTraffic)), None)
    status = decision.status
    outcome = None if status.rollout or not status.history else status.history[0].outcome
    stalled, reconciling = status.condition("Stalled"), status.condition("Reconciling")
    assert stalled is not None
    assert reconciling is not None
    return status.phase, split, outcome, stalled.reason if stalled.status == "True" else reconciling.reason


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(
            a_canary(0, verdict=TOO_LITTLE),
            (Phase.CANARY, at(10), None, Reason.CANARY_STEP),
            id="pods are there: first step",
        ),
        pytest.param(
            a_canary(0, ready=0), (Phase.STARTING, None, None, Reason.PODS_STARTING), id="pods start: no traffic"
        ),
        pytest.param(a_canary(1), (Phase.CANARY, at(50), None, Reason.CANARY_STEP), id="acceptable: next step"),
        pytest.param(
            a_canary(1, verdict=TOO_LITTLE),
            (Phase.CANARY, None, None, Reason.MORE_REQUESTS_NEEDED),
            id="not enough evidence: it holds",
        ),
        pytest.param(
            a_canary(1, verdict=WORSE),
            (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK, Reason.ERROR_RATE_WORSE),
            id="worse: back",
        ),
        pytest.param(
            a_canary(1, verdict=WORSE, spec_paused=True, ready=0, share=None),
            (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK, Reason.ERROR_RATE_WORSE),
            id="worse: back, whatever would hold a step",
        ),
        pytest.param(
            a_canary(1, failure=PodFailure("ServerFailed", "boom", crashed=True, looping=True)),
            (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK, Reason.CANDIDATE_CRASHED),
            id="crashed under traffic: back",
        ),
        pytest.param(
            a_canary(1, ready=0),
            (Phase.HELD, None, None, Reason.PODS_NOT_READY),
            id="pods are gone: it holds its weight",
        ),
        pytest.param(
            a_canary(1, split=TrafficSplit.only(STABLE)),
            (Phase.CANARY, at(10), None, Reason.TRAFFIC_RESTORED),
            id="an edited route is set again",
        ),
        pytest.param(
            a_canary(1, split=TrafficSplit.only(STABLE), verdict=UNSEEN),
            (Phase.HELD, None, None, Reason.METRICS_UNAVAILABLE),
            id="but not while nothing can be seen",
        ),
        pytest.param(a_canary(2), (Phase.PROMOTING, at(100), None, Reason.PROMOTING), id="after the last step: all"),
        pytest.param(
            a_canary(3, share=ALL_ON_CANDIDATE),
            (Phase.LIVE, TrafficSplit.only(CANDIDATE), Outcome.PROMOTED, Reason.IDLE),
            id="stable's last requests have left: promoted",
        ),
        pytest.param(
            a_canary(1, verdict=TOO_LITTLE, shifts=HOUR_AGO),
            (Phase.HELD, None, None, Reason.DEADLINE_EXCEEDED),
            id="out of time: it holds and says so",
        ),
        pytest.param(
            a_canary(1, verdict=TOO_LITTLE, shifts=HOUR_AGO, spec_paused=True),
            (Phase.PAUSED, None, None, Reason.PAUSED),
            id="out of time and paused: what somebody asked for is what it says",
        ),
        pytest.param(
            a_canary(1, verdict=TOO_LITTLE, shifts=HOUR_AGO, spec_analysis={"onInconclusive": "Rollback"}),
            (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK, Reason.DEADLINE_EXCEEDED),
            id="out of time and Rollback: back",
        ),
        pytest.param(
            a_canary(1, verdict=TOO_LITTLE, shifts=HOUR_AGO, spec_analysis={"onInconclusive": "Promote"}),
            (Phase.PROMOTING, at(100), None, Reason.PROMOTING),
            id="out of time and Promote: all",
        ),
        pytest.param(
            a_blue_green(0), (Phase.BLUE_GREEN, None, None, Reason.VERIFYING), id="full size: it is verified first"
        ),
        pytest.param(
            a_blue_green(1, step_started_at=NOW),
            (Phase.BLUE_GREEN, None, None, Reason.VERIFYING),
            id="it hasn't been steady for long enough",
        ),
        pytest.param(
            a_blue_green(1, ready=3),
            (Phase.STARTING, None, None, Reason.PODS_NOT_READY),
            id="a pod fell: from the start",
        ),
        pytest.param(a_blue_green(1), (Phase.BLUE_GREEN, at(100), None, Reason.SWITCHED), id="steady: the switch"),
        pytest.param(
            a_blue_green(2, share=ALL_ON_CANDIDATE),
            (Phase.BLUE_GREEN, None, None, Reason.KEEPING_OLD),
            id="the old is kept",
        ),
        pytest.param(
            a_blue_green(2, verdict=WORSE),
            (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK, Reason.ERROR_RATE_WORSE),
            id="worse after the switch: back",
        ),
        pytest.param(
            a_blue_green(2, share=ALL_ON_CANDIDATE, step_started_at=NOW - 6 * MINUTE),
            (Phase.LIVE, TrafficSplit.only(CANDIDATE), Outcome.PROMOTED, Reason.IDLE),
            id="kept for long enough, acceptable and drained: promoted",
        ),
        pytest.param(
            a_blue_green(
                2,
                share=ALL_ON_CANDIDATE,
                verdict=TOO_LITTLE,
                shifts=SWITCHED_AN_HOUR_AGO,
                step_started_at=NOW - 61 * MINUTE,
                spec_analysis={"onInconclusive": "Promote"},
            ),
            (Phase.LIVE, TrafficSplit.only(CANDIDATE), Outcome.PROMOTED, Reason.IDLE),
            id="out of time and Promote: promoted without a verdict",
        ),
        pytest.param(
            a_canary(None), (Phase.STARTING, at(0), None, Reason.ROLLOUT_STARTED), id="a new revision: a rollout begins"
        ),
        pytest.param(
            a_canary(1, desired=STABLE),
            (Phase.LIVE, TrafficSplit.only(STABLE), Outcome.ABORTED, Reason.IDLE),
            id="the spec asks for stable again: aborted",
        ),
    ],
)
def test_what_follows(seen: Observation, expected: tuple[Any, ...]) -> None:
    assert summary(decide(seen)) == expected


def test_a_way_back_whose_write_was_lost_is_written_again_although_nothing_can_be_seen() -> None:
    seen = a_blue_green(2, verdict=UNSEEN, split=at(0))
    rollout = replace(rollout_of(seen), fast_track=True)
    decision = decide(replace(seen, recorded=replace(seen.recorded, rollout=rollout)))

    assert summary(decision)[1] == at(100)


def test_a_step_up_waits_for_the_pods_that_it_needs_and_starts_them() -> None:
    seen = a_canary(1)
    one_pod = replace(seen.revisions[CANDIDATE], replicas=1, ready=1)
    decision = decide(replace(seen, revisions={**seen.revisions, CANDIDATE: one_pod}))

    assert summary(decision) == (Phase.CANARY, None, None, Reason.SCALING_UP)
    assert ScaleRevision(CANDIDATE, 4) in decision.actions


def kinds(decision: Decision) -> list[type]:
    return [type(action) for action in decision.actions]


def test_the_status_is_written_before_traffic_grows() -> None:
    assert kinds(decide(a_canary(1))) == [RecordStatus, ShiftTraffic]


def test_the_route_is_written_before_the_status_when_traffic_returns() -> None:
    assert kinds(decide(a_canary(1, verdict=WORSE))) == [ShiftTraffic, RecordStatus]


def test_pods_come_before_a_new_candidate_is_routed() -> None:
    seen = a_canary(None)
    stable_alone = {STABLE: seen.revisions[STABLE]}
    decision = decide(a_canary(None, revisions=stable_alone))

    assert kinds(decision) == [EnsureRevision, ShiftTraffic, RecordStatus]
    assert decision.actions[0] == EnsureRevision(CANDIDATE, 1)


def test_nothing_is_deleted_while_the_route_names_it_or_requests_are_seen() -> None:
    promoted = a_canary(3, share=ALL_ON_CANDIDATE)

    assert DeleteWorkload not in kinds(decide(promoted))


def test_a_decision_that_was_carried_out_asks_for_nothing_more() -> None:
    seen = a_canary(1, verdict=TOO_LITTLE)
    recorded = decide(seen).status

    assert decide(a_canary(1, verdict=TOO_LITTLE, recorded=recorded)).actions == ()


def test_the_same_evidence_is_acceptable_at_every_step_of_its_own() -> None:
    assert [decide(a_canary(step, verdict=ACCEPTABLE)).status.phase for step in (1, 2)] == [
        Phase.CANARY,
        Phase.PROMOTING,
    ]


def test_a_rollback_comes_before_pods_that_are_to_be_scaled() -> None:
    seen = a_canary(1, verdict=WORSE)
    too_few = replace(seen.revisions[STABLE], replicas=3)
    decision = decide(replace(seen, revisions={**seen.revisions, STABLE: too_few}))

    assert kinds(decision) == [ShiftTraffic, RecordStatus, ScaleRevision]


def test_traffic_stays_where_it_is_answered_until_stable_has_a_ready_pod() -> None:
    decision = decide(a_canary(1, verdict=WORSE, stable_ready=0))

    assert summary(decision) == (Phase.HELD, None, None, Reason.NO_READY_POD)
    assert [event.reason for event in decision.events] == [Reason.NO_READY_POD]


def test_where_nobody_has_a_ready_pod_traffic_goes_back_all_the_same() -> None:
    decision = decide(a_canary(1, verdict=WORSE, stable_ready=0, ready=0))

    assert summary(decision)[:3] == (Phase.ROLLED_BACK, TrafficSplit.only(STABLE), Outcome.ROLLED_BACK)


def test_nothing_that_served_is_deleted_while_stable_has_no_ready_pod() -> None:
    seen = a_canary(None, desired=STABLE, share=Share(NOW - MINUTE / 2, NOW, {STABLE: 1000}, {}))
    without_pods = {**seen.revisions, STABLE: replace(seen.revisions[STABLE], ready=0)}

    assert DeleteWorkload(CANDIDATE) in decide(seen).actions
    assert DeleteWorkload(CANDIDATE) not in decide(replace(seen, revisions=without_pods)).actions


def test_without_a_status_the_revision_with_the_most_traffic_is_stable() -> None:
    decision = decide(a_canary(1, recorded=Status()))

    assert decision.status.stable == STABLE
    assert summary(decision)[:2] == (Phase.LIVE, TrafficSplit.only(STABLE))


def test_pods_that_serve_nobody_go_although_their_successor_has_none_yet() -> None:
    seen = a_canary(None, desired=STABLE, share=Share(NOW - MINUTE / 2, NOW, {STABLE: 1000}, {}))
    nobody = {name: replace(state, ready=0) for name, state in seen.revisions.items()}

    assert DeleteWorkload(CANDIDATE) in decide(replace(seen, revisions=nobody)).actions


@pytest.mark.parametrize("weight", [50, 75, 100])
def test_a_candidate_with_most_of_the_traffic_is_not_stable_because_the_status_is_lost(weight: int) -> None:
    lost = a_canary(1, recorded=Status(), split=TrafficSplit.between(STABLE, CANDIDATE, weight))
    decision = decide(lost)

    assert decision.status.stable == STABLE
    assert decision.actions[0] == ShiftTraffic(TrafficSplit.only(STABLE))


def test_a_stable_revision_that_the_spec_asks_for_is_live_again_when_the_status_is_lost() -> None:
    split = TrafficSplit.between(STABLE, CANDIDATE, 75)
    decision = decide(a_canary(1, recorded=Status(), desired=STABLE, split=split))

    assert decision.status.stable == STABLE
    assert decision.actions[0] == ShiftTraffic(TrafficSplit.only(STABLE))


def test_an_adopted_revision_without_a_workload_gets_one_and_traffic_stays_until_it_is_ready() -> None:
    lost = a_canary(1, recorded=Status(), ready=1)
    gone = replace(lost.revisions[STABLE], replicas=None, ready=0)
    lost = replace(lost, revisions={**lost.revisions, STABLE: gone})
    adopted = decide(lost)

    assert adopted.status.stable == STABLE
    assert [type(action) for action in adopted.actions] == [EnsureRevision, RecordStatus]


def test_what_is_new_is_recorded_before_its_pods() -> None:
    new = decide(a_canary(None, recorded=Status(), desired=STABLE, split=None, revisions={}))

    assert [type(action) for action in new.actions][:2] == [RecordStatus, EnsureRevision]


def test_the_first_route_is_recorded_in_one_write_when_the_routers_have_it() -> None:
    began = Status(rollout=Rollout(CANDIDATE, NOW - MINUTE, 0, NOW - MINUTE))
    seen = a_canary(None, recorded=began, split=None)
    routed = decide(seen)

    assert ShiftTraffic(TrafficSplit.only(CANDIDATE)) in routed.actions
    assert not any(isinstance(action, RecordStatus) for action in routed.actions)
    assert [event.reason for event in routed.events] == [Reason.LIVE]
    assert routed.requeue_after == timedelta(seconds=1)

    recorded = decide(replace(seen, route=replace(seen.route, split=TrafficSplit.only(CANDIDATE))))

    assert RecordStatus(recorded.status) in recorded.actions
    assert recorded.status.stable == CANDIDATE
    assert recorded.events == ()
