"""What a pass does around deciding."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import SETTINGS, START, Behaviour, World
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.reconciler import Reconciler
from tidegate.errors import ObjectGone
from tidegate.metrics.collector import MetricsCollector
from tidegate.model.decision import Decision
from tidegate.model.observation import Observation


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    return World(spec_schema, {"http://models/1": Behaviour()})


def apply_nonsense(world: World) -> None:
    """A spec as an older CRD would let it through."""
    world.kubectl_apply(model={"uri": "http://models/1"}, progressDeadline="soon")


def test_nothing_is_done_about_what_is_not_there(world: World) -> None:
    assert world.reconcile() is None
    assert world.transcript == []


def test_nothing_is_done_about_what_is_being_deleted(world: World) -> None:
    world.kubectl_apply(model={"uri": "http://models/1"})
    manifest = world.model_deployment("shop", "digits")
    assert manifest is not None
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    before = list(world.transcript)

    assert world.reconcile() is None
    assert world.transcript == before


def test_an_invalid_spec_is_recorded_and_announced_once(world: World) -> None:
    apply_nonsense(world)
    for _ in range(3):
        assert world.reconcile() is None

    message = "spec: 'soon' is not a duration such as 90s, 2m or 1h30m; is the CRD older than the operator?"
    assert world.transcript[1:] == [f"   0 s  event InvalidSpec: {message}"]
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.status["message"] == message


def test_an_invalid_spec_leaves_the_stable_revision_as_it_is(world: World) -> None:
    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(20)
    split, stable = world.split, world.status["stable"]
    apply_nonsense(world)
    world.run(20)

    assert (world.split, world.status["stable"]) == (split, stable)

    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(5)
    assert world.condition("Stalled") == ("False", "Idle")
    assert world.status["phase"] == "Live"


def test_every_decision_is_given_to_the_listener(world: World) -> None:
    recorded: list[tuple[Observation, Decision]] = []
    world.kubectl_apply(model={"uri": "http://models/1"})
    reconciler = Reconciler(
        world, RolloutJudge(MetricsCollector(world)), SETTINGS, lambda seen, decision: recorded.append((seen, decision))
    )
    again = reconciler.reconcile("shop", "digits", world.now)

    ((seen, decision),) = recorded
    assert (seen.name, seen.generation) == ("digits", 1)
    assert decision.requeue_after == again


@pytest.mark.parametrize("timeout", ["60s", "0s", "2h"])
def test_a_route_with_a_timeout_is_written_once(timeout: str, world: World) -> None:
    world.kubectl_apply(model={"uri": "http://models/1"}, traffic={"timeout": timeout})
    world.run(60)
    before = list(world.transcript)
    for _ in range(3):
        world.reconcile()

    assert world.transcript == before
    assert len([line for line in world.transcript if "  route " in line]) == 1


class Missed(World):
    """The ModelDeployment is gone, or is another's by now, and nobody has told the operator."""

    gone = False

    def confirm(self, namespace: str, name: str, uid: str) -> None:
        self.confirmed = [*getattr(self, "confirmed", []), self.now]
        if self.gone:
            raise ObjectGone(f"ModelDeployment {namespace}/{name} was deleted")

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        if self.gone:
            raise ObjectGone(f"ModelDeployment {namespace}/{name} was deleted")
        super().record_status(namespace, name, status, version)


@pytest.fixture
def missed(spec_schema: Mapping[str, Any]) -> Missed:
    bad = Behaviour(error_rate=0.2)
    return Missed(spec_schema, {"http://models/1": Behaviour(), "http://models/2": bad})


def test_nothing_is_created_for_an_object_that_is_gone(missed: Missed) -> None:
    missed.kubectl_apply(model={"uri": "http://models/1"})
    missed.gone = True
    forgotten: list[tuple[str, str]] = []
    judge = RolloutJudge(MetricsCollector(missed))
    reconciler = Reconciler(missed, judge, SETTINGS, lambda *_: None, lambda *where: forgotten.append(where))

    assert reconciler.reconcile("shop", "digits", missed.now) is None
    assert forgotten == [("shop", "digits")]
    assert missed.transcript == ["   0 s  apply http://models/1"]


@pytest.mark.parametrize("spec", [{}, {"progressDeadline": "soon"}], ids=["a good spec", "a spec that is refused"])
def test_a_status_of_an_object_that_is_gone_ends_the_matter(spec: Mapping[str, Any], missed: Missed) -> None:
    missed.kubectl_apply(model={"uri": "http://models/1"})
    missed.run(20)
    missed.gone = True
    missed.kubectl_apply(model={"uri": "http://models/1"}, replicas=2, **spec)

    assert missed.reconcile() is None


def test_only_the_beginning_of_a_rollout_asks_whether_the_object_is_still_there(missed: Missed) -> None:
    missed.kubectl_apply(model={"uri": "http://models/1"})
    missed.run(20)
    second = missed.now
    missed.kubectl_apply(model={"uri": "http://models/2"})
    missed.run(200)

    assert missed.status["phase"] == "RolledBack"
    assert missed.confirmed == [START, second]
