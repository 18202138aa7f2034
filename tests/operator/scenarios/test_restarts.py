"""The operator restarts in a rollout: it goes on from what it has kept, and what it keeps stands in nobody's way."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.world import CHECKPOINT, Behaviour, World
from tidegate.errors import ClusterUnavailable, WriteRefused
from tidegate.kube.api import CONFIG_MAPS, Manifest, Resource

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/3": Behaviour(error_rate=0.05),
}
HELD = {"canary": {"steps": [{"weight": 10, "minDuration": "1h"}, {"weight": 50}]}}


class WithoutCheckpoints(Disturbed):
    """A cluster that takes no checkpoint, and gives none."""

    def stored(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        raise ClusterUnavailable("GET: no answer")

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        if manifest["metadata"]["name"].endswith(CHECKPOINT):
            raise WriteRefused("PATCH: forbidden by policy", 403)
        super().repair(resource, manifest)


def releasing(world: World, number: int, strategy: Any = HELD) -> World:
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=strategy, replicas=2)
    world.run(60)
    world.kubectl_apply(model={"uri": f"http://models/{number}"}, strategy=strategy, replicas=2)
    return world


def checkpoints(world: World) -> list[str]:
    return [name for name in world.names(CONFIG_MAPS) if name.endswith(CHECKPOINT)]


def analysis(world: World) -> object:
    return world.status["rollout"], world.status["analysis"]


@pytest.mark.parametrize("seconds", [100, 333])
def test_a_rollout_that_is_held_is_judged_on_at_once_after_a_restart(
    spec_schema: Mapping[str, Any], seconds: int
) -> None:
    steady, restarted = (releasing(World(spec_schema, MODELS), 2) for _ in range(2))
    steady.run(seconds)
    restarted.run(seconds)
    asked = restarted.prometheus_asked
    restarted.restart()
    restarted.reconcile()
    assert restarted.prometheus_asked - asked <= 10
    steady.run(40)
    restarted.run(40)

    assert analysis(restarted) == analysis(steady)
    assert restarted.transcript == steady.transcript


def test_a_checkpoint_goes_with_its_rollout(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(World(spec_schema, MODELS), 2, {"canary": {"steps": [{"weight": 50, "minDuration": "1m"}]}})
    world.run(60)
    assert checkpoints(world) == [world.status["rollout"]["candidate"] + CHECKPOINT]
    world.run(340)

    assert world.status["history"][0]["outcome"] == "Promoted"
    assert checkpoints(world) == []


def test_a_checkpoint_that_is_left_over_goes_with_the_next_pass(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(World(spec_schema, MODELS), 2)
    world.run(100)
    left = world._objects[CONFIG_MAPS, checkpoints(world)[0]]
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=HELD, replicas=2)
    world.run(60)
    assert checkpoints(world) == []
    world._objects[CONFIG_MAPS, left["metadata"]["name"]] = left
    world.reconcile()

    assert checkpoints(world) == []


def test_a_checkpoint_that_is_not_taken_stops_nothing(spec_schema: Mapping[str, Any]) -> None:
    world = releasing(WithoutCheckpoints(spec_schema, MODELS), 3)
    world.run(40)
    world.restart()
    world.run(60)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert checkpoints(world) == []
