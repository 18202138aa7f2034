"""Models as the operator left them: what it recorded of releases in a simulated world, and the pods of their time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.operator.world import Behaviour, World
from tidegate.kube.api import CONTROLLER_REVISIONS, Manifest
from tidegate.model.units import format_instant

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.2),
}
CANARY = {"canary": {"steps": [{"weight": 10}, {"weight": 25}, {"weight": 50}]}}


class Released:
    """One ModelDeployment named shop/digits after some releases."""

    def __init__(self, schema: Mapping[str, Any], **spec: Any) -> None:
        self.world = World(schema, MODELS)
        self._spec = {"replicas": 2, "strategy": CANARY, **spec}
        self.release("1", 60)

    def release(self, model: str, seconds: float) -> "Released":
        """Applies a model, and lets time pass."""
        self.world.kubectl_apply(**{**self._spec, "model": {"uri": f"http://models/{model}"}})
        self.world.run(seconds)
        return self

    @property
    def now(self) -> datetime:
        """The world's clock."""
        return self.world.now

    @property
    def manifest(self) -> Manifest:
        """The ModelDeployment."""
        found = self.world.model_deployment("shop", "digits")
        assert found is not None
        metadata = {"creationTimestamp": "2026-01-01T00:00:00Z", **found["metadata"]}
        return {**found, "metadata": metadata}

    @property
    def pods(self) -> list[Manifest]:
        """One pod of each revision that has any."""
        return [self._pod(pod) for pod in self.world._pod_manifests()]

    @property
    def revisions(self) -> list[Manifest]:
        """The snapshots."""
        return [
            dict(self.world._objects[CONTROLLER_REVISIONS, name]) for name in self.world.names(CONTROLLER_REVISIONS)
        ]

    def _pod(self, pod: Manifest) -> Manifest:
        created = format_instant(self.now - timedelta(seconds=30))
        status = pod["status"]
        ready = all(each.get("ready") for each in status["containerStatuses"]) and bool(status["containerStatuses"])
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        metadata = {"namespace": "shop", "creationTimestamp": created, **pod["metadata"]}
        return {"metadata": metadata, "status": {"phase": "Running", "conditions": [condition], **status}}
