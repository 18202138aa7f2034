"""What the operator reads of a cluster and writes to it. Reads come from watches, never from the API server."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from tidegate.kube.api import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    EVENTS,
    MODEL_DEPLOYMENTS,
    MODEL_ROUTES,
    PODS,
    KubernetesApi,
    Manifest,
    Resource,
)
from tidegate.kube.informer import Store, Watch
from tidegate.model.decision import Event
from tidegate.resources.names import FIELD_MANAGER, MODEL_DEPLOYMENT, SELECTOR

WATCHED = (CONTROLLER_REVISIONS, DEPLOYMENTS, PODS, MODEL_ROUTES)
"""The children that decisions rest on."""


class Cluster(Protocol):
    """The cluster, as reconciling needs it. Writes raise ClusterUnavailable."""

    def model_deployment(self, namespace: str, name: str) -> Manifest | None:
        """The resource as last seen."""

    def children(self, resource: Resource, namespace: str, name: str) -> list[Manifest]:
        """A ModelDeployment's objects of one watched kind, as last seen."""

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        """Creates an object unless it is there."""

    def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        """Makes an object have these fields."""

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Sets how many pods a Deployment wants."""

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        """Notes something on a Deployment; its pods aren't touched."""

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Deletes an object; fine if it is gone."""

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Makes a ModelDeployment's status exactly this."""

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        """Posts a Kubernetes Event."""


class KubernetesCluster:
    """A Cluster behind a real API server."""

    def __init__(
        self, api: KubernetesApi, changed: Callable[[str, str], None], namespaces: tuple[str, ...], identity: str
    ) -> None:
        self._api = api
        self._identity = identity
        self._changed = changed
        self._model_deployments = Store()
        self._watches = {
            resource: [
                Watch(api, resource, self._child_changed, namespace=namespace, selector=SELECTOR)
                for namespace in (namespaces or (None,))
            ]
            for resource in WATCHED
        }

    def start(self) -> None:
        """Begins to watch the children."""
        for watch in self._all_watches():
            watch.start()

    def complete(self) -> bool:
        """Whether every kind has been listed once; before that, nothing may be decided."""
        return all(watch.complete for watch in self._all_watches())

    def silent_seconds(self) -> float:
        """The longest that any watch has heard nothing."""
        return max(watch.silent_seconds() for watch in self._all_watches())

    def seen(self, manifest: Manifest, *, deleted: bool) -> None:
        """Takes in a ModelDeployment that was seen elsewhere."""
        if deleted:
            self._model_deployments.remove(manifest)
        else:
            self._model_deployments.put(manifest)

    def model_deployments(self) -> list[Manifest]:
        """All of them, as last seen."""
        return self._model_deployments.all()

    def model_deployment(self, namespace: str, name: str) -> Manifest | None:
        return self._model_deployments.get(namespace, name)

    def children(self, resource: Resource, namespace: str, name: str) -> list[Manifest]:
        return [
            manifest
            for watch in self._watches[resource]
            for manifest in watch.store.all()
            if manifest["metadata"]["namespace"] == namespace
            and manifest["metadata"].get("labels", {}).get(MODEL_DEPLOYMENT) == name
        ]

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        made = self._api.create(resource, manifest)
        if made is not None:
            self._remember(resource, made)

    def apply(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self._remember(resource, self._api.apply(resource, manifest, manager=FIELD_MANAGER))

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        self._merge(namespace, deployment, {"spec": {"replicas": replicas}})

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        self._merge(namespace, deployment, {"metadata": {"annotations": {annotation: value}}})

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self._api.delete(resource, namespace, name)

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        written = self._api.apply(MODEL_DEPLOYMENTS, manifest, manager=FIELD_MANAGER, status=True)
        self._model_deployments.put(written)

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        self._api.create(EVENTS, _event(about, event, now, self._identity))

    def _merge(self, namespace: str, deployment: str, patch: Mapping[str, Any]) -> None:
        self._remember(DEPLOYMENTS, self._api.merge(DEPLOYMENTS, namespace, deployment, patch))

    def _remember(self, resource: Resource, manifest: Manifest) -> None:
        for watch in self._watches.get(resource, ()):
            watch.store.put(manifest)

    def _child_changed(self, manifest: Manifest) -> None:
        owner = manifest["metadata"].get("labels", {}).get(MODEL_DEPLOYMENT)
        if owner:
            self._changed(manifest["metadata"]["namespace"], owner)

    def _all_watches(self) -> list[Watch]:
        return [watch for watches in self._watches.values() for watch in watches]


def _event(about: Mapping[str, Any], event: Event, now: datetime, identity: str) -> Manifest:
    metadata = about["metadata"]
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message[:1024],
        "source": {"component": "tidegate", "host": identity},
        "reportingComponent": "tidegate.dev/operator",
        "reportingInstance": identity,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
