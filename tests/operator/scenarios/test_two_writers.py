"""Two operators at once: whoever comes second changes nothing, and it is said."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import SETTINGS, Behaviour, World
from tidegate.controller.act import act
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.observe import observe
from tidegate.controller.refusals import Refusals
from tidegate.decide.rollout import decide
from tidegate.errors import LeadershipLost, ObjectChanged
from tidegate.kube.api import Manifest
from tidegate.metrics.collector import MetricsCollector
from tidegate.model.actions import ShiftTraffic
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation
from tidegate.model.traffic import Writer

CANARY = {"canary": {"steps": [{"weight": 5}, {"weight": 50}]}}
OURS = World.writer


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    """v1 live for a minute, then v2 released."""
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    for number in (1, 2):
        world.kubectl_apply(model={"uri": f"http://models/{number}"}, strategy=CANARY)
        world.run(60 if number == 1 else 1)
    return world


def decided(world: World, judge: RolloutJudge) -> tuple[Manifest, Observation, Decision]:
    """What another operator would do now."""
    manifest = world.model_deployment("shop", "digits")
    assert manifest is not None
    observed = observe(world, SETTINGS, manifest, world.now)
    judged = judge.judge(observed)
    assert judged is not None
    return manifest, judged, decide(judged)


def held_before_step_two(world: World) -> tuple[Manifest, Observation, Decision]:
    """An operator decides to enter the second step, and is paused before it writes."""
    judge = RolloutJudge(MetricsCollector(world))
    for _ in range(600):
        manifest, judged, decision = decided(world, judge)
        if decision.status.rollout and decision.status.rollout.step == 2:
            return manifest, judged, decision
        world.run(1)
    raise AssertionError("the second step was never entered")


def test_a_leader_that_wakes_up_late_changes_nothing(world: World) -> None:
    late = held_before_step_two(world)
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=0.5)}
    world.run(60)
    assert world.status["history"][0]["outcome"] == "RolledBack"
    before = (world.status, world.split, list(world.transcript))

    with pytest.raises(ObjectChanged):
        act(world, SETTINGS, *late, Refusals())
    assert (world.status, world.split, world.transcript) == before


def test_a_route_that_was_written_meanwhile_is_not_overwritten(world: World) -> None:
    manifest, judged, decision = held_before_step_two(world)
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=0.5)}
    world.run(60)
    before = world.split
    current = world.model_deployment("shop", "digits")
    assert current is not None

    with pytest.raises(ObjectChanged):  # also if the status could be written after all
        act(world, SETTINGS, {**manifest, "metadata": current["metadata"]}, judged, decision, Refusals())
    assert world.split == before


def test_who_finds_a_later_leaders_mark_writes_nothing_more(world: World) -> None:
    world.writer = Writer(OURS.lease, OURS.epoch + 1)
    world.run(60)
    world.writer = OURS

    with pytest.raises(LeadershipLost, match="tidegate/tidegate-operator/1 doesn't lead any more"):
        world.reconcile()


def test_a_second_release_over_the_same_objects_is_told(world: World) -> None:
    other = Writer("elsewhere/tidegate-operator", 7)
    for writer in (OURS, other, OURS, other, OURS):
        world.writer = writer
        world.run(60)
        edit_route(world, writer)
    told = "the operator with the Lease elsewhere/tidegate-operator looks after digits too"

    assert len([line for line in world.transcript if f"event TwoOperators: {told}" in line]) == 1


def edit_route(world: World, writer: Writer) -> None:
    """`writer` writes the route as it is."""
    manifest, judged, _ = decided(world, RolloutJudge(MetricsCollector(world)))
    assert judged.split is not None
    act(world, SETTINGS, manifest, judged, Decision(judged.recorded, (ShiftTraffic(judged.split),)), Refusals())


def test_a_release_that_is_installed_anew_is_no_rival(world: World) -> None:
    world.writer = Writer("elsewhere/tidegate-operator", 1)
    world.restart()
    world.run(600)

    assert world.status["history"][0]["outcome"] == "Promoted"
    assert not [line for line in world.transcript if "TwoOperators" in line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tidegate/tidegate-operator/12", Writer("tidegate/tidegate-operator", 12)),
        ("", None),
        ("somebody", None),
        ("tidegate/tidegate-operator/twelve", None),
    ],
)
def test_a_writers_mark_is_read_back(text: str, expected: Writer | None) -> None:
    assert Writer.parse(text) == expected
    assert expected is None or str(expected) == text
