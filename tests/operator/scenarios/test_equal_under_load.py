"""Equal models of less than a millisecond on a machine whose load comes and goes for both: no difference is found."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.operator.directly import DirectWorld, SimulatedRouter
from tests.operator.world import Behaviour
from tidegate.router.bootstrap import LATENCY_MS

MODELS = {f"http://models/{name}": Behaviour(latency=0.0006) for name in (1, 2)}
STEPS = {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}}
BY_ROUTER = "by the router, below "


class BusyMachine(DirectWorld):
    """For some seconds both models take up to twenty times as long as they need. Routers count whole milliseconds."""

    scrape = 5

    def __init__(self, schema: Mapping[str, Any], routers: int, pods: tuple[float, ...]) -> None:
        self._load, self._times = random.Random(5), 1
        super().__init__(schema, MODELS)
        self.server_shares = pods
        self.behind = {f"router-{number}": SimulatedRouter(1 / routers) for number in range(routers)}
        self.applied = dict.fromkeys(self.behind)

    def release(self, uri: str) -> None:
        self.kubectl_apply(model={"uri": uri}, strategy=STEPS, analysis={"bake": "5s"})

    def pass_time(self, due: datetime | None) -> None:
        if self._load.random() < 1 / 10:
            self._times = self._load.choice((1, 1, 1, 2, 5, 20))
        super().pass_time(due)

    def _behaviour(self, revision: str) -> Behaviour:
        behaviour = super()._behaviour(revision)
        return replace(behaviour, latency=behaviour.latency * self._times)

    def _serve(self, revision: str, requests: float, came_by: str = "") -> None:
        super()._serve(revision, requests, came_by)
        latency = self._behaviour(revision).latency * 1000
        for bound in (*LATENCY_MS, math.inf):
            self._count(revision, f"{BY_ROUTER}{bound:g}", requests / (1 + (latency / bound) ** 6))

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        return self.of_router(revision, measure, latency=False) or super().labels(revision, measure)

    def of_router(self, revision: str, measure: str, *, latency: bool = True) -> dict[str, str]:
        if not measure.startswith(BY_ROUTER):
            return super().of_router(revision, measure, latency=False)
        bound = measure.removeprefix(BY_ROUTER).replace("inf", "+Inf")
        cluster = {"envoy_cluster_name": f"shop/digits/{revision}", "le": bound}
        return {"__name__": "envoy_cluster_upstream_rq_time_bucket", **cluster}


@pytest.mark.parametrize("routers", [pytest.param(1, id="one router"), pytest.param(2, id="two routers")])
def test_what_slows_both_models_alike_keeps_neither_from_promotion(
    spec_schema: Mapping[str, Any], routers: int
) -> None:
    world = BusyMachine(spec_schema, routers, pods=(0.5, 0.5))
    world.release("http://models/1")
    world.run(240)
    world.release("http://models/2")
    world.run(120)

    assert world.second_of("event Promoted") < 340
