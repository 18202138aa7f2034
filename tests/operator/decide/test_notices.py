"""What of a rollout is to be told, once, and until everybody has been."""

from dataclasses import replace

import pytest

from tests.operator.decide.builder import (
    CANDIDATE,
    MINUTE,
    NOW,
    STABLE,
    TOO_LITTLE,
    WORSE,
    a_blue_green,
    a_canary,
    a_share,
)
from tidegate.decide import unreadable_spec
from tidegate.decide.rollout import decide
from tidegate.decide.unreadable_spec import held, without_deadlines
from tidegate.model.gate import GateAnswer, parse_gates
from tidegate.model.notification import Happening, Notice
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.revision import PodFailure
from tidegate.model.status import Since, Status
from tidegate.model.traffic import Share

EVERYTHING = frozenset(Happening)
NOTHING_ON_STABLE = Share(NOW, NOW, {CANDIDATE: 1000}, {})


def told(seen: Observation) -> list[tuple[str, str]]:
    return [(notice.happening, notice.reason) for notice in decide(replace(seen, told=EVERYTHING)).status.notices]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(a_canary(None), [("Started", "RolloutStarted")], id="a start"),
        pytest.param(a_canary(0), [("Stepped", "CanaryStep")], id="the first step"),
        pytest.param(a_canary(2), [("Stepped", "Promoting")], id="all the traffic"),
        pytest.param(a_blue_green(1), [("Stepped", "Switched")], id="a switch"),
        pytest.param(a_canary(1, verdict=WORSE), [("RolledBack", "ErrorRateWorse")], id="a rollback"),
        pytest.param(a_canary(1, desired=STABLE), [("Aborted", "SpecReturnedToStable")], id="a spec that goes back"),
        pytest.param(a_canary(1, verdict=TOO_LITTLE), [], id="waiting for evidence is no news"),
        pytest.param(a_canary(1, spec_paused=True), [], id="nor is a pause that somebody asked for"),
    ],
)
def test_is_told(seen: Observation, expected: list[tuple[str, str]]) -> None:
    assert told(seen) == expected


def test_a_promotion_is_told_with_the_sentence_of_the_history() -> None:
    seen = a_canary(3, share=NOTHING_ON_STABLE, told=EVERYTHING)
    status = decide(seen).status

    assert status.notices == (
        Notice(
            "Promoted",
            "EvidenceAcceptable",
            f"{CANDIDATE} is stable: as good as stable",
            NOW,
            STABLE,
            CANDIDATE,
            step=3,
            steps=2,
            weight=100,
        ),
    )
    assert status.notices[0].message == status.history[0].message


def test_a_rollback_is_told_with_the_sentence_of_the_status() -> None:
    status = decide(a_canary(1, verdict=WORSE, told=EVERYTHING)).status

    assert status.notices[0].message == status.message


def test_a_rollout_that_stalls_is_told_once() -> None:
    seen = a_canary(1, spec_analysis={"deadline": "30s"}, verdict=TOO_LITTLE, told=EVERYTHING)
    first = decide(seen)
    again = decide(replace(seen, recorded=first.status, delivered=frozenset({first.status.notices[0].id})))

    assert [(notice.happening, notice.reason) for notice in first.status.notices] == [("Held", "DeadlineExceeded")]
    assert again.status.notices == ()


def test_a_gate_that_says_no_is_told() -> None:
    gates = parse_gates([{"name": "ci", "at": "Step", "url": "https://ci.example.com/"}])
    seen = a_canary(1, told=EVERYTHING)
    seen = replace(seen, spec=replace(seen.spec, gates=gates))
    asked = decide(seen).status
    said = {"ci/2/1": GateAnswer(False, "a freeze is on")}

    assert told(replace(seen, recorded=asked, gate_answers=said)) == [("Held", "GateRefused")]


def first_release(failure: PodFailure | None) -> Observation:
    """Nothing is stable yet, and no pod of the first revision is ready."""
    seen = a_canary(0, ready=0, failure=failure, split=None, told=EVERYTHING)
    began = Since(pods=NOW - MINUTE)
    rollout = seen.recorded.rollout and replace(seen.recorded.rollout, since=began)
    return replace(seen, recorded=replace(seen.recorded, stable=None, rollout=rollout))


def test_a_first_revision_that_cannot_start_is_told_once() -> None:
    seen = first_release(PodFailure(Reason.FILES_DIFFER, "it is no model", permanent=True))
    first = decide(seen).status
    again = decide(replace(seen, recorded=first, delivered=frozenset({first.notices[0].id}))).status

    assert first.notices == (
        Notice(
            "Held",
            "FilesDiffer",
            f"{CANDIDATE} isn't ready yet: it is no model",
            NOW,
            candidate=CANDIDATE,
            steps=2,
        ),
    )
    assert first.notices[0].message == first.message
    assert again.notices == ()


def test_a_first_revision_whose_pods_start_is_no_news() -> None:
    assert decide(first_release(None)).status.notices == ()


SENSELESS = "spec: 'soon' is not a duration"


def test_a_spec_that_makes_no_sense_is_told_once_during_a_rollout() -> None:
    seen = held(without_deadlines(a_canary(1, told=EVERYTHING)), SENSELESS)
    first = unreadable_spec.told(seen, decide(seen), seen.recorded, SENSELESS).status
    later = replace(seen, recorded=first, delivered=frozenset({first.notices[0].id}))
    again = unreadable_spec.told(later, decide(later), first, SENSELESS).status

    assert first.notices == (Notice("Held", "InvalidSpec", SENSELESS, NOW, STABLE, CANDIDATE, 1, 2, 10),)
    assert again.notices == ()


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param(Status(), Notice("Held", "InvalidSpec", SENSELESS, NOW), id="of a first revision"),
        pytest.param(
            Status(stable=STABLE), Notice("Held", "InvalidSpec", SENSELESS, NOW, STABLE), id="with stable live"
        ),
    ],
)
def test_a_spec_by_which_nothing_can_be_judged_is_told_once(recorded: Status, expected: Notice) -> None:
    first, event = unreadable_spec.refused(recorded, SENSELESS, NOW, 2, told=EVERYTHING)
    later, repeated = unreadable_spec.refused(first, SENSELESS, NOW + MINUTE, 2, told=EVERYTHING)
    done, _ = unreadable_spec.refused(later, SENSELESS, NOW, 2, told=EVERYTHING, delivered=frozenset({expected.id}))

    assert (first.notices, later.notices, done.notices) == ((expected,), (expected,), ())
    assert event is not None
    assert (event.message, repeated) == (SENSELESS, None)


def test_what_nobody_asked_for_is_not_recorded() -> None:
    assert decide(a_canary(1, verdict=WORSE)).status.notices == ()
    assert decide(a_canary(1, verdict=WORSE, told=frozenset({"Promoted"}))).status.notices == ()


def test_a_notice_is_kept_until_everybody_has_had_it() -> None:
    seen = a_canary(1, verdict=WORSE, told=EVERYTHING)
    status = decide(seen).status
    later = replace(seen, recorded=status, share=a_share(0))
    kept = decide(later).status.notices

    assert kept == status.notices
    assert decide(replace(later, delivered=frozenset({kept[0].id}))).status.notices == ()


def test_what_is_recorded_survives_a_round_trip_through_the_api() -> None:
    status = decide(a_canary(1, verdict=WORSE, told=EVERYTHING)).status

    assert type(status).parse(status.to_dict()).notices == status.notices
