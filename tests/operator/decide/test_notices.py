"""What of a rollout is to be told, once, and until everybody has been."""

from dataclasses import replace

import pytest

from tests.operator.decide.builder import (
    CANDIDATE,
    NOW,
    STABLE,
    TOO_LITTLE,
    WORSE,
    a_blue_green,
    a_canary,
    a_share,
)
from tidegate.decide.rollout import decide
from tidegate.model.gate import GateAnswer, parse_gates
from tidegate.model.notification import Happening, Notice
from tidegate.model.observation import Observation
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
