"""What holds a rollout, gate by gate; no cluster, no clock, no traffic is simulated."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.decide.builder import (
    CANDIDATE,
    MINUTE,
    NOW,
    STABLE,
    TOO_LITTLE,
    UNSEEN,
    a_blue_green,
    a_canary,
    a_share,
    rollout_of,
)
from tidegate.decide.gates import GATES, Gate, Hold, Moment, Proposal, first_hold
from tidegate.model.evidence import Answer, Verdict
from tidegate.model.observation import Observation
from tidegate.model.reasons import Phase, Reason, StatusMessage
from tidegate.model.revision import PodFailure
from tidegate.model.status import Since
from tidegate.model.traffic import Share

FIRST, MORE, LATE = Moment.FIRST_TRAFFIC, Moment.MORE_TRAFFIC, Moment.PROMOTION_WITHOUT_VERDICT
STICKY = {"sticky": {"header": "x-user"}}
KEEP, LAST = Moment.KEEP_NO_LONGER, Moment.COMPLETE
AT_THE_END = frozenset({KEEP, LAST, Moment.COMPLETE_BY_HAND, Moment.COMPLETE_RETURN})


NOTHING_ON_STABLE = Share(NOW - MINUTE / 2, NOW, {CANDIDATE: 1000}, {})


def held(seen: Observation, moment: Moment, *, pods: int = 2, weight: int = 50, lasting: timedelta = MINUTE) -> Any:
    """The reason, phase and whether pods are to start; None where all gates are open."""
    found = first_hold(seen, Proposal(moment, rollout_of(seen), weight, pods, lasting))
    return (found.why.reason, found.phase, found.grow) if found else None


@pytest.mark.parametrize("moment", Moment)
def test_all_gates_are_open_when_all_is_well(moment: Moment) -> None:
    seen = a_blue_green(2, share=NOTHING_ON_STABLE) if moment in AT_THE_END else a_canary(1)

    assert held(seen, moment) is None


@pytest.mark.parametrize(
    ("seen", "moment", "expected"),
    [
        pytest.param(
            a_canary(0, ready=1), FIRST, (Reason.PODS_STARTING, Phase.STARTING, True), id="pods that start get nothing"
        ),
        pytest.param(
            a_canary(0, step_started_at=NOW),
            FIRST,
            (Reason.VERIFYING, None, False),
            id="a switch waits for steady pods",
        ),
        pytest.param(
            a_canary(0, spec_paused=True), FIRST, (Reason.PAUSED, Phase.PAUSED, False), id="a pause before any traffic"
        ),
        pytest.param(
            a_canary(0, verdict=UNSEEN),
            FIRST,
            (Reason.METRICS_UNAVAILABLE, Phase.HELD, False),
            id="no first traffic while nothing can be seen",
        ),
        pytest.param(a_canary(0, verdict=TOO_LITTLE), FIRST, None, id="no evidence is needed for the first traffic"),
        pytest.param(
            a_canary(verdict=TOO_LITTLE),
            MORE,
            (Reason.MORE_REQUESTS_NEEDED, None, False),
            id="no more without evidence",
        ),
        pytest.param(
            a_canary(verdict=UNSEEN), MORE, (Reason.METRICS_UNAVAILABLE, None, False), id="no more without metrics"
        ),
        pytest.param(a_canary(spec_paused=True), MORE, (Reason.PAUSED, Phase.PAUSED, False), id="a pause in a step"),
        pytest.param(
            a_canary(step_started_at=NOW), MORE, (Reason.MIN_DURATION, None, False), id="a step lasts its minDuration"
        ),
        pytest.param(a_canary(share=None), MORE, (Reason.SHARE_NOT_SEEN, None, False), id="the share has to be seen"),
        pytest.param(
            a_canary(share=a_share(10, since=NOW - 2 * MINUTE)),
            MORE,
            (Reason.SHARE_NOT_SEEN, None, False),
            id="a share from before the shift is none",
        ),
        pytest.param(
            a_canary(share=a_share(30)),
            MORE,
            (Reason.SHARE_UNLIKE_WEIGHT, None, False),
            id="30% seen where 10% is wanted",
        ),
        pytest.param(a_canary(share=a_share(30, requests=40)), MORE, None, id="forty requests tell no share"),
        pytest.param(
            a_canary(spec_traffic=STICKY, share=a_share(30)), MORE, None, id="30% of the requests from 10% of the users"
        ),
        pytest.param(
            a_canary(spec_traffic=STICKY, route=replace(a_canary().route, awaited=frozenset({"router"}))),
            MORE,
            (Reason.SHARE_NOT_SEEN, None, False),
            id="users, whom a router still draws by the weight before",
        ),
        pytest.param(a_canary(ready=1), MORE, (Reason.SCALING_UP, None, True), id="pods before more traffic"),
        pytest.param(
            a_canary(ready=1, verdict=TOO_LITTLE),
            LATE,
            (Reason.SCALING_UP, None, True),
            id="a promotion without a verdict waits for pods alone",
        ),
        pytest.param(
            a_blue_green(2, step_started_at=NOW, share=NOTHING_ON_STABLE),
            LAST,
            (Reason.KEEPING_OLD, None, False),
            id="the old is kept for keepOld",
        ),
        pytest.param(
            a_blue_green(2, since=Since(steady=NOW - MINUTE / 2), share=NOTHING_ON_STABLE),
            LAST,
            (Reason.BAKING, None, False),
            id="the old is kept while the new one bakes",
        ),
        pytest.param(
            a_blue_green(2, ready=1, share=NOTHING_ON_STABLE),
            LAST,
            (Reason.PODS_NOT_READY, None, True),
            id="one pod of four is no full size",
        ),
        pytest.param(
            a_blue_green(2, verdict=UNSEEN, share=NOTHING_ON_STABLE),
            LAST,
            (Reason.METRICS_UNAVAILABLE, None, False),
            id="the old doesn't go while nothing can be seen",
        ),
        pytest.param(
            a_blue_green(2, spec_paused=True, share=NOTHING_ON_STABLE),
            LAST,
            (Reason.PAUSED, Phase.PAUSED, False),
            id="a pause keeps the old",
        ),
        pytest.param(
            a_blue_green(2, verdict=TOO_LITTLE),
            KEEP,
            (Reason.MORE_REQUESTS_NEEDED, None, False),
            id="the old is kept until the evidence suffices",
        ),
        pytest.param(
            a_blue_green(2, share=a_share(99)),
            LAST,
            (Reason.WAITING_FOR_ZERO_TRAFFIC, None, False),
            id="the old goes when it was seen to get nothing",
        ),
    ],
)
def test_what_holds(seen: Observation, moment: Moment, expected: Any) -> None:
    assert held(seen, moment) == expected


def test_the_first_gate_that_holds_is_told() -> None:
    seen = a_canary(verdict=TOO_LITTLE, share=None, ready=0)

    assert held(seen, MORE) == (Reason.MORE_REQUESTS_NEEDED, None, False)


def test_a_pause_is_told_before_what_it_would_wait_for_besides() -> None:
    verifying, judging = a_blue_green(1, spec_paused=True), a_canary(spec_paused=True, verdict=TOO_LITTLE)

    early = first_hold(verifying, Proposal(FIRST, rollout_of(verifying), 100, 4, timedelta(hours=1)))
    judged = first_hold(judging, Proposal(MORE, rollout_of(judging), 50, 2))

    before = StatusMessage(Reason.PAUSED, "spec.paused is true; the candidate has no traffic yet")
    assert early == Hold(before, Phase.PAUSED)
    assert judged == Hold(StatusMessage(Reason.PAUSED, f"spec.paused is true; {TOO_LITTLE.message}"), Phase.PAUSED)


def test_the_sentence_has_the_numbers_and_the_pods_own_words() -> None:
    failure = PodFailure("Unschedulable", "no node takes its pod: 0/3 nodes have a GPU")
    found = first_hold(a_canary(0, ready=0, failure=failure), Proposal(FIRST, rollout_of(a_canary(0)), 10, 1))

    message = f"{CANDIDATE} has 0 of 1 pods ready and no traffic: no node takes its pod: 0/3 nodes have a GPU"
    assert found == Hold(StatusMessage(Reason.PODS_STARTING, message), Phase.STARTING, grow=True)


def test_a_worse_candidate_gets_no_more_whatever_else_is_well() -> None:
    seen = a_canary(verdict=Verdict(Answer.WORSE, Reason.LATENCY_WORSE, "slow"))

    assert held(seen, MORE) == (Reason.LATENCY_WORSE, None, False)


def test_what_still_gets_requests_is_named() -> None:
    found = first_hold(a_blue_green(2, share=a_share(99)), Proposal(LAST, rollout_of(a_blue_green(2)), 100, 4))

    assert found is not None
    assert found.why.message.endswith(f"waiting to see the last requests leave {STABLE}")


def test_every_gate_has_a_name_of_its_own_and_is_asked_about_something() -> None:
    assert len({gate.name for gate in GATES}) == len(GATES)
    assert all(gate.moments for gate in GATES)


def test_a_new_gate_is_one_function_and_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lunch = Hold(StatusMessage("Lunch", "nobody is here until one"))
    noon = Gate("lunch", frozenset({MORE}), lambda seen, proposal: lunch if seen.now.hour == 12 else None)
    monkeypatch.setattr("tidegate.decide.gates.GATES", (*GATES, noon))

    assert held(a_canary(), MORE) == ("Lunch", None, False)
