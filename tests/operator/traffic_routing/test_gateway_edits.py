"""Somebody edits a model's HTTPRoute, and the operator dies at any write of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.operator.gateways import GatewayWorld, released_while_the_operator_dies
from tidegate.model.traffic import TrafficSplit

CANARY = {"canary": {"steps": [{"weight": 20, "minDuration": "10m"}]}}


class Edited(GatewayWorld):
    """While `editor` is set, somebody sets the candidate to 70 % whenever it has another share."""

    editor = ""

    def pass_time(self, due: datetime | None) -> None:
        super().pass_time(due)
        if not self.editor or self.listed.get(self.candidate) == 70:
            return
        route = self.route
        for ref in route["spec"]["rules"][0]["backendRefs"]:
            ref["weight"] = 70 if ref["name"] == self.candidate else 30
        fields = [
            {"manager": "tidegate", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
            {"manager": self.editor, "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {}}},
        ]
        route["metadata"] |= {"generation": route["metadata"]["generation"] + 1, "managedFields": fields}
        self.answer()

    @property
    def candidate(self) -> str:
        return str(self.status["candidate"]["revision"])


def at_20(schema: Mapping[str, Any]) -> Edited:
    """A candidate has 20 % for a while."""
    world = Edited(schema)
    for number in (1, 2):
        world.kubectl_apply(
            model={"uri": f"http://models/{number}"},
            traffic={"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}},
            strategy=CANARY,
        )
        world.run(60)
    assert world.listed[world.candidate] == 20
    return world


def test_a_fight_over_an_http_route_is_fought_with_pauses_and_told(spec_schema: Mapping[str, Any]) -> None:
    world = at_20(spec_schema)
    before = len(world.written)
    world.editor = "argocd-controller"
    for _ in range(120):
        world.run(1)
        world.reconcile()  # the edit is an event
    world.editor = ""
    world.run(40)

    assert len(world.written) - before <= 30
    assert any("argocd-controller edits the route of digits" in line for line in world.transcript)
    assert world.listed[world.candidate] == 20


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it"])
@pytest.mark.parametrize("write", range(1, 15))
def test_a_rollback_through_a_gateway_ends_alike_wherever_the_operator_dies(
    write: int, after: bool, spec_schema: Mapping[str, Any]
) -> None:
    world = GatewayWorld(spec_schema)
    first = released_while_the_operator_dies(world, write, after=after)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.listed == {first: 100}
    assert world.split == TrafficSplit.only(first)
    assert world.lost == 0
