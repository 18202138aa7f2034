"""A simulated world in which things go wrong that aren't the model's fault."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.operator.world import World
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_ROUTES, Manifest, Resource


class Disturbed(World):
    """A world in which pods may be gone and writes may be refused."""

    dead: str = ""
    """A revision whose pods have all gone."""
    most_pods: int | None = None
    """As many pods of one revision as there is room for."""
    quota_message: str = ""
    """What Deployments say of pods that can't be made."""
    deployments_are_refused = False
    route_is_refused = False
    creation_is_refused = False
    status_is_refused = False
    _set_by = timedelta()
    diverted = 0.0
    """The part of the second revision's requests that the routers give to the first one."""

    @property
    def route_version(self) -> str:
        """Of the route as it is."""
        version: str = self._objects[(MODEL_ROUTES, "digits")]["metadata"]["resourceVersion"]
        return version

    def set_clocks(self, by: timedelta) -> None:
        """All clocks are set, and nothing else changes."""
        self.now += by
        self._set_by += by
        self._created_at = {name: at + by for name, at in self._created_at.items()}

    def steady(self) -> float:
        return (self.now - self._set_by).timestamp()

    def _ready(self, revision: str) -> int:
        if revision == self.dead:
            return 0
        ready = super()._ready(revision)
        return ready if self.most_pods is None else min(ready, self.most_pods)

    def _serve(self, revision: str, requests: float, came_by: str = "") -> None:
        """Routers give the share of a revision without pods to the others."""
        others = [name for name, weight in self.split or () if name != self.dead and weight > 0]
        if revision == self.dead and others:
            revision = others[0]
        first, *rest = [name for name, _ in self.split or ()]
        diverted = requests * self.diverted if revision in rest else 0.0
        super()._serve(first, diverted, came_by)
        super()._serve(revision, requests - diverted, came_by)

    def _observed(self, manifest: Manifest) -> Manifest:
        seen = super()._observed(manifest)
        if manifest["kind"] != "Deployment" or not self.quota_message:
            return seen
        failure = {"type": "ReplicaFailure", "status": "True", "message": self.quota_message}
        return {**seen, "status": {**seen["status"], "conditions": [failure]}}

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        if self.creation_is_refused:
            raise ClusterUnavailable(f"POST {resource.plural}: an admission webhook doesn't answer", 500)
        super().create(resource, manifest)

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        if self.deployments_are_refused:
            raise ClusterUnavailable("PATCH deployments: an admission webhook doesn't answer", 500)
        super().scale(namespace, deployment, replicas)

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        if self.route_is_refused:
            raise ClusterUnavailable("PATCH modelroutes: an admission webhook doesn't answer", 500)
        super().apply(resource, manifest, version)

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        if self.status_is_refused:
            raise ClusterUnavailable("PATCH modeldeployments/status: an admission webhook doesn't answer", 500)
        super().record_status(namespace, name, status, version)

    def run(self, seconds: float) -> None:
        """As the work queue has it: a pass that fails is repeated a little later."""
        for _ in range(int(seconds)):
            try:
                super().run(1)
            except ClusterUnavailable:
                self.pass_time(None)
