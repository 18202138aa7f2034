"""The status says what routers have taken and users get, not what was wished."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.world import Behaviour

HELD = {"canary": {"steps": [{"weight": 10, "minDuration": "5h"}]}}
MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.9),
}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Disturbed:
    """v1 live for a while on four pods."""
    world = Disturbed(spec_schema, dict(MODELS))
    release(world, "1")
    world.run(60)
    return world


def release(world: Disturbed, name: str, **fields: Any) -> None:
    world.kubectl_apply(model={"uri": f"http://models/{name}"}, **{"replicas": 4, "strategy": HELD, **fields})


def test_a_shift_that_is_refused_for_a_while_is_one_entry(world: Disturbed) -> None:
    release(world, "2")
    world.run(2)
    world.route_is_refused = True
    world.run(60)
    assert world.status["traffic"]["candidate"] == 10
    assert world.status["traffic"]["appliedCandidate"] == 0

    world.route_is_refused = False
    world.run(30)
    assert [shift["weight"] for shift in world.status["rollout"]["shifts"]] == [10]
    assert world.status["traffic"]["appliedCandidate"] == 10


def test_routers_that_do_not_follow_are_told(world: Disturbed) -> None:
    release(world, "2")
    world.run(2)
    world.applied = {"router": int(world.route_version)}
    world.run(30)

    assert world.status["traffic"]["candidate"] == 10
    assert world.status["traffic"]["appliedCandidate"] == 0


def test_a_rollback_is_under_way_until_the_last_request_has_left(world: Disturbed) -> None:
    release(world, "failing")
    while not world.status.get("history"):
        world.run(1)
    assert world.status["phase"] == "RolledBack"
    world.run(1)
    assert world.condition("Reconciling") == ("True", "WaitingForZeroTraffic")

    world.run(60)
    assert world.condition("Reconciling") == ("False", "Idle")
    assert world.condition("Stalled")[0] == "True"


def test_it_is_no_outage_while_another_revision_answers_for_stable(world: Disturbed) -> None:
    release(world, "2")
    world.run(60)
    world.dead = world.status["stable"]["revision"]
    world.run(30)

    assert world.condition("Ready") == ("True", "StableDegraded")
    assert world.lost == 0


def test_more_replicas_are_no_lost_pods(world: Disturbed) -> None:
    release(world, "2", strategy={"canary": {"steps": [{"weight": 50, "minDuration": "5h"}]}})
    world.run(60)
    world.most_pods = 4
    release(world, "2", replicas=8, strategy={"canary": {"steps": [{"weight": 50, "minDuration": "5h"}]}})
    world.run(30)

    assert world.condition("Reconciling") == ("True", "ScalingUp")
    assert not [line for line in world.transcript if "event PodsNotReady" in line]


def test_a_release_holds_while_a_router_refuses_its_route_and_says_what_envoy_says(world: Disturbed) -> None:
    world.refusing_routers = {"router": "malformed IP address: x"}
    release(world, "2", strategy={"canary": {"steps": [{"weight": 10}]}})
    world.run(300)
    said = "router refuses the route and goes on with the last one that it took: malformed IP address: x"
    assert condition(world, "Stalled") == ("True", "RouteRefused", said)
    assert world.status["traffic"]["candidate"] == 0
    assert condition(world, "Ready")[0] == "True"

    world.refusing_routers = {}
    world.run(900)
    assert condition(world, "Stalled")[0] == "False"
    assert world.status["traffic"]["candidate"] == 10


def test_a_rollback_asks_no_router_whether_it_takes_routes(world: Disturbed) -> None:
    release(world, "failing")
    world.run_until(lambda: world.split is not None and 10 in dict(world.split).values())
    world.refusing_routers = {"router": "malformed IP address: x"}
    world.run(120)

    assert world.status["history"][0]["outcome"] == "RolledBack"


def condition(world: Disturbed, kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in world.status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]
