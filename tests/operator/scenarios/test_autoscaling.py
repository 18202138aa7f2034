"""An autoscaler is at work while a rollout is: no pod ever gets more than it can bear, whichever way traffic goes."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.operator.world import START, Behaviour, World
from tidegate.kube.api import DEPLOYMENTS, Manifest, Resource

TARGET = 100
"""Requests per second and pod that the autoscaler aims at."""
BEARS = TARGET / 0.7
"""What a pod can bear."""
TOLERANCE = 0.1
SYNC = timedelta(seconds=15)
LOOKS_BACK = timedelta(seconds=300)
MODELS = {f"http://models/{name}": Behaviour(starts_after=20.0) for name in ("1", "2", "3")}
CANARY = {"canary": {"steps": [{"weight": 10, "minDuration": "10m"}, {"weight": 50, "minDuration": "10m"}]}}
BLUE_GREEN = {"blueGreen": {"verifyFor": "1m", "keepOld": "10m"}}


class Autoscaled(World):
    """A world with 1,000 requests a second, pods that start one by one, and a HorizontalPodAutoscaler's formula."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._starts: dict[str, list[datetime]] = {}
        self._wishes: deque[tuple[datetime, int]] = deque()
        self.busiest = 0.0
        """Requests per second of the busiest pod of all time."""
        super().__init__(schema, MODELS, rps=1000)

    @property
    def replicas(self) -> int:
        return int(self._deployment["spec"]["replicas"]) if self._deployment else 10

    def release(self, uri: str, **fields: Any) -> None:
        self.kubectl_apply(model={"uri": uri}, **{"replicas": self.replicas, **fields})

    def run(self, seconds: float) -> None:
        """A change of spec.replicas is an event."""
        for _ in range(round(seconds / SYNC.total_seconds())):
            super().run(SYNC.total_seconds())

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        super().create(resource, manifest)
        if resource == DEPLOYMENTS:
            self._size(manifest["metadata"]["name"], manifest["spec"]["replicas"])

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        super().scale(namespace, deployment, replicas)
        self._size(deployment, replicas)

    def ready(self) -> dict[str, int]:
        return {name: sum(at <= self.now for at in self._starts[name]) for name in self.names(DEPLOYMENTS)}

    def pass_time(self, due: datetime | None) -> None:
        super().pass_time(due)
        ready = self.ready()
        loads = [self.rps * weight / 100 / max(1, ready.get(name, 0)) for name, weight in self.split or ()]
        self.busiest = max(self.busiest, *loads, 0.0)
        if (self.now - START) % SYNC == timedelta() and self.status:
            self._autoscale(ready)

    def _size(self, revision: str, replicas: int) -> None:
        starts = self._starts.setdefault(revision, [])
        ready_at = self.now + timedelta(seconds=self._behaviour(revision).starts_after or 0)
        self._starts[revision] = [*starts, *[ready_at] * (replicas - len(starts))][:replicas]

    def _autoscale(self, ready: Mapping[str, int]) -> None:
        """As HorizontalPodAutoscaler does: ceil(usage / target) over the ready pods, down by the highest wish."""
        pods = {name: ready.get(name, 0) for name in self._selected() if ready.get(name, 0)}
        ratio = sum(self._usage(name) for name in pods) / max(1, sum(pods.values())) / TARGET
        within = not pods or abs(1 - ratio) <= TOLERANCE
        self._wishes.append((self.now, self.replicas if within else math.ceil(ratio * sum(pods.values()))))
        while self._wishes[0][0] < self.now - LOOKS_BACK:
            self._wishes.popleft()
        wanted = max(1, *(wish for _, wish in self._wishes))
        if wanted != self.replicas:
            self._change_replicas(wanted)

    def _selected(self) -> list[str]:
        wanted = dict(pair.split("=") for pair in self.status["selector"].split(","))
        labels: dict[str, Manifest] = {
            name: self._objects[(DEPLOYMENTS, name)]["spec"]["template"]["metadata"]["labels"]
            for name in self.names(DEPLOYMENTS)
        }
        return [name for name, has in labels.items() if wanted.items() <= has.items()]

    def _usage(self, revision: str) -> float:
        """Of all its pods: a request that fails costs next to nothing."""
        weight = self.split.weight(revision) if self.split else 0
        return self.rps * weight / 100 * (1 - self._behaviour(revision).error_rate)

    def _change_replicas(self, replicas: int) -> None:
        assert self._deployment is not None
        spec = {**self._deployment["spec"], "replicas": replicas}
        metadata = {**self._deployment["metadata"], "generation": self._deployment["metadata"]["generation"] + 1}
        self._deployment = {**self._deployment, "spec": spec, "metadata": metadata}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Autoscaled:
    """v1 has been live for ten minutes on ten pods."""
    world = Autoscaled(spec_schema)
    world.release("http://models/1", strategy=CANARY)
    world.run(600)
    assert (world.replicas, world.lost) == (10, 0)
    world.busiest = 0.0
    return world


def turns_bad(world: Autoscaled) -> None:
    world.models = {**world.models, "http://models/2": replace(MODELS["http://models/2"], error_rate=0.9)}


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_nobody_bears_too_much_through_a_promotion(world: Autoscaled, strategy: Mapping[str, Any]) -> None:
    world.release("http://models/2", strategy=strategy)
    world.run(2400)

    assert world.status["history"][0]["outcome"] == "Promoted"
    assert (world.replicas, world.lost) == (10, 0)
    assert world.busiest <= BEARS


@pytest.mark.parametrize(("strategy", "after"), [(CANARY, 1100), (BLUE_GREEN, 500)], ids=["canary", "blue-green"])
def test_nobody_bears_too_much_through_a_rollback(world: Autoscaled, strategy: Mapping[str, Any], after: int) -> None:
    world.release("http://models/2", strategy=strategy)
    world.run(after)
    turns_bad(world)
    world.run(1200)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert (world.replicas, world.lost) == (10, 0)
    assert world.busiest <= BEARS


def test_stable_keeps_its_pods_while_a_candidate_fails_for_less_than_it_costs(world: Autoscaled) -> None:
    """Half of the requests cost nothing, so an autoscaler asks for half of the pods: they aren't to be taken away."""
    held = {**CANARY["canary"], "steps": [{"weight": 50, "minDuration": "30m"}]}
    world.release("http://models/2", strategy={"canary": held}, analysis={"errorRate": {"ceiling": "99%"}})
    world.run(60)
    world.prometheus_up = False
    turns_bad(world)
    world.run(900)
    assert world.replicas < 10

    world.prometheus_up = True
    world.run(900)

    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert world.lost == 0
    assert world.busiest <= BEARS


def test_more_load_in_a_rollout_is_more_pods_of_both_before_the_last_shift(world: Autoscaled) -> None:
    world.release("http://models/2", strategy=CANARY)
    for _ in range(50):
        world.run(15)
        world.rps += 12
    world.run(1600)

    assert world.status["history"][0]["outcome"] == "Promoted"
    assert (world.replicas, world.lost) == (16, 0)
    assert world.busiest <= BEARS


def test_fewer_pods_are_taken_only_after_the_rollout(world: Autoscaled) -> None:
    world.release("http://models/2", strategy=CANARY)
    world.run(120)
    world.rps = 300
    world.run(700)
    assert world.replicas == 3
    assert world.ready()[world.status["stable"]["revision"]] == 10

    world.run(1700)
    assert world.status["history"][0]["outcome"] == "Promoted"
    assert world.ready() == {world.status["stable"]["revision"]: 3}
