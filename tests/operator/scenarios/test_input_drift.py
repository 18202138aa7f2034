"""A candidate that isn't asked what it was trained on: told or held as the user wants, and never sent back for it."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.scenarios.test_controls import events
from tests.operator.scenarios.test_records import last_said, record_of
from tests.operator.scenarios.test_scenarios import model
from tests.operator.world import Behaviour, World

AS_TRAINED = {"below 18": (0, 0.0), "18..40": (500, 0.5), "40..65": (500, 0.5), "above 65": (0, 0.0)}
YOUNGER = {**AS_TRAINED, "18..40": (500, 0.9), "40..65": (500, 0.1)}
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/same": Behaviour(ages=AS_TRAINED),
    "http://models/younger": Behaviour(ages=YOUNGER),
    "http://models/none": Behaviour(),
}
DIFFERS = "age up to 40 in 90% of "


def released(schema: Mapping[str, Any], name: str, inputs: Mapping[str, str] | None) -> tuple[World, str, str]:
    """Half an hour after its rollout began: the world, stable and the candidate."""
    world = World(schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(60)
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**model(name, **({} if inputs is None else {"analysis": {"inputs": inputs}})))
    world.run(1)
    candidate = world.status["rollout"]["candidate"]
    world.run(900)
    return world, stable, candidate


def caution(world: World) -> list[Mapping[str, Any]]:
    return [each for each in world.status["conditions"] if each["type"] == "InputCaution"]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        pytest.param("same", {"onDrift": "Hold"}, id="the same inputs, held otherwise"),
        pytest.param("none", {"onDrift": "Hold"}, id="no profile, held otherwise"),
        pytest.param("younger", None, id="other inputs, and nobody asks"),
    ],
)
def test_nothing_changes(spec_schema: Mapping[str, Any], name: str, inputs: Mapping[str, str] | None) -> None:
    world, _, candidate = released(spec_schema, name, inputs)
    assert world.status["stable"]["revision"] == candidate
    assert events(world, "InputsDiffer") == []


def test_other_inputs_are_told_once_and_stop_nothing(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = released(spec_schema, "younger", {})
    assert world.status["stable"]["revision"] == candidate
    (told,) = events(world, "InputsDiffer")
    assert DIFFERS in told
    assert told.endswith("so this stops nothing")
    assert caution(world) == []


def test_other_inputs_hold_where_that_is_wanted_and_roll_nothing_back(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = released(spec_schema, "younger", {"onDrift": "Hold"})
    assert (world.status["stable"]["revision"], world.status["rollout"]["candidate"]) == (stable, candidate)
    assert world.status["rollout"]["step"] == 1
    analysis = world.status["analysis"]
    assert (analysis["verdict"], analysis["reason"]) == ("NotEnoughEvidence", "InputsDiffer")
    (condition,) = caution(world)
    assert (condition["status"], condition["reason"]) == ("True", "InputsDiffer")
    assert DIFFERS in condition["message"]
    assert len(events(world, "InputsDiffer")) == 1


def test_a_hold_ends_when_the_spec_only_warns(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = released(spec_schema, "younger", {"onDrift": "Hold"})
    world.kubectl_apply(**model("younger", analysis={"inputs": {"onDrift": "Warn"}}))
    world.run(600)
    assert world.status["stable"]["revision"] == candidate


def test_the_record_repeats_a_hold(spec_schema: Mapping[str, Any]) -> None:
    world, _, _ = released(spec_schema, "younger", {"onDrift": "Hold"})
    world.kubectl_apply(**model("1"))
    world.run(60)
    looked = last_said(record_of(world))
    assert looked.said
    assert looked.asked.inputs
    assert (looked.said.reason, looked.asked.inputs.state.value) == ("InputsDiffer", "Differ")
