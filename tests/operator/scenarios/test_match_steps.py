"""A step that matches: a group meets the candidate, the others go by weight, and what was chosen is no share."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.world import Behaviour, World

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
}
RULES = [{"headers": [{"name": "x-team", "exact": "beta"}]}]
STRATEGY = {"canary": {"steps": [{"match": RULES}, {"match": RULES, "weight": 25}, {"weight": 50}]}}


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


def test_a_good_candidate_goes_from_a_group_to_all(world: World) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model("2"))
    world.run(600)
    candidate = world.status["stable"]["revision"]
    assert routes(world)[-6:] == [
        f"{stable}=100 {candidate}=0",
        f"{stable}=100 {candidate}=0 and those that match to {candidate}",
        f"{stable}=75 {candidate}=25 and those that match to {candidate}",
        f"{stable}=50 {candidate}=50",
        f"{stable}=0 {candidate}=100",
        f"{candidate}=100",
    ]
    assert world.status["history"][0]["outcome"] == "Promoted"
    assert (world.lost, world.failed) == (0, 0)


def test_a_bad_candidate_goes_back_by_the_groups_requests_and_says_whose_they_are(world: World) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model("failing"))
    world.run(300)
    ended = world.status["history"][0]
    assert (ended["outcome"], world.status["stable"]["revision"]) == ("RolledBack", stable)
    requests = ended["exposure"]["requests"]
    assert requests > 0
    whose = f"{requests:,} of its {requests:,} requests came by match, and are compared with those of users who weren't"
    assert whose in ended["message"]
    assert routes(world)[-1] == f"{stable}=100"


def test_the_share_is_of_those_who_were_not_chosen(world: World) -> None:
    world.matching = 0.2
    steps = [{"match": RULES, "weight": 25, "pause": {}}]
    world.kubectl_apply(**model("2", strategy={"canary": {"steps": steps}}))
    world.run(120)
    assert world.status["rollout"]["shifts"][0]["matched"] is True
    assert world.status["traffic"]["observedCandidate"] == "25%"
    assert world.condition("Reconciling") == ("True", "StepPaused")
