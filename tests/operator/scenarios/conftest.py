"""What scenarios of steps share: a world in which a model has been live for a while, and others wait to be released."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.world import Behaviour, World

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
    "http://models/slow": Behaviour(latency=0.104),
}


@pytest.fixture(params=[World, DirectWorld], ids=["read from Prometheus", "read directly"])
def live_world(request: pytest.FixtureRequest, spec_schema: Mapping[str, Any]) -> World:
    """Model 1 has been live for two minutes, with two pods. 2 is as good; `failing` and `slow` are what they say."""
    world: World = request.param(spec_schema, MODELS)
    world.kubectl_apply(model={"uri": "http://models/1"}, replicas=2)
    world.run(120)
    return world


def routes(world: World) -> list[str]:
    """Each split that was written, in order."""
    return [line.split("route ", 1)[1] for line in world.transcript if " route " in line]
