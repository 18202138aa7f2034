"""Rollouts with queries of the user's own: dry runs."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.scenarios.test_more_than_counters import gives, outcome, told
from tests.operator.scenarios.test_scenarios import model
from tests.operator.world import Behaviour, World

QUERY = 'sum(right{revision="{{candidate}}"})'


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    world.kubectl_apply(**model("1"))
    world.run(60)
    gives(world, world.status["stable"]["revision"], 0.9)
    return world


def release(world: World, *queries: Mapping[str, Any], **spec: Any) -> None:
    """Applies a second model that is judged by these queries, up to where it has begun."""
    named = [{"name": "accuracy", "query": QUERY, "min": "0.5", **each} for each in queries]
    analysis = {"queries": named, **spec.pop("analysis", {})}
    world.kubectl_apply(**model("2", analysis=analysis, **spec))
    world.run(3)


def results(world: World) -> dict[str, tuple[str, str]]:
    """State and sentence of each query, as the status has them."""
    return {each["name"]: (each["state"], each["message"]) for each in world.status["analysis"].get("queries", ())}


@pytest.mark.parametrize(
    ("values", "reason", "state"),
    [
        pytest.param([0.1], "DryRunFailed", "Failed", id="beyond its limit all the time"),
        pytest.param([], "DryRunInconclusive", "Inconclusive", id="no value"),
        pytest.param([float("nan")], "DryRunInconclusive", "Inconclusive", id="NaN"),
        pytest.param([0.9, 0.8], "DryRunInconclusive", "Inconclusive", id="two series"),
    ],
)
def test_a_dry_run_is_told_once_and_decides_nothing(values: list[float], reason: str, state: str, world: World) -> None:
    release(world, {"dryRun": True})
    gives(world, world.status["rollout"]["candidate"], *values)
    world.run(20)
    assert results(world)["accuracy"][0] == state

    world.run(300)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")
    assert len(told(world, reason)) == 1


def test_a_dry_run_that_makes_no_sense_for_stable_keeps_no_rollout_from_starting(world: World) -> None:
    gives(world, world.status["stable"]["revision"])
    release(world, {"dryRun": True})
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_a_query_in_force_decides_beside_a_dry_run(world: World) -> None:
    other = QUERY.replace("right", "cheap")
    world.own_series[other.replace("{{candidate}}", world.status["stable"]["revision"])] = [1.0]
    release(world, {"dryRun": True}, {"name": "cost", "query": other, "min": "0.5", "onFailure": "Rollback"})
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.1)
    world.own_series[other.replace("{{candidate}}", candidate)] = [0.2]
    world.run(60)

    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")
    assert "spec.analysis.queries[cost] gives 0.2, below the least that is allowed, 0.5" in world.status["message"]


def test_the_state_of_each_query_is_told_with_its_value(world: World) -> None:
    release(world, {"dryRun": True}, {"name": "recall"})
    gives(world, world.status["rollout"]["candidate"], 0.7)
    world.run(20)

    told = {"state": "Successful", "message": "gives 0.7, at least 0.5 is allowed", "value": "0.7"}
    assert world.status["analysis"]["queries"] == [
        {"name": "accuracy", **told, "dryRun": True},
        {"name": "recall", **told, "dryRun": False},
    ]
