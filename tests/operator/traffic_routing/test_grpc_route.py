"""Calls by gRPC through a Gateway: a GRPCRoute has the split that the HTTPRoute beside it has, whatever happens."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.operator.gateways import (
    CONTOUR,
    ENVOY_GATEWAY,
    STEPS,
    GatewayWorld,
    failed,
    live,
    promoted,
    released_while_the_operator_dies,
)
from tidegate.kube.api import GRPC_ROUTES, Manifest
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.http_route import read_grpc_route

TRAFFIC = {
    "router": "GatewayAPI",
    "grpc": True,
    "gatewayAPI": {
        "parentRefs": [{"name": "public", "namespace": "edge"}],
        "hostnames": ["digits.example.com"],
        "grpcHostnames": ["calls.example.com"],
    },
}


class CallsWorld(GatewayWorld):
    """As many calls by gRPC as requests by HTTP come, by the GRPCRoute that was taken last."""

    called: TrafficSplit | None = None
    http_is_idle = False
    says_of_calls: Mapping[str, tuple[str, str]] | None = None
    """What the controller says of the GRPCRoute, where that is something else."""

    def release(self, uri: str, **spec: Any) -> None:
        self.kubectl_apply(model={"uri": uri}, **{"traffic": TRAFFIC, "strategy": STEPS, **spec})

    @property
    def calls(self) -> Manifest:
        return self._objects[(GRPC_ROUTES, "digits.grpc")]

    @property
    def called_by(self) -> dict[str, int]:
        """Every backend of the GRPCRoute with its weight."""
        return {each["name"]: each["weight"] for each in self.calls["spec"]["rules"][0]["backendRefs"]}

    @property
    def split(self) -> TrafficSplit | None:
        return None if self.http_is_idle else self.carried

    def answer(self) -> None:
        super().answer()
        if self.says is None or (GRPC_ROUTES, "digits.grpc") not in self._objects:
            return
        seen = read_grpc_route(self.calls)
        told = [said.generation for status in seen.statuses for said in status.conditions.values()]
        if min(told, default=0) < seen.generation:
            self._say(self.calls, self.says_of_calls or self.says)
        if self.says_of_calls is None:
            self.called = seen.split

    def pass_time(self, due: datetime | None) -> None:
        super().pass_time(due)
        for revision, weight in self.called or ():
            self._serve(revision, self.rps * weight / 100, "/grpc")
        self._history[self.now] = dict(self._counters)

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        name, _, by_grpc = revision.partition("/")
        found = super().labels(name, measure)
        if not by_grpc:
            return found
        if measure == "failed":
            found = {"__name__": "envoy_cluster_grpc_13", "instance": found["instance"]}
        return {**found, "envoy_cluster_name": f"shop_{name}_8081"}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> CallsWorld:
    return CallsWorld(spec_schema)


def test_a_route_for_calls_is_beside_the_other_and_has_hosts_of_its_own(world: CallsWorld) -> None:
    first = live(world)

    assert world.told("Ready")[0] == "True"
    assert world.calls["spec"] == {
        "parentRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "public"}
        ],
        "hostnames": ["calls.example.com"],
        "rules": [
            {
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": "x-tidegate-traffic", "value": "live"}]},
                    }
                ],
                "backendRefs": [{"group": "", "kind": "Service", "name": first, "port": 8081, "weight": 100}],
            }
        ],
    }


def test_calls_are_split_as_requests_are_at_each_step(world: CallsWorld) -> None:
    first, second = promoted(world)
    assert second != first

    calls = [line.partition("calls ")[2] for line in world.transcript if "  calls " in line]
    assert calls == world.written
    assert world.lost == 0


@pytest.mark.parametrize("controller", [CONTOUR, ENVOY_GATEWAY], ids=["the Gateway counts", "the servers count"])
def test_a_candidate_that_fails_calls_is_taken_back_from_both(controller: str, spec_schema: Mapping[str, Any]) -> None:
    world = CallsWorld(spec_schema, controller)
    world.http_is_idle = True
    first, _ = failed(world)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.called_by == world.listed == {first: 100}


def test_a_route_for_calls_that_is_refused_holds_the_rollout(world: CallsWorld) -> None:
    first = live(world)
    world.says_of_calls = {"Accepted": ("False", "NoMatchingListenerHostname"), "ResolvedRefs": ("True", "")}
    world.release("http://models/2")
    world.run(60)

    assert world.told("Stalled")[1] == "RouteRefused"
    assert world.listed[first] == 100


def test_whoever_edits_the_route_for_calls_is_told_and_not_fought(world: CallsWorld) -> None:
    live(world)
    world.release("http://models/2", strategy={"canary": {"steps": [{"weight": 20, "minDuration": "10m"}]}})
    world.run(60)
    candidate = world.status["candidate"]["revision"]
    written, seconds = len(world.written), 120
    for _ in range(seconds):
        for ref in world.calls["spec"]["rules"][0]["backendRefs"]:
            ref["weight"] = 70 if ref["name"] == candidate else 30
        theirs = {"manager": "argocd-controller", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {}}}
        world.calls["metadata"] |= {"generation": world.calls["metadata"]["generation"] + 1, "managedFields": [theirs]}
        world.answer()
        world.reconcile()  # the edit is an event
        world.run(1)
    world.run(40)

    assert len(world.written) - written <= seconds / 4
    assert any("argocd-controller edits the route of digits" in line for line in world.transcript)
    assert world.called_by[candidate] == 20


def test_a_route_for_calls_that_is_deleted_is_made_again(world: CallsWorld) -> None:
    first = live(world)
    del world._objects[(GRPC_ROUTES, "digits.grpc")]
    world.reconcile()
    world.run(5)

    assert world.called_by == {first: 100}


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it"])
@pytest.mark.parametrize("write", range(1, 16))
def test_both_routes_end_alike_wherever_the_operator_dies(
    write: int, after: bool, spec_schema: Mapping[str, Any]
) -> None:
    world = CallsWorld(spec_schema)
    first = released_while_the_operator_dies(world, write, after=after)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.called_by == world.listed == {first: 100}
    assert world.lost == 0
