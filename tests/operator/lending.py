"""A world whose requests come by one rule of a route that is the user's."""

import copy
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from tests.operator.gateways import STEPS, GatewayWorld
from tests.operator.json_patch import TestFailed, patched
from tidegate.errors import ObjectChanged
from tidegate.kube.api import Manifest, Resource
from tidegate.model.traffic import TrafficSplit
from tidegate.resources.seen_route import split_of


def users(resource: Resource, spec: Manifest) -> Manifest:
    """A route that the user made before any of ours."""
    metadata = {
        "name": "shop",
        "namespace": "shop",
        "uid": "u-shop",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2025-06-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "time": "2025-06-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}],
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


class Lending(GatewayWorld):
    """The route is `shop`, and the rule that is lent its second. What the user had there is `legacy`."""

    rules = "rules"
    """What the route calls them."""
    refs_of_rule = "backendRefs"
    lent_by: ClassVar[Mapping[str, Any]]
    """spec.traffic of the model."""

    def reconcile(self) -> timedelta | None:
        try:
            return super().reconcile()
        except ObjectChanged:
            return timedelta()  # as the workqueue does

    def put(self, route: Manifest) -> None:
        self._objects[(self.resource, "shop")] = route
        self.answer()

    def release(self, uri: str, **spec: Any) -> None:
        self.kubectl_apply(model={"uri": uri}, traffic=self.lent_by, strategy=STEPS, **spec)

    def asked_for(self, route: Manifest | None) -> None:
        """A model asks for the rule, whether or not there is such a route."""
        if route:
            self.put(route)
        self.release("http://models/1")
        self.run(60)

    def edited_by_another(self, seconds: int) -> int:
        """Every second of a canary's step, somebody sets the candidate to 70 %; how many writes of ours come of it."""
        strategy = {"canary": {"steps": [{"weight": 20, "minDuration": "10m"}]}}
        self.kubectl_apply(model={"uri": "http://models/2"}, traffic=self.lent_by, strategy=strategy)
        self.run(60)
        before = len(self.written)
        for _ in range(seconds):
            edited = copy.deepcopy(self.route)
            stable, candidate = edited["spec"][self.rules][1][self.refs_of_rule]
            stable["weight"], candidate["weight"] = 30, 70
            theirs = {"manager": "argocd-controller", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {}}}
            edited["metadata"]["managedFields"] = [theirs]
            self.put(edited)
            self.reconcile()  # the edit is an event
            self.run(1)
        return len(self.written) - before

    @property
    def route(self) -> Manifest:
        return self._objects[(self.resource, "shop")]

    @property
    def rule(self) -> Manifest:
        rule: Manifest = self.route["spec"][self.rules][1]
        return rule

    @property
    def refs(self) -> list[Manifest]:
        refs: list[Manifest] = self.rule[self.refs_of_rule]
        return refs

    @property
    def listed(self) -> dict[str, int]:
        return dict(self.backends_of(self.refs))

    @property
    def split(self) -> TrafficSplit | None:
        """What is ours of the requests; the rest is the user's own affair."""
        if (self.resource, "shop") not in self._objects:
            return None
        return split_of([each for each in self.backends_of(self.refs) if each[0] != "legacy"])

    def answer(self) -> None:
        super().answer()
        self.carried = None

    def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        held = self._objects[(resource, name)]
        versions = [each["value"] for each in operations if each["path"] == "/metadata/resourceVersion"]
        try:
            written = patched(held, operations)
        except TestFailed as failed:
            raise ObjectChanged(str(failed)) from failed
        if versions != [held["metadata"]["resourceVersion"]]:
            raise ObjectChanged(f"{resource.kind} shop was written by somebody else meanwhile")
        refs = written["spec"][self.rules][1][self.refs_of_rule]
        with self._write("route " + " ".join(f"{name}={weight}" for name, weight in self.backends_of(refs))):
            metadata = written["metadata"]
            metadata |= {"generation": metadata["generation"] + 1, "resourceVersion": self._next_version()}
            ours = {"manager": "tidegate", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}}
            metadata["managedFields"] = [*held["metadata"]["managedFields"][:1], ours]
            self._objects[(resource, name)] = written
            self.answer()
            self.enqueued = True

    def kubectl_delete(self) -> None:
        """kubectl delete of the ModelDeployment, which has a finalizer."""
        assert self._deployment is not None
        metadata = {**self._deployment["metadata"], "deletionTimestamp": "2026-01-02T00:00:00Z"}
        self._deployment = {**self._deployment, "metadata": metadata}

    @property
    def finalizers(self) -> list[str]:
        assert self._deployment is not None
        finalizers: list[str] = self._deployment["metadata"].get("finalizers", [])
        return finalizers
