"""A model that the node mounts from an image: released as others are, and not at all where the volume is dropped."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.kube.api import DEPLOYMENTS, Resource

IMAGE = f"oci://registry.example.com/digits@sha256:{'ab' * 32}"
MODELS = {"http://models/1": Behaviour(), IMAGE: Behaviour()}


class Older(World):
    """Its API server has image volumes off: it leaves them out of what it takes, and says nothing."""

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        super().create(resource, without_image_volumes(manifest) if resource == DEPLOYMENTS else manifest)


def without_image_volumes(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    template = manifest["spec"]["template"]
    volumes = [volume for volume in template["spec"]["volumes"] if "image" not in volume]
    return {
        **manifest,
        "spec": {**manifest["spec"], "template": {**template, "spec": {**template["spec"], "volumes": volumes}}},
    }


def released(world: World) -> World:
    """An image beside a model that has been live for two minutes, and ten minutes later."""
    world.kubectl_apply(model={"uri": "http://models/1"}, replicas=2)
    world.run(120)
    world.kubectl_apply(model={"uri": IMAGE, "delivery": "ImageVolume"}, replicas=2)
    world.run(600)
    return world


def test_a_model_in_an_image_volume_is_released_as_any_other(spec_schema: Mapping[str, Any]) -> None:
    world = released(World(spec_schema, MODELS))

    assert [entry["outcome"] for entry in world.status["history"]] == ["Promoted"]
    assert world.status["stable"]["model"]["uri"] == IMAGE


def test_where_the_volume_is_dropped_stable_keeps_all_traffic_and_the_sentence_says_why(
    spec_schema: Mapping[str, Any],
) -> None:
    world = released(Older(spec_schema, MODELS))
    (entry,) = world.status["history"]

    assert (entry["outcome"], entry["reason"]) == ("RolledBack", "ImageVolumesOff")
    assert "set spec.model.delivery to Fetch" in entry["message"]
    assert "shifts" not in entry
    assert world.status["stable"]["model"]["uri"] == "http://models/1"


@pytest.mark.parametrize("world", [World, Older], ids=["with image volumes", "without"])
def test_a_model_that_is_fetched_minds_neither(world: type[World], spec_schema: Mapping[str, Any]) -> None:
    found = world(spec_schema, MODELS)
    found.kubectl_apply(model={"uri": "http://models/1"}, replicas=2)
    found.run(120)

    assert found.status["phase"] == "Live"
