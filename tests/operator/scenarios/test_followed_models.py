"""A name of a model that is followed: what it means is what is released."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.kube.informer import Key
from tidegate.model.followed import Answers
from tidegate.registries.reference import Reference
from tidegate.view.rollout_view import RolloutView, Settled

URI = "models:/digits@champion"
GOOD, BETTER, BAD = "models:/digits/7", "models:/digits/8", "models:/digits/9"
MODELS = {GOOD: Behaviour(), BETTER: Behaviour(), BAD: Behaviour(error_rate=0.2)}
MODEL = {"uri": URI, "follow": {"every": "1m"}}


class Looks:
    """A registry that is looked at when a test says so."""

    def __init__(self) -> None:
        self.known = Answers(URI)

    def answers(self, key: Key, reference: Reference | None) -> Answers | None:
        return self.known if reference else None

    def forget(self, key: Key) -> None:
        """Nothing is kept."""

    def see(self, answer: str, times: int = 2) -> None:
        for _ in range(times):
            self.known = self.known.with_answer(answer)

    def fail(self, problem: str) -> None:
        self.known = self.known.with_problem(problem)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def world(spec_schema: Mapping[str, Any], looks: Looks) -> World:
    world = World(spec_schema, MODELS)
    world.follower = looks
    world.restart()
    return world


def outcomes(world: World) -> list[str]:
    return [entry["outcome"] for entry in world.status.get("history", ())]


def stable_uri(world: World) -> str:
    return str(world.status["stable"]["model"]["uri"])


def live(world: World, looks: Looks) -> None:
    looks.see(GOOD)
    world.kubectl_apply(model=MODEL)
    world.run(60)
    assert stable_uri(world) == GOOD


def test_what_the_name_means_goes_live_and_is_recorded(world: World, looks: Looks) -> None:
    live(world, looks)
    assert (world.status["model"]["uri"], world.status["model"]["resolved"]) == (URI, GOOD)


@pytest.mark.parametrize(
    ("version", "ended"),
    [
        pytest.param(BETTER, Settled.LIVE, id="promoted"),
        pytest.param(BAD, Settled.FAILED, id="rolled back"),
    ],
)
def test_whoever_waits_for_a_version_hears_of_no_other(
    world: World, looks: Looks, version: str, ended: Settled
) -> None:
    live(world, looks)
    heard = [waited_for(world, version)]
    looks.see(version)
    for _ in range(200):
        world.run(2)
        heard.append(waited_for(world, version))

    assert list(dict.fromkeys(heard)) == [Settled.UNDER_WAY, ended]
    number = version.rpartition("/")[2]
    assert (waited_for(world, number), waited_for(world, f"1{number}")) == (ended, Settled.UNDER_WAY)


def test_a_version_that_was_rolled_back_does_not_end_the_wait_for_the_next(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BAD)
    world.run(400)
    assert (waited_for(world, BAD), waited_for(world, BETTER)) == (Settled.FAILED, Settled.UNDER_WAY)


def waited_for(world: World, version: str) -> Settled:
    manifest = world.model_deployment("shop", "digits")
    assert manifest is not None
    return RolloutView.of(manifest).settled_at(version)


def test_nothing_happens_until_the_first_answer(world: World, looks: Looks) -> None:
    world.kubectl_apply(model=MODEL)
    world.run(30)
    assert world.status == {}
    looks.fail("it can't be reached: Connection refused")
    world.run(30)
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert "can't be followed yet: it can't be reached" in world.status["message"]
    looks.see(GOOD, times=1)
    world.run(60)
    assert (stable_uri(world), world.condition("Stalled")[0]) == (GOOD, "False")


def test_a_name_that_moved_is_released(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BETTER)
    world.run(1800)
    assert (stable_uri(world), outcomes(world)) == (BETTER, ["Promoted"])


def test_a_bad_model_is_rolled_back_and_not_tried_again(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BAD)
    world.run(1800)
    assert (stable_uri(world), outcomes(world)) == (GOOD, ["RolledBack"])


def test_a_registry_that_is_away_changes_nothing_even_over_a_restart(world: World, looks: Looks) -> None:
    live(world, looks)
    world.follower = away = Looks()
    away.fail("it can't be reached: Connection refused")
    world.restart()
    world.run(600)
    assert (stable_uri(world), outcomes(world)) == (GOOD, [])
    assert world.condition("ReferenceCaution") == ("True", "ReferenceUnknown")
    assert world.condition("Ready")[0] == "True"


def test_a_registry_that_is_away_holds_no_rollback_up(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BAD)
    world.run(5)
    assert "rollout" in world.status
    looks.fail("it gave no whole answer within 10 s")
    world.run(600)
    assert (stable_uri(world), outcomes(world)) == (GOOD, ["RolledBack"])


def test_a_new_name_that_nobody_answers_holds_no_rollback_up(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BAD)
    world.run(5)
    assert "rollout" in world.status
    looks.known = Answers("models:/digits@other")
    world.kubectl_apply(model={**MODEL, "uri": "models:/digits@other"})
    world.restart()
    world.run(600)
    assert (stable_uri(world), outcomes(world)) == (GOOD, ["RolledBack"])


def test_a_new_name_that_is_being_asked_is_not_told_of_as_if_it_were_live(world: World, looks: Looks) -> None:
    live(world, looks)
    before = world.status["observedGeneration"]
    looks.known = Answers("models:/digits@other")
    world.kubectl_apply(model={**MODEL, "uri": "models:/digits@other"})
    world.run(30)
    assert world.status["observedGeneration"] == before

    looks.fail("the registry has no alias other")
    world.run(30)
    assert (world.status["observedGeneration"], world.status["phase"]) == (before + 1, "Invalid")


def test_a_name_that_flips_starts_no_rollout(world: World, looks: Looks) -> None:
    live(world, looks)
    for _ in range(50):
        looks.see(BETTER, times=1)
        world.run(15)
        looks.see(GOOD, times=1)
        world.run(15)
    assert (stable_uri(world), outcomes(world), "rollout" in world.status) == (GOOD, [], False)
    assert world.condition("ReferenceCaution") == ("True", "ReferenceUnsettled")


def test_a_name_that_goes_back_ends_the_rollout(world: World, looks: Looks) -> None:
    live(world, looks)
    looks.see(BETTER)
    world.run(15)
    assert world.status["rollout"]["candidate"] != world.status["stable"]["revision"]
    looks.see(GOOD, times=16)
    world.run(60)
    assert (stable_uri(world), outcomes(world)) == (GOOD, ["Aborted"])
