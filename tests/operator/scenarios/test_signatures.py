"""A candidate on which clients of stable would break: refused, held for somebody, or let through and told."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.scenarios.test_controls import ask, events, until
from tests.operator.scenarios.test_scenarios import BLUE_GREEN, model
from tests.operator.world import SIGNATURE, Behaviour, World
from tidegate.model.control import Control
from tidegate.model.revision import Labels
from tidegate.model.traffic import TrafficSplit


def behaviour(*labels: str, width: int = 64) -> Behaviour:
    whole = Labels.of(labels)
    inputs = [{"name": "pixels", "datatype": "FP32", "shape": [-1, width]}]
    told = {"count": whole.count, "sha256": whole.sha256, "first": [*labels]}
    return Behaviour(signature={**SIGNATURE, "inputs": inputs, "labels": told})


MODELS = {
    "http://models/1": behaviour("cat", "dog"),
    "http://models/same": behaviour("cat", "dog"),
    "http://models/of-old": Behaviour(),
    "http://models/swapped": behaviour("dog", "cat"),
    "http://models/narrow": behaviour("cat", "dog", width=32),
}
SWAPPED = "its labels are in another order: class 0 is 'dog', on stable it is 'cat'"
NARROW = "its input is pixels FP32[-1,32], stable's is pixels FP32[-1,64]"


def a_world(spec_schema: Mapping[str, Any], name: str, policy: str | None, **more: Any) -> tuple[World, str, str]:
    """Stable serves, and a candidate has just been asked for; with the names of both revisions."""
    world = World(spec_schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(60)
    analysis = {"analysis": {"signature": policy}} if policy else {}
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(**{**model(name), **analysis, **more})
    world.run(1)
    return world, stable, world.status["rollout"]["candidate"]


@pytest.mark.parametrize(
    ("name", "difference"), [pytest.param("swapped", SWAPPED, id="labels"), pytest.param("narrow", NARROW, id="inputs")]
)
@pytest.mark.parametrize("policy", [None, "Refuse"])
def test_refused_before_any_traffic_in_one_sentence(
    spec_schema: Mapping[str, Any], name: str, difference: str, policy: str | None
) -> None:
    world, stable, _ = a_world(spec_schema, name, policy)

    world.run(60)

    ended = world.status["history"][0]
    exposure = {"requests": 0, "failed": 0}
    assert (ended["outcome"], ended["reason"], ended["exposure"]) == ("RolledBack", "SignatureChanged", exposure)
    assert f"clients of stable would break: {difference}; keep the signature" in ended["message"]
    assert (world.split, world.lost) == (TrafficSplit.only(stable), 0)


def test_held_without_traffic_until_somebody_approves(spec_schema: Mapping[str, Any]) -> None:
    world, stable, candidate = a_world(spec_schema, "swapped", "Hold")

    until(world, "waits for approval")
    world.run(900)

    assert world.status["message"] == (
        f"clients of stable would break: {SWAPPED}; {candidate} waits for approval, without traffic: "
        f"kubectl -n shop annotate mdep/digits tidegate.dev/approve={candidate}/0"
    )
    assert world.condition("Reconciling") == ("True", "WaitingForApproval")
    assert world.split == TrafficSplit.between(stable, candidate, 0)

    ask(world, Control.APPROVE, candidate, 0)

    assert world.split == TrafficSplit.between(stable, candidate, 10)
    assert events(world, "CanaryStep")[-1].endswith("(step 1 of 3): approved by alice: a reason")
    world.run(600)
    assert world.status["stable"]["revision"] == candidate


def test_a_held_switch_is_approved_as_one_that_asks_for_approval_is(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = a_world(spec_schema, "narrow", "Hold", strategy=BLUE_GREEN)
    until(world, f"{NARROW}; {candidate} waits for approval")

    ask(world, Control.APPROVE, candidate, 1)
    world.run(300)

    assert world.status["stable"]["revision"] == candidate


def test_who_refuses_it_after_all_ends_it(spec_schema: Mapping[str, Any]) -> None:
    world, _, _ = a_world(spec_schema, "swapped", "Hold")
    until(world, "waits for approval")

    world.kubectl_apply(**model("swapped"))
    world.run(60)

    assert world.status["history"][0]["reason"] == "SignatureChanged"


def test_allowed_and_told(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = a_world(spec_schema, "swapped", "Allow")

    world.run(600)

    assert world.status["stable"]["revision"] == candidate
    assert events(world, "SignatureChanged")[0] == (
        f"clients of stable would break on {candidate}: {SWAPPED}; spec.analysis.signature is Allow, so it goes on"
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("same", [], id="the same"),
        pytest.param(
            "of-old",
            ["the pods of {} don't say what their model's classes are called, so labels aren't compared"],
            id="labels that aren't known",
        ),
    ],
)
def test_stops_nothing(spec_schema: Mapping[str, Any], name: str, told: list[str]) -> None:
    world, _, candidate = a_world(spec_schema, name, "Hold")
    world.run(600)
    assert world.status["stable"]["revision"] == candidate
    assert events(world, "SignatureUnknown") == [each.format(candidate) for each in told]


def test_a_refused_candidate_is_tried_again_when_it_is_allowed(spec_schema: Mapping[str, Any]) -> None:
    world, _, candidate = a_world(spec_schema, "swapped", None)
    world.run(60)

    world.kubectl_apply(**model("swapped", analysis={"signature": "Allow"}))
    world.run(600)

    assert world.status["stable"]["revision"] == candidate


def test_a_revision_that_was_stable_a_short_while_ago_comes_back_whatever_its_signature(
    spec_schema: Mapping[str, Any],
) -> None:
    world, first, _ = a_world(spec_schema, "swapped", "Allow")
    world.run(600)

    world.kubectl_apply(**model("1", analysis={"signature": "Hold"}))
    world.run(60)

    assert world.status["stable"]["revision"] == first
