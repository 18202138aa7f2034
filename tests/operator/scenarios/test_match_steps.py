"""A step that matches: a group meets the candidate, the others go by weight, and what was chosen is no share."""

from typing import Any

from tests.operator.scenarios.conftest import routes
from tests.operator.world import World

RULES = [{"headers": [{"name": "x-team", "exact": "beta"}]}]
STRATEGY = {"canary": {"steps": [{"match": RULES}, {"match": RULES, "weight": 25}, {"weight": 50}]}}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"model": {"uri": f"http://models/{name}"}, "strategy": STRATEGY, "replicas": 2, **more}


def test_a_good_candidate_goes_from_a_group_to_all(live_world: World) -> None:
    stable = live_world.status["stable"]["revision"]
    live_world.kubectl_apply(**model("2"))
    live_world.run(600)
    candidate = live_world.status["stable"]["revision"]
    assert routes(live_world)[-6:] == [
        f"{stable}=100 {candidate}=0",
        f"{stable}=100 {candidate}=0 and those that match to {candidate}",
        f"{stable}=75 {candidate}=25 and those that match to {candidate}",
        f"{stable}=50 {candidate}=50",
        f"{stable}=0 {candidate}=100",
        f"{candidate}=100",
    ]
    assert live_world.status["history"][0]["outcome"] == "Promoted"
    assert (live_world.lost, live_world.failed) == (0, 0)


def test_a_bad_candidate_goes_back_by_the_groups_requests_and_says_whose_they_are(live_world: World) -> None:
    stable = live_world.status["stable"]["revision"]
    live_world.kubectl_apply(**model("failing"))
    live_world.run(300)
    ended = live_world.status["history"][0]
    assert (ended["outcome"], live_world.status["stable"]["revision"]) == ("RolledBack", stable)
    requests = ended["exposure"]["requests"]
    assert requests > 0
    whose = f"{requests:,} of its {requests:,} requests came by match, and are compared with those of users who weren't"
    assert whose in ended["message"]
    assert routes(live_world)[-1] == f"{stable}=100"


def test_the_share_is_of_those_who_were_not_chosen(live_world: World) -> None:
    live_world.matching = 0.2
    steps = [{"match": RULES, "weight": 25, "pause": {}}]
    live_world.kubectl_apply(**model("2", strategy={"canary": {"steps": steps}}))
    live_world.run(120)
    assert live_world.status["rollout"]["shifts"][0]["matched"] is True
    assert live_world.status["traffic"]["observedCandidate"] == "25%"
    assert live_world.condition("Reconciling") == ("True", "StepPaused")
