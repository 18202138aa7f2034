"""A shadow step: the candidate answers copies, is judged by them, and no user ever gets what it answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.world import Behaviour, World
from tidegate.kube.api import DEPLOYMENTS

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
    "http://models/slow": Behaviour(latency=0.104),
}
STRATEGY = {"canary": {"steps": [{"mirror": {"percent": 20}}, {"weight": 25}, {"weight": 50}]}}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"model": {"uri": f"http://models/{name}"}, "strategy": STRATEGY, "replicas": 2, **more}


@pytest.fixture(params=[World, DirectWorld], ids=["read from Prometheus", "read directly"])
def world(request: pytest.FixtureRequest, spec_schema: Mapping[str, Any]) -> World:
    world: World = request.param(spec_schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(120)
    return world


def routes(world: World) -> list[str]:
    return [line.split("route ", 1)[1] for line in world.transcript if " route " in line]


def test_a_good_candidate_goes_from_copies_to_traffic_to_all_of_it(world: World) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model("2"))
    world.run(500)
    candidate = world.status["stable"]["revision"]
    assert routes(world)[-6:] == [
        f"{stable}=100 {candidate}=0",
        f"{stable}=100 {candidate}=0 and copies of 20 to {candidate}",
        f"{stable}=75 {candidate}=25",
        f"{stable}=50 {candidate}=50",
        f"{stable}=0 {candidate}=100",
        f"{candidate}=100",
    ]
    ended = world.status["history"][0]
    assert ended["outcome"] == "Promoted"
    assert ended["exposure"]["shadowRequests"] > 0
    assert (world.lost, world.failed) == (0, 0)


@pytest.mark.parametrize("name", ["failing", "slow"])
def test_a_bad_candidate_ends_without_a_single_user(world: World, name: str) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model(name))
    world.run(500)
    ended = world.status["history"][0]
    assert (ended["outcome"], world.status["stable"]["revision"]) == ("RolledBack", stable)
    assert (ended["exposure"]["requests"], ended["exposure"]["failed"]) == (0, 0)
    assert f"0 users, {ended['exposure']['shadowRequests']:,} shadow requests" in ended["message"]
    assert all("=0" in route or route == f"{stable}=100" for route in routes(world))
    assert (world.lost, world.failed) == (0, 0)
    assert world.names(DEPLOYMENTS) == [stable]


def test_copies_are_no_live_traffic(world: World) -> None:
    world.kubectl_apply(**model("2", strategy={"canary": {"steps": [{"mirror": {"percent": 50}, "pause": {}}]}}))
    world.run(120)
    assert world.status["rollout"]["shifts"][0]["mirror"] == 50
    assert world.status["traffic"]["observedCandidate"] == "0%"
    assert world.status["traffic"]["candidate"] == 0
    assert world.condition("Reconciling") == ("True", "StepPaused")


def test_its_pods_are_as_many_as_the_copies_need(world: World) -> None:
    strategy = {"canary": {"steps": [{"mirror": {"percent": 60}, "pause": {}}, {"weight": 50}]}}
    world.kubectl_apply(**model("2", strategy=strategy, replicas=5))
    world.run(120)
    candidate = world.status["rollout"]["candidate"]
    deployment = world._objects[(DEPLOYMENTS, candidate)]
    assert deployment["spec"]["replicas"] == 5  # of the step that follows the pause
    assert world.status["rollout"]["step"] == 1
