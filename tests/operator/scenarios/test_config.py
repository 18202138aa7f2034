"""The content of ConfigMaps and Secrets is part of a revision: released, judged and undone with the rest of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.operator.world import SETTINGS, Behaviour, Crash, World
from tidegate.kube.api import CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS, SECRETS
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.names import MODEL_DEPLOYMENT

MODEL = "http://models/1.onnx"
FROM = {"envFrom": [{"configMapRef": {"name": "thresholds"}}]}
FIRST_TOKEN, OTHER_TOKEN = "czNjcjN0", "b3RoZXI="
BLUE_GREEN = {"blueGreen": {"verifyFor": "5s", "keepOld": "5s"}}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    """A model that reads the ConfigMap thresholds, which is live."""
    world = World(spec_schema, {MODEL: Behaviour(), "http://models/2.onnx": Behaviour()})
    world.put_config("thresholds", LIMIT="0.5")
    apply(world)
    world.run(30)
    assert world.status["phase"] == "Live"
    return world


def apply(world: World, uri: str = MODEL, server: Mapping[str, Any] = FROM, **more: Any) -> None:
    world.kubectl_apply(model={"uri": uri}, server=dict(server), strategy=BLUE_GREEN, **more)


def stable(world: World) -> str:
    revision: str = world.status["stable"]["revision"]
    return revision


def limit(world: World, revision: str) -> str:
    """What a revision's servers find in the ConfigMap that they name."""
    (container,) = world.object(DEPLOYMENTS, revision)["spec"]["template"]["spec"]["containers"]
    (source,) = container["envFrom"]
    copy = world.object(CONFIG_MAPS, source["configMapRef"]["name"])
    assert copy["immutable"] is True
    found: str = copy["data"]["LIMIT"]
    return found


def test_a_changed_config_map_is_a_release_and_both_revisions_keep_their_own_content(world: World) -> None:
    first = stable(world)
    world.put_config("thresholds", LIMIT="0.7")
    world.run(15)
    second = world.status["rollout"]["candidate"]

    assert second != first
    assert (limit(world, first), limit(world, second)) == ("0.5", "0.7")
    world.run(600)
    assert (stable(world), world.status["phase"], world.lost) == (second, "Live", 0)


def test_a_config_map_that_has_what_it_had_before_is_the_revision_of_before(world: World) -> None:
    first = stable(world)
    world.put_config("thresholds", LIMIT="0.7")
    world.run(600)
    world.put_config("thresholds", LIMIT="0.5")
    world.run(600)

    assert stable(world) == first
    assert limit(world, first) == "0.5"
    assert world.status["history"][0]["reason"] == "Returned"


def test_a_change_of_a_key_that_nobody_uses_is_no_release(world: World) -> None:
    one_key = {"env": [{"name": "LIMIT", "valueFrom": {"configMapKeyRef": {"name": "thresholds", "key": "LIMIT"}}}]}
    apply(world, server=one_key)
    world.run(600)
    before = stable(world)
    world.put_config("thresholds", LIMIT="0.5", OWNER="me")
    world.run(60)

    assert (stable(world), world.status.get("rollout")) == (before, None)
    copy = world.object(CONFIG_MAPS, f"{before}-config-0")
    assert copy["data"] == {"LIMIT": "0.5"}
    assert copy["metadata"]["ownerReferences"][0]["name"] == copy["metadata"]["labels"][MODEL_DEPLOYMENT] == "digits"


def test_a_release_whose_config_map_is_missing_is_refused_in_a_sentence_and_stable_serves_on(world: World) -> None:
    first = stable(world)
    apply(world, server={"envFrom": [{"configMapRef": {"name": "words"}}]})
    world.run(60)

    assert world.status["phase"] == "Invalid"
    assert world.status["message"] == (
        "spec.server.envFrom[0] names the ConfigMap words, which there isn't; create it, or set optional: true"
    )
    assert (world.split, world.lost) == (TrafficSplit.only(first), 0)
    world.put_config("words", HELLO="world")
    world.run(600)
    assert (stable(world) != first, world.status["phase"]) == (True, "Live")


def test_a_key_that_is_missing_is_named(world: World) -> None:
    reference = {"configMapKeyRef": {"name": "thresholds", "key": "FLOOR"}}
    apply(world, server={"env": [{"name": "FLOOR", "valueFrom": reference}]})
    world.run(30)

    assert world.status["message"] == (
        "spec.server.env FLOOR names the key FLOOR of the ConfigMap thresholds, which lacks it; add it, or set "
        "optional: true"
    )


def test_a_config_map_too_large_to_be_copied_is_refused(world: World) -> None:
    world.put_config("thresholds", LIMIT="0.5", MORE="x" * 1_100_000)
    world.run(30)

    assert world.status["message"].startswith("the ConfigMaps and Secrets of spec.server have 1100003 bytes")
    assert world.status["phase"] == "Invalid"


def test_what_is_optional_may_be_missing_and_is_a_release_when_it_comes(world: World) -> None:
    apply(world, server={"envFrom": [{"configMapRef": {"name": "words", "optional": True}}]})
    world.run(600)
    without = stable(world)
    world.put_config("words", HELLO="world")
    world.run(600)

    assert stable(world) != without
    assert f"{without}-config-0" not in world.names(CONFIG_MAPS)
    assert f"{stable(world)}-config-0" in world.names(CONFIG_MAPS)


def test_a_config_map_that_is_deleted_ends_nothing(world: World) -> None:
    first = stable(world)
    world.delete_config("thresholds")
    world.run(30)

    assert (stable(world), world.status["phase"], world.lost) == (first, "Live", 0)
    assert any(
        "ConfigUnusable: spec.server.envFrom[0] names the ConfigMap thresholds" in line for line in world.transcript
    )


def test_a_rollout_goes_on_though_its_config_map_is_deleted_and_the_operator_starts_anew(world: World) -> None:
    world.put_config("thresholds", LIMIT="0.7")
    world.run(10)
    second = world.status["rollout"]["candidate"]
    world.delete_config("thresholds")
    world.restart()
    world.run(600)

    assert (stable(world), limit(world, second), world.lost) == (second, "0.7", 0)


def test_a_rollback_waits_for_no_config_map(spec_schema: Mapping[str, Any]) -> None:
    failing = "http://models/bad.onnx"
    world = World(spec_schema, {MODEL: Behaviour(), failing: Behaviour(error_rate=0.6)})
    world.put_config("thresholds", LIMIT="0.5")
    apply(world)
    world.run(30)
    first = stable(world)
    apply(world, failing)
    world.run_until(lambda: world.split is not None and world.split.weight(first) < 100)
    world.delete_config("thresholds")
    apply(world, server={"envFrom": [{"configMapRef": {"name": "words"}}]})
    world.restart()
    world.run(120)

    assert world.split == TrafficSplit.only(first)
    assert world.status["phase"] == "Invalid"


def test_what_was_rolled_back_is_not_tried_again_while_nobody_knows_what_its_config_map_has(
    spec_schema: Mapping[str, Any],
) -> None:
    failing = "http://models/bad.onnx"
    world = World(spec_schema, {MODEL: Behaviour(), failing: Behaviour(error_rate=0.6)})
    world.put_config("thresholds", LIMIT="0.5")
    apply(world)
    world.run(30)
    first = stable(world)
    apply(world, failing)
    world.run(600)
    rejected = world.status["rejected"]["revision"]
    world.delete_config("thresholds")
    world.run(60)
    world.put_config("thresholds", LIMIT="0.5")
    world.run(60)

    assert (stable(world), world.status["rejected"]["revision"], world.status["phase"]) == (
        first,
        rejected,
        "RolledBack",
    )


def test_a_revision_is_gone_back_to_with_the_content_that_it_had(world: World) -> None:
    first = stable(world)
    world.put_config("thresholds", LIMIT="0.7")
    world.run(600)
    assert stable(world) != first
    apply(world, server={**FROM, "configRevision": first})
    world.run(600)

    assert (stable(world), limit(world, first), world.status["phase"]) == (first, "0.5", "Live")
    world.put_config("thresholds", LIMIT="0.9")
    world.run(60)
    assert stable(world) == first
    assert any(
        f"ConfigHeld: ConfigMaps and Secrets are used as they were for {first}" in line for line in world.transcript
    )


def test_another_model_can_be_released_with_the_content_of_an_earlier_revision(world: World) -> None:
    first = stable(world)
    world.put_config("thresholds", LIMIT="0.7")
    world.run(600)
    apply(world, "http://models/2.onnx", {**FROM, "configRevision": first})
    world.run(600)

    assert stable(world) != first
    assert limit(world, stable(world)) == "0.5"


def test_a_revision_of_which_there_is_no_snapshot_cannot_give_its_content(world: World) -> None:
    first = stable(world)
    apply(world, "http://models/2.onnx", {**FROM, "configRevision": "digits-00000000"})
    world.run(30)

    assert world.status["message"].startswith("spec.server.configRevision names digits-00000000, of which there is no")
    assert world.split == TrafficSplit.only(first)


def test_a_copy_that_somebody_deletes_is_made_anew_while_the_content_is_still_there(world: World) -> None:
    first = stable(world)
    world.delete_config(f"{first}-config-0")
    world.run(30)

    assert limit(world, first) == "0.5"


def test_copies_go_with_their_revisions_snapshot(world: World) -> None:
    apply(world, revisionHistoryLimit=1)
    for number in range(4):
        world.put_config("thresholds", LIMIT=str(number))
        world.run(600)
    revisions = set(world.names(CONTROLLER_REVISIONS))
    copies = {name for name in world.names(CONFIG_MAPS) if "-config-" in name}

    assert len(revisions) == 2
    assert copies == {f"{revision}-config-0" for revision in revisions}


@pytest.mark.parametrize("after", [False, True], ids=["before a write", "after it"])
@pytest.mark.parametrize("write", range(1, 8))
def test_a_crash_at_any_write_of_a_new_revision_heals(world: World, write: int, after: bool) -> None:
    first = stable(world)
    world.put_config("thresholds", LIMIT="0.7")
    with world.crashing_at(write, after=after):
        for _ in range(20):
            try:
                world.run(1)
            except Crash:
                break
    world.restart()
    world.run(600)

    assert stable(world) != first
    assert (limit(world, stable(world)), world.lost) == ("0.7", 0)


def secret(spec_schema: Mapping[str, Any], *, followed: bool) -> World:
    settings = replace(SETTINGS, config_secret="key" if followed else "")
    world = World(spec_schema, {MODEL: Behaviour()}, settings=settings)
    world.put_config("token", kind="Secret", TOKEN=FIRST_TOKEN)
    apply(world, server={"envFrom": [{"secretRef": {"name": "token"}}]})
    world.run(30)
    return world


def test_a_secret_that_is_followed_is_copied_to_a_secret_and_told_nowhere(spec_schema: Mapping[str, Any]) -> None:
    world = secret(spec_schema, followed=True)
    first = stable(world)
    world.put_config("token", kind="Secret", TOKEN=OTHER_TOKEN)
    world.run(600)

    assert stable(world) != first
    assert world.object(SECRETS, f"{first}-config-0")["data"] == {"TOKEN": FIRST_TOKEN}
    assert world.object(SECRETS, f"{stable(world)}-config-0")["data"] == {"TOKEN": OTHER_TOKEN}
    told = [
        str(world.object(kind, name))
        for kind in (CONFIG_MAPS, CONTROLLER_REVISIONS, DEPLOYMENTS)
        for name in world.names(kind)
    ]
    assert not any(FIRST_TOKEN in text or OTHER_TOKEN in text for text in (*told, str(world.status), *world.transcript))


def test_a_secret_that_is_not_followed_is_used_as_it_is(spec_schema: Mapping[str, Any]) -> None:
    world = secret(spec_schema, followed=False)
    first = stable(world)
    world.put_config("token", kind="Secret", TOKEN=OTHER_TOKEN)
    world.run(600)

    assert stable(world) == first
    (container,) = world.object(DEPLOYMENTS, first)["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "token"}}]
    assert world.names(SECRETS) == ["token"]


@pytest.mark.parametrize("before", [True, False], ids=["no longer", "from now on"])
def test_nothing_is_released_because_secrets_are_followed(spec_schema: Mapping[str, Any], before: bool) -> None:
    world = secret(spec_schema, followed=before)
    first = stable(world)
    world.settings = replace(SETTINGS, config_secret="" if before else "key")
    world.restart()
    world.run(60)

    assert (stable(world), world.status.get("rollout")) == (first, None)
