"""Somebody else writes the route too: it is set again, but two writers don't write as fast as they can."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.decide.route_restoration import LONGEST_PAUSE_UNGRANTED
from tidegate.kube.api import MODEL_ROUTES

CANARY = {"canary": {"steps": [{"weight": 10, "minDuration": "10m"}]}}


class Contested(World):
    """`kubectl edit` sets the route to these weights whenever it is another."""

    editor: str = ""
    candidate: str = ""
    weights: tuple[int, int] = (50, 50)
    edits = 0

    def pass_time(self, due: datetime | None) -> None:
        super().pass_time(due)
        if self.editor and (MODEL_ROUTES, "digits") in self._objects:
            self._edit(self._objects[(MODEL_ROUTES, "digits")])

    def _edit(self, route: Mapping[str, Any]) -> None:
        wanted = [
            {"revision": self.status["stable"]["revision"], "weight": self.weights[0]},
            {"revision": self.candidate, "weight": self.weights[1]},
        ]
        if route["spec"]["backends"] == wanted:
            return
        self.edits += 1
        metadata = {
            **route["metadata"],
            "resourceVersion": self._next_version(),
            "managedFields": [
                {"manager": "tidegate", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
                {"manager": self.editor, "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {}}},
            ],
        }
        spec = {**route["spec"], "backends": wanted}
        self._objects[(MODEL_ROUTES, "digits")] = {**route, "metadata": metadata, "spec": spec}

    def run(self, seconds: float) -> None:
        """An edit of the route is an event: the operator looks at once."""
        for _ in range(int(seconds)):
            before = self.edits
            super().run(1)
            if self.edits != before:
                self.reconcile()

    @property
    def routes_written(self) -> int:
        return len([line for line in self.transcript if "  route " in line])

    def told(self, reason: str) -> list[str]:
        return [line for line in self.transcript if f"event {reason}: " in line]


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Contested:
    """v2 has 10 % for a while."""
    world = Contested(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    for number in (1, 2):
        world.kubectl_apply(model={"uri": f"http://models/{number}"}, strategy=CANARY)
        world.run(60)
    assert world.status["rollout"]["progress"] == "1/1"
    world.candidate = world.status["candidate"]["revision"]
    return world


def test_a_fight_over_the_route_is_fought_with_pauses_and_told(world: Contested) -> None:
    before, shifts = world.routes_written, world.status["rollout"]["shifts"]
    world.editor = "kubectl-edit"
    world.run(150)
    world.editor = ""
    world.run(40)

    assert world.routes_written - before <= 35  # each 5 s, as more than was granted goes to the candidate
    assert world.status["rollout"]["shifts"] == shifts
    (told,) = world.told("RouteEdited")
    assert "kubectl-edit edits the route of digits" in told
    assert world.split is not None
    assert world.split.weight(world.status["candidate"]["revision"]) == 10


def test_an_edit_that_only_takes_traffic_away_is_undone_less_often(world: Contested) -> None:
    before = world.routes_written
    world.editor, world.weights = "argocd-controller", (100, 0)
    world.run(150)

    assert world.routes_written - before <= 10
    assert world.condition("Reconciling") == ("True", "RouteEdited")
    assert "argocd-controller" in world.status["message"]


def test_a_single_edit_is_undone_at_once(world: Contested) -> None:
    world.editor = "kubectl-edit"
    world.run(1)
    world.editor = ""
    world.run(1)

    assert world.split is not None
    assert world.split.weight(world.status["candidate"]["revision"]) == 10
    assert world.told("RouteEdited") == []


def test_a_rollback_is_written_at_once_whoever_edits_the_route(world: Contested) -> None:
    stable = world.status["stable"]["revision"]
    world.editor = "kubectl-edit"
    world.run(60)
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=0.5)}
    failing_from = world.now
    world.run_until(lambda: world.status["phase"] == "RolledBack" or world.now - failing_from > timedelta(minutes=2))
    told = next(index for index, line in enumerate(world.transcript) if "event RolledBack" in line)
    written, second = world.transcript[told - 1], world.transcript[told][:7]

    assert world.now - failing_from < timedelta(seconds=30)
    assert written == f"{second} route {stable}=100"


def test_after_a_rollback_a_rejected_revision_gets_traffic_for_seconds_at_most(world: Contested) -> None:
    stable = world.status["stable"]["revision"]
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=0.5)}
    world.run(60)
    assert world.status["phase"] == "RolledBack"
    before = world.routes_written
    world.editor = "kubectl-edit"
    world.run(100)
    world.editor = ""
    written = world.routes_written - before
    world.run(LONGEST_PAUSE_UNGRANTED.total_seconds() + 1)

    assert 15 <= written <= 25
    assert world.split is not None
    assert world.split.weight(stable) == 100
