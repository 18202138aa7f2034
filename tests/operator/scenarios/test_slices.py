"""Requests of one tenant fail, and all together don't: from the routers' counters to the verdict that names it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.directly import DirectWorld
from tests.operator.world import Behaviour
from tidegate.kube.api import CONTROLLER_REVISIONS, MODEL_ROUTES
from tidegate.model.slices import CELL, OTHER, Slice, cells_of

TENANTS = Slice("tenant", "x-tenant", ("acme", "umbrella"))
CELLS = {group: cells for (_, group), (cells,) in cells_of((TENANTS,)).items()}
SHARES = {"acme": 0.1, "umbrella": 0.3, OTHER: 0.6}
SLICES: list[dict[str, Any]] = [{"name": "tenant", "header": "X-Tenant", "values": list(TENANTS.values)}]
SLICES_OF_ROUTE = [{**SLICES[0], "header": "x-tenant"}]
OVERALL = 0.02
WORSE_FOR_ACME = "http://models/worse-for-acme"
MODELS = {
    "http://models/1": Behaviour(error_rate=OVERALL),
    "http://models/2": Behaviour(error_rate=OVERALL),
    WORSE_FOR_ACME: Behaviour(error_rate=OVERALL),
}
COUNTERS = {
    "completed": ("upstream_rq_completed", {}),
    "failed": ("upstream_rq_xx", {"envoy_response_code_class": "5"}),
}


class SlicedWorld(DirectWorld):
    """Whose routers count each tenant's requests too, while the route says so."""

    @property
    def route(self) -> Mapping[str, Any]:
        """The spec of the ModelRoute."""
        spec: Mapping[str, Any] = self._objects[(MODEL_ROUTES, "digits")]["spec"]
        return spec

    def _serve(self, revision: str, requests: float, came_by: str = "") -> None:
        super()._serve(revision, requests, came_by)
        if not self.route.get("slices") or not self._ready(revision):
            return
        uri = self._objects[(CONTROLLER_REVISIONS, revision)]["data"]["model"]["uri"]
        for group, share in SHARES.items():
            of_group = requests * share
            self._count(revision, f"{CELLS[group]} completed", of_group)
            self._count(revision, f"{CELLS[group]} failed", of_group * failing(uri, group))

    def of_router(self, revision: str, measure: str, *, latency: bool = True) -> dict[str, str]:
        if not measure.startswith(CELL):
            return super().of_router(revision, measure, latency=latency)
        cell, what = measure.split()
        counter, labels = COUNTERS[what]
        return {
            "__name__": f"envoy_cluster_{cell}_{counter}",
            **labels,
            "envoy_cluster_name": f"shop/digits/{revision}",
        }


def failing(uri: str, group: str) -> float:
    """The share of a group's requests that fails: by any model as much of the whole."""
    if uri != WORSE_FOR_ACME:
        return OVERALL
    return OVERALL / SHARES["acme"] if group == "acme" else 0.0


def release(world: SlicedWorld, uri: str, **analysis: Any) -> None:
    steps = {"canary": {"steps": [{"weight": 25, "minDuration": "2m"}, {"weight": 50}]}}
    world.kubectl_apply(model={"uri": uri}, strategy=steps, analysis={"bake": "5s", **analysis})


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> SlicedWorld:
    world = SlicedWorld(spec_schema, MODELS)
    release(world, "http://models/1", slices=SLICES)
    world.run(90)
    return world


def test_what_one_tenant_suffers_takes_the_candidate_back_and_is_named(world: SlicedWorld) -> None:
    release(world, WORSE_FOR_ACME, slices=SLICES)
    world.run(300)
    newest = world.status["history"][0]

    assert (newest["outcome"], newest["reason"]) == ("RolledBack", "SliceWorse")
    assert re.search(
        r"rolled back: slice tenant, acme: error rate 19\.5% \(16 of 82 requests\) against 2\.34% on stable \(6 of 256 "
        r"requests\); all requests: error rate [12]\.\d+% \(.*\) against [12]\.\d+% on stable",
        newest["message"],
    )
    assert "few requests" not in newest["message"]


def test_without_slices_the_same_candidate_is_promoted(world: SlicedWorld) -> None:
    release(world, WORSE_FOR_ACME)
    world.run(600)

    assert world.status["history"][0]["outcome"] == "Promoted"


def test_a_candidate_that_is_as_good_for_all_is_promoted(world: SlicedWorld) -> None:
    release(world, "http://models/2", slices=SLICES)
    world.run(600)

    assert world.status["history"][0]["outcome"] == "Promoted"


def test_what_was_counted_goes_on_after_a_restart_of_the_operator(world: SlicedWorld) -> None:
    release(world, WORSE_FOR_ACME, slices=SLICES)
    for _ in range(30):
        world.run(10)
        world.restart()

    assert world.status["history"][0]["reason"] == "SliceWorse"


def test_slices_alone_begin_no_rollout(world: SlicedWorld) -> None:
    before = world.status["stable"]
    assert world.route["slices"] == SLICES_OF_ROUTE
    release(world, "http://models/1")
    world.run(60)

    assert "slices" not in world.route
    assert world.status["stable"] == before
    assert "history" not in world.status
