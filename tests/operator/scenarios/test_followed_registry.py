"""From an alias that moves in a registry, over HTTP, to the model that is released."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import until
from tests.mlflow_registry import Registry, Version, serving
from tests.operator.registries.test_resolver import registries
from tests.operator.scenarios.test_followed_models import MODELS, URI, outcomes, stable_uri
from tests.operator.world import World
from tidegate.model import followed
from tidegate.registries.follower import Follower
from tidegate.registries.reference import Reference
from tidegate.webhooks.dispatcher import Dispatcher


def started(world: World, spec: Mapping[str, Any]) -> Dispatcher:
    """An operator that has looked at the alias until it believes what that means."""
    dispatcher, reference = Dispatcher(), Reference.of(spec)
    world.follower = follower = Follower(dispatcher, registries(), lambda *_: None)
    world.restart()

    def settled() -> bool:
        answers = follower.answers(("shop", "digits"), reference)
        return answers is not None and answers.is_settled

    until(settled, within=60.0)
    return dispatcher


def test_an_alias_that_moves_is_released(spec_schema: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "UNSETTLED_PAUSE", timedelta(milliseconds=20))
    world, versions = World(spec_schema, MODELS), {"7": Version(), "8": Version()}
    with serving(Registry(versions, {"champion": "7"})) as registry:
        env = [{"name": "MLFLOW_TRACKING_URI", "value": registry.address}]
        spec = {"model": {"uri": URI, "follow": {"every": "1h"}, "fetchEnv": env}}
        world.kubectl_apply(**spec)
        first = started(world, spec)
        world.run(60)
        assert (stable_uri(world), outcomes(world)) == ("models:/digits/7", [])
        registry.aliases["champion"] = "8"
        second = started(world, spec)
        world.run(1800)
        assert (stable_uri(world), outcomes(world)) == ("models:/digits/8", ["Promoted"])
        for dispatcher in (first, second):
            dispatcher.stop()
