"""A shadow step: the candidate answers copies, is judged by them, and no user ever gets what it answers."""

from typing import Any

import pytest

from tests.operator.scenarios.conftest import routes
from tests.operator.world import World
from tidegate.kube.api import DEPLOYMENTS

STRATEGY = {"canary": {"steps": [{"mirror": {"percent": 20}}, {"weight": 25}, {"weight": 50}]}}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"model": {"uri": f"http://models/{name}"}, "strategy": STRATEGY, "replicas": 2, **more}


def test_a_good_candidate_goes_from_copies_to_traffic_to_all_of_it(live_world: World) -> None:
    stable = live_world.status["stable"]["revision"]
    live_world.kubectl_apply(**model("2"))
    live_world.run(500)
    candidate = live_world.status["stable"]["revision"]
    assert routes(live_world)[-6:] == [
        f"{stable}=100 {candidate}=0",
        f"{stable}=100 {candidate}=0 and copies of 20 to {candidate}",
        f"{stable}=75 {candidate}=25",
        f"{stable}=50 {candidate}=50",
        f"{stable}=0 {candidate}=100",
        f"{candidate}=100",
    ]
    ended = live_world.status["history"][0]
    assert ended["outcome"] == "Promoted"
    assert ended["exposure"]["shadowRequests"] > 0
    assert (live_world.lost, live_world.failed) == (0, 0)


@pytest.mark.parametrize("name", ["failing", "slow"])
def test_a_bad_candidate_ends_without_a_single_user(live_world: World, name: str) -> None:
    stable = live_world.status["stable"]["revision"]
    live_world.kubectl_apply(**model(name))
    live_world.run(500)
    ended = live_world.status["history"][0]
    assert (ended["outcome"], live_world.status["stable"]["revision"]) == ("RolledBack", stable)
    assert (ended["exposure"]["requests"], ended["exposure"]["failed"]) == (0, 0)
    assert f"0 users, {ended['exposure']['shadowRequests']:,} shadow requests" in ended["message"]
    assert all("=0" in route or route == f"{stable}=100" for route in routes(live_world))
    assert (live_world.lost, live_world.failed) == (0, 0)
    assert live_world.names(DEPLOYMENTS) == [stable]


def test_copies_are_no_live_traffic(live_world: World) -> None:
    live_world.kubectl_apply(**model("2", strategy={"canary": {"steps": [{"mirror": {"percent": 50}, "pause": {}}]}}))
    live_world.run(120)
    assert live_world.status["rollout"]["shifts"][0]["mirror"] == 50
    assert live_world.status["traffic"]["observedCandidate"] == "0%"
    assert live_world.status["traffic"]["candidate"] == 0
    assert live_world.condition("Reconciling") == ("True", "StepPaused")


def test_its_pods_are_as_many_as_the_copies_need(live_world: World) -> None:
    strategy = {"canary": {"steps": [{"mirror": {"percent": 60}, "pause": {}}, {"weight": 50}]}}
    live_world.kubectl_apply(**model("2", strategy=strategy, replicas=5))
    live_world.run(120)
    candidate = live_world.status["rollout"]["candidate"]
    deployment = live_world._objects[(DEPLOYMENTS, candidate)]
    assert deployment["spec"]["replicas"] == 5  # of the step that follows the pause
    assert live_world.status["rollout"]["step"] == 1
