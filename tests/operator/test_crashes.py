"""The operator may die at any write, before or after it took effect: the next one brings about the same end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.world import Behaviour, Crash, World
from tidegate.kube.api import DEPLOYMENTS, SERVICES
from tidegate.model.traffic import TrafficSplit

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
}
CANARY = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "5s", "keepOld": "10s"}}
LONG_ENOUGH = 400.0
"""Seconds of simulated time in which each rollout ends, also when a crash has held it up."""


@dataclass(frozen=True)
class End:
    """What a rollout comes to."""

    stable: str
    outcome: str
    split: TrafficSplit | None
    deployments: tuple[str, ...]
    services: tuple[str, ...]


def rolled_out(schema: Mapping[str, Any], uri: str, strategy: Any) -> World:
    world = World(schema, MODELS)
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=2)
    world.run(20)
    world.kubectl_apply(model={"uri": uri}, strategy=strategy, replicas=2, analysis={"bake": "10s"})
    return world


def run_to_rest(world: World, seconds: float) -> None:
    """Runs until nothing is under way and what is left over is gone, `seconds` at most."""
    end = world.now + timedelta(seconds=seconds)
    while world.now < end and not at_rest(world):
        world.run(5)
    world.run(5)


def at_rest(world: World) -> bool:
    return "rollout" not in world.status and len(world.names(DEPLOYMENTS)) == 1 and bool(world.status.get("history"))


def end_of(world: World) -> End:
    return End(
        world.status["stable"]["revision"],
        world.status["history"][0]["outcome"],
        world.split,
        tuple(world.names(DEPLOYMENTS)),
        tuple(world.names(SERVICES)),
    )


def crashes_at(world: World, write: int, *, after: bool) -> bool:
    """Runs with a crash at that write, restarts, and runs to the end; False if there was no such write."""
    with world.crashing_at(write, after=after):
        try:
            run_to_rest(world, LONG_ENOUGH)
        except Crash:
            world.restart()
        else:
            return False
    run_to_rest(world, LONG_ENOUGH)
    return True


@pytest.mark.parametrize("after", [pytest.param(False, id="before it took effect"), pytest.param(True, id="after it")])
@pytest.mark.parametrize(
    ("uri", "strategy", "outcome"),
    [
        pytest.param("http://models/2", CANARY, "Promoted", id="a canary that is promoted"),
        pytest.param("http://models/failing", CANARY, "RolledBack", id="a canary that is rolled back"),
        pytest.param("http://models/2", BLUE_GREEN, "Promoted", id="blue-green that is promoted"),
        pytest.param("http://models/failing", BLUE_GREEN, "RolledBack", id="blue-green that is rolled back"),
    ],
)
def test_a_crash_at_any_write_changes_nothing_in_the_end(
    spec_schema: Mapping[str, Any], uri: str, strategy: Any, outcome: str, after: bool
) -> None:
    undisturbed = rolled_out(spec_schema, uri, strategy)
    run_to_rest(undisturbed, LONG_ENOUGH)
    expected = end_of(undisturbed)
    assert expected.outcome == outcome
    write = 1
    while crashes_at(world := rolled_out(spec_schema, uri, strategy), write, after=after):
        assert (end_of(world), world.lost) == (expected, undisturbed.lost), f"at write {write}"
        write += 1

    assert write > 8
