"""Worlds in which the operator has released something: what it recorded is what a replay is held against."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.cli.common.cluster import Cluster, open_cluster
from tidegate.cli.common.where import Where
from tidegate.cli.replay.command import Request, replay_report
from tidegate.cli.replay.report import ReplayReport

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
    "http://models/slow": Behaviour(latency=0.104),
    "http://models/crashing": Behaviour(starts_after=None),
}
CANARY = {"canary": {"steps": [{"weight": 10}, {"weight": 25}, {"weight": 50}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "10s", "keepOld": "30s"}}
SCRAPE_INTERVAL = timedelta(seconds=5)

Released = Callable[..., World]
Replayed = Callable[..., ReplayReport]


@pytest.fixture
def released(spec_schema: Mapping[str, Any]) -> Released:
    """A world in which these models were released after the first, one after the other."""

    def build(*names: str, rps: int = 100, seconds: float = 300, **more: Any) -> World:
        world = World(spec_schema, MODELS, rps=rps)
        for name, time in [("1", 60.0), *((name, seconds) for name in names)]:
            world.kubectl_apply(**{"model": {"uri": f"http://models/{name}"}, "strategy": CANARY, **more})
            world.run(time)
        return world

    return build


@pytest.fixture
def cluster(place: Path) -> Cluster:
    """The fake one, as commands see it."""
    return open_cluster(Where(kubeconfig=str(place), namespace="shop"))


@pytest.fixture
def replayed() -> Replayed:
    """What `tidegate replay` makes of a world's rollout."""

    def report(world: World, number: int | None = None, changes: Sequence[str] = ()) -> ReplayReport:
        request = Request("shop", "digits", number, SCRAPE_INTERVAL, tuple(changes))
        return replay_report(world.model_deployment("shop", "digits"), world, request, world.now)

    return report
