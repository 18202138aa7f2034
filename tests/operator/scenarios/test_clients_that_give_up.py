"""A model that hangs answers nothing, and its clients leave before any timeout: the routers' counters have to tell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.operator.scraping import ScrapedWorld
from tests.operator.world import Behaviour

CANARY = {"canary": {"steps": [{"weight": 50, "minDuration": "2m"}]}}
PARTS = {
    "total": "rq_total",
    "under way": "rq_active",
    "retries": "rq_retry",
    "cancelled": "rq_cancelled",
    "refused": "rq_pending_failure_eject",
    "overflow": "rq_pending_overflow",
    "no pod": "cx_none_healthy",
}


@dataclass(frozen=True)
class Hanging(Behaviour):
    """`hangs` is the share of requests that nobody answers before their client leaves."""

    hangs: float = 0.0


class Impatient(ScrapedWorld):
    """Its clients give up after a moment, long before the route's timeout."""

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        if measure not in PARTS:
            return super().labels(revision, measure)
        name = f"envoy_cluster_upstream_{PARTS[measure]}"
        return {"__name__": name, "envoy_cluster_name": f"shop/digits/{revision}", "instance": "router"}

    def _serve(self, revision: str, requests: float, came_by: str = "") -> None:
        behaviour = self._behaviour(revision)
        hang = requests * behaviour.hangs if isinstance(behaviour, Hanging) else 0.0
        for part in PARTS:
            self._count(revision, part, requests if part == "total" else 0.0)
        super()._serve(revision, requests - hang)


Made = Callable[[Behaviour, Behaviour], Impatient]


@pytest.fixture
def released(spec_schema: Mapping[str, Any]) -> Made:
    """A model live for some minutes, then another beside it."""

    def make(stable: Behaviour, candidate: Behaviour) -> Impatient:
        world = Impatient(spec_schema, {"http://models/1": stable, "http://models/2": candidate})
        world.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY)
        world.run(300)
        world.kubectl_apply(model={"uri": "http://models/2"}, strategy=CANARY)
        world.run(900)
        return world

    return make


@pytest.mark.parametrize("hangs", [1.0, 0.3])
def test_a_candidate_that_hangs_goes_back_and_the_sentence_says_that_clients_gave_up(
    hangs: float, released: Made
) -> None:
    world = released(Hanging(), Hanging(hangs=hangs))

    rolled_back = world.status["history"][0]
    told = next(line for line in world.transcript if "event RolledBack" in line or "event RollingBack" in line)
    assert rolled_back["outcome"] == "RolledBack"
    assert re.search(r"of [\d,]+ requests, [\d,]+ of them unanswered when their clients gave up\)", told)


def test_clients_that_give_up_on_both_arms_alike_roll_nothing_back(released: Made) -> None:
    world = released(Hanging(hangs=0.02), Hanging(hangs=0.02))

    assert world.status["history"][0]["outcome"] == "Promoted"
