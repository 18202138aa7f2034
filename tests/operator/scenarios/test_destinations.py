"""Traffic goes where it is answered and judged: at the last shift, after it, and on the way back."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.world import Behaviour
from tidegate.kube.api import DEPLOYMENTS

CANARY = {"canary": {"steps": [{"weight": 50}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "5s", "keepOld": "2h"}}
MODELS = {f"http://models/{number}": Behaviour() for number in (1, 2, 3)}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Disturbed:
    """v1 live for a while on four pods."""
    world = Disturbed(spec_schema, dict(MODELS))
    release(world, 1)
    world.run(60)
    return world


def release(world: Disturbed, number: int, **fields: Any) -> None:
    world.kubectl_apply(model={"uri": f"http://models/{number}"}, **{"replicas": 4, "strategy": CANARY, **fields})


def goes_bad(world: Disturbed, number: int, error_rate: float = 0.5) -> None:
    world.models = {**world.models, f"http://models/{number}": Behaviour(error_rate=error_rate)}


def run_until_all_on_candidate(world: Disturbed) -> str:
    """The candidate, which has all the traffic; the rollout isn't over."""
    while world.status.get("traffic", {}).get("appliedCandidate") != 100:
        world.run(1)
    return str(world.status["candidate"]["revision"])


def weight(world: Disturbed, revision: str) -> int:
    assert world.split is not None
    return world.split.weight(revision)


def events(world: Disturbed, reason: str) -> list[str]:
    return [line for line in world.transcript if f"event {reason}:" in line]


# --- full traffic is judged -------------------------------------------------------------------------------------------


def test_a_model_that_goes_bad_at_the_last_shift_goes_back(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2)
    run_until_all_on_candidate(world)
    goes_bad(world, 2)
    world.run(30)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert weight(world, stable) == 100
    assert world.lost == 0


def test_a_model_that_goes_bad_while_a_canary_keeps_the_old_goes_back(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy={"canary": {"steps": [{"weight": 50}], "keepOld": "10m"}})
    run_until_all_on_candidate(world)
    world.run(300)
    assert world.condition("Reconciling") == ("True", "KeepingOld")

    goes_bad(world, 2)
    world.run(30)
    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert weight(world, stable) == 100


def test_the_old_revision_is_kept_while_the_new_one_bakes(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, analysis={"bake": "5m"})
    candidate = run_until_all_on_candidate(world)
    world.run(240)

    assert world.condition("Reconciling") == ("True", "Baking")
    assert stable in world.names(DEPLOYMENTS)

    world.run(120)
    assert world.status["stable"]["revision"] == candidate
    assert world.names(DEPLOYMENTS) == [candidate]


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_a_rollout_is_not_complete_with_one_pod_of_four(world: Disturbed, strategy: Any) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy=strategy, analysis={"bake": "10s"})
    run_until_all_on_candidate(world)
    world.most_pods = 1
    world.run(120)

    assert world.status["stable"]["revision"] == stable
    assert "1 of 4 pods ready" in world.status["message"]


def test_a_switch_waits_for_all_pods(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    world.most_pods = 3
    release(world, 2, strategy=BLUE_GREEN)
    world.run(120)

    assert weight(world, stable) == 100
    assert world.condition("Reconciling") == ("True", "PodsStarting")


def test_a_pause_keeps_the_old_revision(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2)
    run_until_all_on_candidate(world)
    release(world, 2, paused=True)
    world.run(300)

    assert world.condition("Reconciling") == ("True", "Paused")
    assert stable in world.names(DEPLOYMENTS)


def test_keep_old_holds_past_the_deadline(spec_schema: Mapping[str, Any]) -> None:
    world = Disturbed(spec_schema, dict(MODELS), rps=1)
    release(world, 1)
    world.run(60)
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy=BLUE_GREEN, analysis={"deadline": "2m", "onInconclusive": "Promote"})
    world.run(600)

    assert world.condition("Reconciling") == ("True", "KeepingOld")
    assert stable in world.names(DEPLOYMENTS)


# --- stable is unwell -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error_rate", [0.2, 1.0])
def test_a_fix_is_released_although_the_live_model_fails(world: Disturbed, error_rate: float) -> None:
    goes_bad(world, 1, error_rate)
    world.run(60)
    release(world, 2)
    world.run(300)

    assert world.status["history"][0]["outcome"] == "Promoted"


def test_a_healthy_candidate_goes_on_although_stable_has_lost_its_pods(world: Disturbed) -> None:
    release(world, 2, strategy={"canary": {"steps": [{"weight": 20, "minDuration": "1m"}, {"weight": 50}]}})
    world.run(30)
    world.dead = world.status["stable"]["revision"]
    world.run(400)

    assert world.status["history"][0]["outcome"] == "Promoted"
    assert world.lost == 0


# --- a newer spec -----------------------------------------------------------------------------------------------------


def test_a_healthy_revision_keeps_its_traffic_when_a_newer_one_is_released_after_the_switch(world: Disturbed) -> None:
    release(world, 2, strategy=BLUE_GREEN)
    second = run_until_all_on_candidate(world)
    world.run(60)
    release(world, 3, strategy=BLUE_GREEN)
    for _ in range(5):
        world.run(1)
        assert weight(world, second) == 100

    assert world.status["stable"]["revision"] == second
    assert world.status["history"][0]["reason"] == "NewerSpec"
    assert world.status["rollout"]["candidate"] not in (second, "")
    assert world.lost == 0


def test_a_revision_without_evidence_goes_back_when_a_newer_one_is_released_after_the_switch(
    spec_schema: Mapping[str, Any],
) -> None:
    world = Disturbed(spec_schema, dict(MODELS), rps=0)
    release(world, 1)
    world.run(60)
    stable = world.status["stable"]["revision"]
    world.rps = 1
    release(world, 2, strategy=BLUE_GREEN)
    world.run(30)
    run_until_all_on_candidate(world)
    release(world, 3, strategy=BLUE_GREEN)
    world.run(2)

    assert weight(world, stable) == 100
    assert world.status["history"][0]["outcome"] == "Superseded"


def test_a_superseded_rollout_loses_its_traffic_although_no_pod_can_be_made(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy={"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}})
    world.run(30)
    candidate = world.status["candidate"]["revision"]
    assert weight(world, candidate) == 50
    world.creation_is_refused = True
    release(world, 3)
    world.run(10)

    assert weight(world, stable) == 100


# --- the way back -----------------------------------------------------------------------------------------------------


def test_a_revision_that_was_stable_a_short_while_ago_gets_its_traffic_back_in_one_shift(world: Disturbed) -> None:
    first = world.status["stable"]["revision"]
    release(world, 2)
    world.run(300)
    assert world.status["stable"]["revision"] != first
    assert first not in world.names(DEPLOYMENTS)

    goes_bad(world, 2, 1.0)
    release(world, 1)
    world.run(6)
    assert weight(world, first) == 100

    world.run(60)
    assert world.status["stable"]["revision"] == first
    assert world.status["history"][0]["reason"] == "Returned"
    assert world.names(DEPLOYMENTS) == [first]
    assert world.lost == 0


def test_a_way_back_needs_no_metrics(world: Disturbed) -> None:
    first = world.status["stable"]["revision"]
    release(world, 2)
    world.run(300)
    world.prometheus_up = False
    release(world, 1)
    world.run(6)

    assert weight(world, first) == 100


def test_after_the_rollback_window_it_is_a_rollout_like_any_other(world: Disturbed) -> None:
    first = world.status["stable"]["revision"]
    release(world, 2)
    world.run(300)
    release(world, 1, rollbackWindow="1m")
    world.run(10)

    assert weight(world, first) == 50


def test_a_way_back_that_has_gone_is_told_before_it_is_needed(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy={"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}})
    world.run(60)
    world.dead = stable
    world.run(60)

    assert len(events(world, "NoWayBack")) == 1
    assert world.condition("Ready") == ("True", "StableDegraded")


def test_after_a_switch_nothing_returns_to_a_revision_without_pods(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy=BLUE_GREEN)
    candidate = run_until_all_on_candidate(world)
    world.run(30)
    world.dead = stable
    world.run(10)
    goes_bad(world, 2)
    world.run(60)

    assert weight(world, candidate) == 100
    assert world.condition("Stalled") == ("True", "NoReadyPod")
    assert candidate in world.names(DEPLOYMENTS)
    assert world.lost == 0


def test_a_new_candidate_comes_up_although_stable_has_no_pod(world: Disturbed) -> None:
    stable = world.status["stable"]["revision"]
    release(world, 2, strategy={"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}})
    world.run(60)
    world.dead = stable
    release(world, 3)
    world.run(20)

    third = world.status["rollout"]["candidate"]
    assert third in world.names(DEPLOYMENTS)
    assert world.condition("Stalled") == ("True", "NoReadyPod")
    assert world.lost == 0
