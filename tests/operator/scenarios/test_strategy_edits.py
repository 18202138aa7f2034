"""A strategy that is edited under way never gives the candidate more than a verdict allowed."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import Behaviour, World

MODELS = {"http://models/1": Behaviour(), "http://models/2": Behaviour()}
THREE_STEPS = {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}]}}


def apply(world: World, number: int, strategy: Any) -> None:
    world.kubectl_apply(model={"uri": f"http://models/{number}"}, strategy=strategy)


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    """A canary at its second step of three, with 25 % of the traffic."""
    world = World(spec_schema, MODELS, rps=40)
    apply(world, 1, THREE_STEPS)
    world.run(30)
    apply(world, 2, THREE_STEPS)
    while world.status.get("rollout", {}).get("step", 0) < 2:
        world.run(5)
    return world


@pytest.mark.parametrize(
    "strategy",
    [
        pytest.param({"canary": {"steps": [{"weight": 5}]}}, id="fewer steps than were taken"),
        pytest.param({"canary": {"steps": [{"weight": 5}, {"weight": 99}]}}, id="more weight at the same step"),
        pytest.param({"blueGreen": {"verifyFor": "10m"}}, id="blue-green"),
    ],
)
def test_the_rollout_begins_anew_after_an_edit_to(strategy: Any, world: World) -> None:
    stable, candidate = world.status["stable"]["revision"], world.status["rollout"]["candidate"]
    apply(world, 2, strategy)
    world.reconcile()

    assert world.split is not None
    assert dict(world.split) == {stable: 100, candidate: 0}
    assert world.status["rollout"]["step"] == 0
    assert world.status["history"][0]["reason"] == "StrategyChanged"


def test_the_rollout_goes_on_after_an_edit_to_the_steps_to_come(world: World) -> None:
    started = world.status["rollout"]["startedAt"]
    apply(world, 2, {"canary": {"steps": [{"weight": 5}, {"weight": 25}, {"weight": 40}, {"weight": 80}]}})
    world.reconcile()

    assert world.status["rollout"]["startedAt"] == started
    assert world.status["rollout"]["progress"] == "2/4"


def test_a_switch_is_no_promotion_after_an_edit_to_a_canary_of_one_step(spec_schema: Mapping[str, Any]) -> None:
    world = World(spec_schema, MODELS, rps=40)
    apply(world, 1, THREE_STEPS)
    world.run(30)
    apply(world, 2, {"blueGreen": {"verifyFor": "5s", "keepOld": "10m"}})
    while world.status.get("rollout", {}).get("step", 0) < 2:
        world.run(1)
    apply(world, 2, {"canary": {"steps": [{"weight": 5}]}})
    world.reconcile()

    assert world.status["history"][0]["reason"] == "StrategyChanged"
    assert world.status["traffic"]["candidate"] == 0


def test_a_promoting_canary_is_no_switch_after_an_edit_to_blue_green(world: World) -> None:
    stable, candidate = world.status["stable"]["revision"], world.status["rollout"]["candidate"]
    while world.status["phase"] != "Promoting":
        world.run(1)
    apply(world, 2, {"blueGreen": {"verifyFor": "1m"}})
    world.reconcile()

    assert world.status["history"][0]["reason"] == "StrategyChanged"
    assert world.split is not None
    assert dict(world.split) == {stable: 100, candidate: 0}
