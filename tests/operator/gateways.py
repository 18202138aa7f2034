"""A world whose requests come by a Gateway: somebody implements the Gateway API and says what it makes of a route."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tests.operator.world import Behaviour, Crash, World
from tidegate.errors import ObjectChanged
from tidegate.kube.api import GRPC_ROUTES, HTTP_ROUTES, VIRTUAL_SERVICES, Manifest, Resource
from tidegate.kube.informer import Kind
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.http_route import read_route

T = TypeVar("T")
CONTOUR = "projectcontour.io/gateway-controller"
ISTIO = "istio.io/gateway-controller"
ENVOY_GATEWAY = "gateway.envoyproxy.io/gatewayclass-controller"
MODELS = {"http://models/1": Behaviour(), "http://models/2": Behaviour(), "http://models/bad": Behaviour(0.3)}
TRAFFIC = {
    "router": "GatewayAPI",
    "gatewayAPI": {"parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["digits.example.com"]},
}
ROUTES = {HTTP_ROUTES: "route", GRPC_ROUTES: "calls", VIRTUAL_SERVICES: "route"}
"""What a write of one is called in a transcript."""
STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}


class GatewayWorld(World):
    """`says` is what the controller says of a route, by condition; None while it is silent."""

    resource = HTTP_ROUTES
    traffic: Mapping[str, Any] = TRAFFIC

    def __init__(self, schema: Mapping[str, Any], controller: str = CONTOUR) -> None:
        super().__init__(schema, MODELS)
        self.controller = controller
        self.says: dict[str, tuple[str, str]] | None = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "")}
        self.absent = ""
        """Why HTTPRoutes can't be followed."""
        self.carried: TrafficSplit | None = None
        """How requests are split: by the last route that was taken."""
        self.edited = False

    def release(self, uri: str, **spec: Any) -> None:
        self.kubectl_apply(model={"uri": uri}, traffic=self.traffic, strategy=STEPS, **spec)

    @property
    def route(self) -> Manifest:
        return self._objects[(self.resource, "digits")]

    @property
    def listed(self) -> dict[str, int]:
        """Every backend of the route with its weight."""
        return dict(self.backends(self.route))

    def backends(self, route: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Of a route of ours, by name and weight."""
        return self.backends_of(route["spec"]["rules"][0]["backendRefs"])

    def backends_of(self, refs: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
        """By name and weight."""
        return [(each["name"], each["weight"]) for each in refs]

    @property
    def written(self) -> list[str]:
        """Every route that was written, in order."""
        return [line.partition("route ")[2] for line in self.transcript if "  route " in line]

    @property
    def split(self) -> TrafficSplit | None:
        return self.carried

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        found = super().labels(revision, measure)
        if "envoy_cluster_name" not in found:
            return found
        return {**found, "envoy_cluster_name": f"shop_{revision}_8080"}

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        what = ROUTES[resource]
        self._refuse_others(resource, manifest)
        name = manifest["metadata"]["name"]
        held = self._objects.get((resource, name))
        with self._write(f"{what} " + " ".join(f"{name}={weight}" for name, weight in self.backends(manifest))):
            if version != (held["metadata"]["resourceVersion"] if held else ""):
                raise ObjectChanged(f"{resource.kind} {name} was written by somebody else meanwhile")
            self._store(resource, manifest, held)

    def _store(self, resource: Resource, manifest: Mapping[str, Any], held: Manifest | None) -> None:
        given = {
            "creationTimestamp": held["metadata"]["creationTimestamp"] if held else "2026-01-01T00:00:00Z",
            "generation": (held["metadata"]["generation"] if held else 0) + 1,
            "resourceVersion": self._next_version(),
        }
        status = {"status": held["status"]} if held and "status" in held else {}
        route = {**copy.deepcopy(dict(manifest)), "metadata": {**manifest["metadata"], **given}, **status}
        self._objects[(resource, manifest["metadata"]["name"])] = route
        self.answer()
        self.enqueued = True  # the route's status is an event

    def answer(self) -> None:
        """The controller looks at the routes as they are now."""
        if self.says is None:
            return
        self._say(self.route, self.says)
        if all(status == "True" for status, _ in self.says.values()):
            self.carried = read_route(self.route).split

    def _say(self, route: Manifest, says: Mapping[str, tuple[str, str]]) -> None:
        generation = route["metadata"]["generation"]
        conditions = [
            {"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": generation}
            for kind, (status, reason) in says.items()
        ]
        parents = route["spec"]["parentRefs"]
        said = [{"parentRef": each, "controllerName": self.controller, "conditions": conditions} for each in parents]
        route["status"] = {"parents": said}
        route["metadata"]["resourceVersion"] = self._next_version()

    def unfollowed(self, kind: Kind[T], namespace: str) -> str | None:
        return self.absent or None

    def told(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and sentence of a condition."""
        (condition,) = (each for each in self.status["conditions"] if each["type"] == kind)
        return condition["status"], condition["reason"], condition["message"]


def live(world: GatewayWorld) -> str:
    """The first revision is live; its name."""
    world.release("http://models/1")
    world.run(60)
    return str(world.status["stable"]["revision"])


def promoted(world: GatewayWorld) -> tuple[str, str]:
    """A first revision is live, and then a second; their names."""
    first = live(world)
    world.release("http://models/2")
    world.run(900)
    return first, str(world.status["stable"]["revision"])


def canary(first: str, second: str) -> list[str]:
    """The routes by which STEPS lead from one revision to another."""
    return [
        f"{first}=100 {second}=0",
        f"{first}=80 {second}=20",
        f"{first}=50 {second}=50",
        f"{first}=0 {second}=100",
        f"{second}=100",
    ]


def failed(world: GatewayWorld) -> tuple[str, str]:
    """A first revision is live, and then a bad one is released; their names."""
    first = live(world)
    world.release("http://models/bad")
    world.run(300)
    return first, str(world.status["history"][0]["revision"])


def another_model(world: GatewayWorld, created_at: str) -> None:
    """Another namespace's ModelDeployment has a route like that of `world`, with the same hostname."""
    theirs = copy.deepcopy(world.route)
    theirs["metadata"] |= {"namespace": "bank", "name": "scores", "creationTimestamp": created_at}
    theirs["metadata"]["labels"] = {"tidegate.dev/model-deployment": "scores"}
    theirs["metadata"]["ownerReferences"] = [
        {"kind": "ModelDeployment", "name": "scores", "uid": "u-9", "controller": True}
    ]
    world._objects[(world.resource, "scores")] = theirs


def released_while_the_operator_dies(world: GatewayWorld, write: int, *, after: bool) -> str:
    """A bad model is released, and the operator ends at its `write`th write; the name of the good revision before."""
    world.release("http://models/1", analysis={"bake": "5s"})
    world.run(20)
    first = str(world.status["stable"]["revision"])
    world.release("http://models/bad", analysis={"bake": "5s"})
    with world.crashing_at(write, after=after):
        try:
            world.run(150)
        except Crash:
            world.restart()
    world.run(150)
    return first
