"""Nothing is taken away from a router that may still send there, and none that is gone is waited for."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.kube.api import DEPLOYMENTS

CANARY = {"canary": {"steps": [{"weight": 50}]}}
SOON = 60
"""Seconds in which what isn't needed any more is otherwise gone."""


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    """v2, which fails, has half of the traffic, also by a second router whose counters nobody reads."""
    return released(spec_schema, Behaviour(error_rate=0.5))


def released(schema: Mapping[str, Any], second: Behaviour) -> World:
    world = World(schema, {"http://models/1": Behaviour(), "http://models/2": second})
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY)
    world.run(60)
    world.kubectl_apply(model={"uri": "http://models/2"}, strategy=CANARY)
    world.run_until(lambda: world.split is not None and 50 in dict(world.split).values())
    world.applied = {"router": None, "unseen": world.latest_version}
    return world


def test_a_revision_is_kept_while_a_router_that_nobody_sees_may_still_send_to_it(world: World) -> None:
    candidate = world.status["candidate"]["revision"]
    world.run(SOON)
    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert candidate in world.names(DEPLOYMENTS)

    world.applied = {"router": None, "unseen": None}
    world.run(SOON)
    assert candidate not in world.names(DEPLOYMENTS)


def test_a_router_that_is_gone_is_not_waited_for(world: World) -> None:
    candidate = world.status["candidate"]["revision"]
    world.applied = {"router": None}
    world.run(SOON)

    assert candidate not in world.names(DEPLOYMENTS)


def test_a_promotion_keeps_the_old_revision_until_every_live_router_has_left_it(
    spec_schema: Mapping[str, Any],
) -> None:
    world = released(spec_schema, Behaviour())
    old = world.status["stable"]["revision"]
    world.run(900)
    assert world.split is not None
    assert world.split.weight(old) == 0
    assert old in world.names(DEPLOYMENTS)

    world.applied = {"router": None}
    world.run(SOON)
    assert old not in world.names(DEPLOYMENTS)
    assert world.status["history"][0]["outcome"] == "Promoted"
