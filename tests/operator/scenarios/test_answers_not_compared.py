"""The rollout that brings samples of live requests has none to compare yet: that is told, and holds nothing."""

from collections.abc import Mapping
from typing import Any

from tests.operator.scenarios.test_controls import events
from tests.operator.scenarios.test_scenarios import model
from tests.operator.world import Behaviour, World

MODELS = {"http://models/1": Behaviour(), "http://models/2": Behaviour()}
COMPARED = {"server": {"requestSamples": {"keySecret": "samples"}}, "analysis": {"agreement": {}}}


def test_a_stable_without_samples_is_told_and_holds_nothing(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(60)
    stable = world.status["stable"]["revision"]

    world.kubectl_apply(**{**model("2"), **COMPARED})
    world.run(1)
    candidate = world.status["rollout"]["candidate"]
    world.run(600)

    assert world.status["stable"]["revision"] == candidate
    assert events(world, "AnswersNotCompared") == [
        f"the pods of {stable} keep no samples of live requests, so the answers of {candidate} aren't compared with "
        "theirs: they will be from the next rollout on, when stable's pods keep some"
    ]
