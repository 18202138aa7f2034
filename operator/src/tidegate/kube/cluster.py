"""What the operator reads of a cluster and writes to it. Reads come from watches; `stored` alone asks."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar

from tidegate.errors import ClusterUnavailable, LeadershipLost, ObjectChanged, ObjectGone
from tidegate.kube.api import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    MODEL_DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SERVICES,
    KubernetesApi,
    Manifest,
    Resource,
)
from tidegate.kube.config_reader import ConfigReader
from tidegate.kube.event_recorder import EventRecorder
from tidegate.kube.informer import Informer, Item, Key, Kind, Store
from tidegate.kube.metric_templates import MetricTemplates
from tidegate.kube.routers import Routers
from tidegate.model.config import ConfigSource, Found, Held, Keys
from tidegate.model.decision import Event
from tidegate.model.metric_template import FoundTemplate
from tidegate.model.traffic import Writer
from tidegate.resources.disruption_budget import parse_budget
from tidegate.resources.names import FIELD_MANAGER, MODEL_DEPLOYMENT
from tidegate.resources.ownership import Owner, controller_of, is_managed_by, is_orphan, refusal
from tidegate.resources.pod_status import is_deleting, parse_pod
from tidegate.resources.revision import owner as owner_reference
from tidegate.resources.revision import parse_pin, parse_record, parse_service, parse_workload
from tidegate.resources.router_report import RouterReport

RECORD = Kind(CONTROLLER_REVISIONS, parse_record)
WORKLOAD = Kind(DEPLOYMENTS, parse_workload)
SERVICE = Kind(SERVICES, parse_service)
PIN = Kind(CONFIG_MAPS, parse_pin, metadata_only=True)
POD = Kind(PODS, parse_pod, owned=False)
# All of them, as Kubernetes evicts no pod that has two; rollouts need none.
BUDGET = Kind(POD_DISRUPTION_BUDGETS, parse_budget, selector=None, owned=False, needed=False)

CONFIRMED_SECONDS = 5.0
"""For so long after its status was taken nobody asks whether an object is still there."""
NOT_FOLLOWED = "this operator isn't told to follow them"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` keeps a copy of what it was given."""

T = TypeVar("T")


class Orphan(NamedTuple):
    """An object that bears a ModelDeployment's label, and that nobody manages."""

    resource: Resource
    name: str
    uid: str


class Cluster(Protocol):
    """The cluster, as reconciling needs it. Writes raise ClusterUnavailable, or LeadershipLost.

    A write that says a version raises ObjectChanged, and changes nothing, where the object has another by now.
    """

    @property
    def writer(self) -> Writer:
        """Who writes: this operator, as the leader that it is."""

    def model_deployment(self, namespace: str, name: str) -> Manifest | None:
        """The resource as last seen."""

    def children(self, kind: Kind[T], owner: Owner) -> list[T]:
        """What is kept of a ModelDeployment's objects of one watched kind, as last seen; nobody else's."""

    def with_others(self, kind: Kind[T], owner: Owner) -> list[T] | None:
        """A ModelDeployment's objects of a kind, and its namespace's that are no ModelDeployment's; None before all of
        them have been listed once."""

    def everybody(self, kind: Kind[T]) -> list[T]:
        """What is kept of all objects of a watched kind, whoever they belong to."""

    def unfollowed(self, kind: Kind[T], namespace: str) -> str | None:
        """Why objects of an optional kind can't be seen in a namespace; None where they can."""

    def orphans(self, owner: Owner) -> list[Orphan]:
        """Its objects that nobody manages, which it has to take up again."""

    def routers(self) -> Sequence[RouterReport]:
        """What each router that lives said last."""

    def confirm(self, namespace: str, name: str, uid: str) -> None:
        """Asks whether a ModelDeployment is still there. Raises ObjectGone if it isn't, or is another by now."""

    def stored(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """An object as the API server has it, for what no watch keeps. Raises ClusterUnavailable."""

    def config(self, owner: Owner, wanted: Mapping[ConfigSource, Keys]) -> Mapping[ConfigSource, Found]:
        """What ConfigMaps and Secrets have that a ModelDeployment's servers use; it is looked at again on a change."""

    def metric_templates(self, owner: Owner, names: Collection[str]) -> Mapping[str, FoundTemplate]:
        """The MetricTemplates that a ModelDeployment names; it is looked at again on a change."""

    def read_config(self, owner: Owner, source: ConfigSource, keys: Keys) -> tuple[Held, Manifest] | None:
        """One of them with its content, as the API server has it. Raises ClusterUnavailable."""

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        """Creates an object unless our own is there. Raises NameTaken or PredecessorRemains where it is another's."""

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        """Makes an object of ours have these fields. Raises NameTaken or PredecessorRemains where it is another's."""

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        """Makes an object of this version have these fields; an empty version: creates it.

        Raises ObjectChanged where it has another version, NameTaken or PredecessorRemains where it is another's.
        """

    def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """A JSON patch of an object that somebody else owns. Raises ObjectChanged where a test of it fails."""

    def hold(self, namespace: str, name: str, finalizer: str) -> None:
        """Makes a ModelDeployment wait for us before it goes. Raises ObjectChanged where that is news."""

    def let_go(self, namespace: str, name: str, finalizer: str) -> None:
        """Makes it wait for us no longer."""

    def adopt(self, orphan: Orphan, owner: Owner) -> None:
        """Makes a ModelDeployment manage an object that nobody manages."""

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Sets how many pods a Deployment wants."""

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        """Notes something on a Deployment; its pods aren't touched."""

    def annotate_pods(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        """Notes something on a Deployment's pods, which are replaced for that, unless theirs say so already."""

    def remove_annotation(self, namespace: str, name: str, annotation: str, value: str) -> None:
        """Takes an annotation off a ModelDeployment, unless it has another value by now."""

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Deletes an object as it was last seen; fine if it is gone, or another has its name by now."""

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        """Makes the status of a ModelDeployment of this version exactly this. Raises ObjectGone if there is none."""

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        """Posts a Kubernetes Event, or counts up one that says the same."""


class Leadership(Protocol):
    """Whether this process may write, and as whom."""

    @property
    def writer(self) -> Writer: ...
    def held(self) -> bool: ...


class KubernetesCluster:
    """A Cluster behind a real API server."""

    def __init__(
        self,
        api: KubernetesApi,
        kinds: Iterable[Kind[Any]],
        changed: Callable[[str, str], None],
        namespaces: tuple[str, ...],
        identity: str,
        leadership: Leadership,
        routers: Routers,
        *,
        config_changed: Callable[[str, str], None] | None = None,
        secret_key: Callable[[], bytes | None] | None = None,
    ) -> None:
        self._api = api
        self._config = ConfigReader(api, config_changed or changed, namespaces, secret_key)
        self._templates = MetricTemplates(api, config_changed or changed, namespaces)
        self._events = EventRecorder(api, identity)
        self._leadership = leadership
        self._routers = routers
        routers.reported = self._routers_reported
        self._not_applied: dict[Key, str] = {}
        self._refused: set[tuple[Key, str]] = set()
        self._recorded: dict[Key, tuple[str, float]] = {}
        """The uid of each ModelDeployment whose status was taken last, and when."""
        self._changed = changed
        self._model_deployments = Store[Manifest]()
        self.changed_from: Callable[[Manifest | None, Manifest], None] = lambda before, after: None
        """Called with each ModelDeployment that has changed, as it was before and is now, once for each change."""
        self._taking_in = threading.Lock()
        self._informers: dict[tuple[Resource, str | None], Informer[Any]] = {
            (kind.resource, namespace): Informer(
                api, kind, self._children_changed if kind.selector else self._any_changed, namespace=namespace
            )
            for kind in kinds
            for namespace in (namespaces or (None,))
        }

    @property
    def writer(self) -> Writer:
        return self._leadership.writer

    def start(self) -> None:
        """Begins to follow the children."""
        for informer in self.informers():
            informer.start()

    def complete(self) -> bool:
        """Whether every kind that is needed has been listed once; before that, nothing may be decided."""
        return all(informer.complete or informer.absent for informer in self.informers() if informer.kind.needed)

    def informers(self) -> Sequence[Informer[Any]]:
        """One for each kind and namespace."""
        return (*self._informers.values(), self._routers.informer)

    def seen(self, manifest: Manifest, *, deleted: bool) -> bool:
        """Takes in a ModelDeployment that was seen elsewhere. Whether it was news: our own writes come back, too."""
        item = Item.parse(manifest, _kept)
        with self._taking_in:
            if deleted:
                self._recorded.pop(item.key, None)
                self._config.forget(item.key)
                self._templates.forget(item.key)
                return bool(self._model_deployments.remove(item.key, item.uid, item.version))
            before = self._model_deployments.get(*item.key)
            is_news = bool(self._model_deployments.put(item))
            if is_news:
                self.changed_from(before, item.value)
        return is_news

    def model_deployments(self) -> list[Manifest]:
        """All of them, as last seen."""
        return self._model_deployments.all()

    def model_deployment(self, namespace: str, name: str) -> Manifest | None:
        return self._model_deployments.get(namespace, name)

    def children(self, kind: Kind[T], owner: Owner) -> list[T]:
        items = self._labelled(kind.resource, owner)
        return [item.value for item in items if not kind.owned or _may_be_ours(item, owner)]

    def with_others(self, kind: Kind[T], owner: Owner) -> list[T] | None:
        informer = self._informer(kind.resource, owner.namespace)
        if informer is None or not informer.complete:
            return None
        return [item.value for name in (owner.name, "") for item in informer.store.owned_by(owner.namespace, name)]

    def everybody(self, kind: Kind[T]) -> list[T]:
        return [
            value
            for (resource, _), each in self._informers.items()
            if resource == kind.resource
            for value in each.store.all()
        ]

    def unfollowed(self, kind: Kind[T], namespace: str) -> str | None:
        informer = self._informer(kind.resource, namespace)
        return NOT_FOLLOWED if informer is None else informer.absent or None

    def orphans(self, owner: Owner) -> list[Orphan]:
        kinds = {informer.kind.resource: informer.kind for informer in self.informers()}
        return [
            Orphan(kind.resource, item.key[1], item.uid)
            for kind in kinds.values()
            if kind.owned
            for item in self._labelled(kind.resource, owner)
            if item.controller is None
        ]

    def routers(self) -> Sequence[RouterReport]:
        return self._routers.live()

    def confirm(self, namespace: str, name: str, uid: str) -> None:
        recorded, at = self._recorded.get((namespace, name), ("", 0.0))
        if recorded == uid and monotonic() - at < CONFIRMED_SECONDS:
            return
        found = self._api.get(MODEL_DEPLOYMENTS, namespace, name)
        if found is not None and found["metadata"]["uid"] == uid and not is_deleting(found):
            return
        raise self._gone(namespace, name, found)

    def stored(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        return self._api.get(resource, namespace, name)

    def config(self, owner: Owner, wanted: Mapping[ConfigSource, Keys]) -> Mapping[ConfigSource, Found]:
        return self._config.found((owner.namespace, owner.name), wanted)

    def metric_templates(self, owner: Owner, names: Collection[str]) -> Mapping[str, FoundTemplate]:
        return self._templates.found((owner.namespace, owner.name), names)

    def read_config(self, owner: Owner, source: ConfigSource, keys: Keys) -> tuple[Held, Manifest] | None:
        return self._config.read(owner.namespace, source, keys)

    def create(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        self._must_lead(resource, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        made = self._api.create(resource, manifest)
        self._remember(resource, self._ours(resource, manifest) if made is None else made)

    def repair(self, resource: Resource, manifest: Mapping[str, Any]) -> None:
        metadata, owner = manifest["metadata"], _owner_of(manifest)
        held = self._held(resource, metadata["namespace"], metadata["name"])
        if held is None:
            return self.create(resource, manifest)
        if not _may_be_ours(held, owner):
            raise refusal(resource.kind, metadata["name"], held.controller, owner.name)
        self._must_lead(resource, metadata["namespace"], metadata["name"])
        return self._remember(resource, self._api.apply(resource, manifest, manager=FIELD_MANAGER))

    def apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> None:
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        self._must_lead(resource, namespace, name)
        try:
            written = self._apply(resource, manifest, version)
        except ClusterUnavailable as error:
            if error.status != 409:
                raise
            written = None
        if written is None:
            self._read_anew(resource, namespace, name)
            self._ours(resource, manifest)
            raise ObjectChanged(f"{resource.kind} {namespace}/{name} was written by somebody else meanwhile")
        self._remember(resource, written)
        self._not_applied[(namespace, name)] = written["metadata"].get("resourceVersion", "")
        self._routers_reported()  # they may have been faster than we are

    def _apply(self, resource: Resource, manifest: Mapping[str, Any], version: str) -> Manifest | None:
        if not version:
            return self._api.create(resource, manifest)
        return self._api.apply(resource, _of_version(manifest, version), manager=FIELD_MANAGER)

    def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        self._must_lead(resource, namespace, name)
        try:
            written = self._api.patch(resource, namespace, name, operations, manager=FIELD_MANAGER)
        except ClusterUnavailable as error:
            if error.status not in (404, 409, 422):
                raise
            self._read_anew(resource, namespace, name)
            raise ObjectChanged(f"{resource.kind} {namespace}/{name} was written by somebody else meanwhile") from error
        self._remember(resource, written)

    def hold(self, namespace: str, name: str, finalizer: str) -> None:
        metadata = (self.model_deployment(namespace, name) or {}).get("metadata", {})
        finalizers = metadata.get("finalizers") or []
        if finalizer not in finalizers:
            self._finalized_by(metadata, namespace, name, [*finalizers, finalizer])
            raise ObjectChanged(f"ModelDeployment {namespace}/{name} has the finalizer {finalizer} now")

    def let_go(self, namespace: str, name: str, finalizer: str) -> None:
        metadata = (self.model_deployment(namespace, name) or {}).get("metadata", {})
        finalizers = metadata.get("finalizers") or []
        if finalizer in finalizers:
            self._finalized_by(metadata, namespace, name, [each for each in finalizers if each != finalizer])

    def _finalized_by(self, metadata: Manifest, namespace: str, name: str, finalizers: Sequence[str]) -> None:
        self._must_lead(MODEL_DEPLOYMENTS, namespace, name)
        version = metadata.get("resourceVersion", "")
        self._merge_metadata(namespace, name, {"resourceVersion": version, "finalizers": finalizers})

    def _merge_metadata(self, namespace: str, name: str, metadata: Manifest) -> None:
        """Of the version that it names, or of none. Raises ObjectChanged where it is another by now, or ObjectGone."""
        try:
            written = self._api.merge(MODEL_DEPLOYMENTS, namespace, name, {"metadata": metadata})
        except ClusterUnavailable as error:
            if error.status not in (404, 409):
                raise
            raise self._overtaken(namespace, name) from error
        self.seen(written, deleted=False)

    def adopt(self, orphan: Orphan, owner: Owner) -> None:
        # With the uid it is that very object or none: the API server refuses to change it.
        metadata = {"uid": orphan.uid, "ownerReferences": owner_reference(owner.name, owner.uid)}
        self._merge(orphan.resource, owner.namespace, orphan.name, {"metadata": metadata})

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        self._merge(DEPLOYMENTS, namespace, deployment, {"spec": {"replicas": replicas}})

    def annotate(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        self._merge(DEPLOYMENTS, namespace, deployment, {"metadata": {"annotations": {annotation: value}}})

    def annotate_pods(self, namespace: str, deployment: str, annotation: str, value: str) -> None:
        template = {"metadata": {"annotations": {annotation: value}}}
        self._merge(DEPLOYMENTS, namespace, deployment, {"spec": {"template": template}})

    def remove_annotation(self, namespace: str, name: str, annotation: str, value: str) -> None:
        self._must_lead(MODEL_DEPLOYMENTS, namespace, name)
        metadata = (self.model_deployment(namespace, name) or {}).get("metadata", {})
        if (metadata.get("annotations") or {}).get(annotation) != value:
            return
        # Of this version or of none: what somebody has written since is looked at, and not taken away unread.
        version = metadata["resourceVersion"]
        self._merge_metadata(namespace, name, {"resourceVersion": version, "annotations": {annotation: None}})
        self._changed(namespace, name)  # the next control may wait behind it

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self._must_lead(resource, namespace, name)
        uid = self._uid(resource, namespace, name)
        if uid is not None:
            self._api.delete(resource, namespace, name, uid)

    def record_status(self, namespace: str, name: str, status: Mapping[str, Any], version: str) -> None:
        self._must_lead(MODEL_DEPLOYMENTS, namespace, name)
        manifest = {
            "apiVersion": MODEL_DEPLOYMENTS.api_version,
            "kind": MODEL_DEPLOYMENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        try:
            fenced = _of_version(manifest, version)
            written = self._api.replace(MODEL_DEPLOYMENTS, fenced, status=True)
        except ClusterUnavailable as error:
            if error.status not in (404, 409):
                raise
            raise self._overtaken(namespace, name) from error
        self._recorded[(namespace, name)] = (written["metadata"]["uid"], monotonic())
        self.seen(written, deleted=False)

    def _overtaken(self, namespace: str, name: str) -> ObjectGone | ObjectChanged:
        """What to say of a ModelDeployment that isn't any more as it was seen; what it is by now is taken in."""
        found = self._api.get(MODEL_DEPLOYMENTS, namespace, name)
        if found is None:
            return self._gone(namespace, name, None)
        self.seen(found, deleted=False)
        return ObjectChanged(f"ModelDeployment {namespace}/{name} was written by somebody else meanwhile")

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        self._events.emit(about, event, now)

    def _must_lead(self, resource: Resource, namespace: str, name: str) -> None:
        if not self._leadership.held():
            raise LeadershipLost(
                f"{resource.kind} {namespace}/{name} isn't written: this operator doesn't lead any more"
            )

    def _read_anew(self, resource: Resource, namespace: str, name: str) -> None:
        """So that the next pass, which comes at once, needn't wait for the watch."""
        informer = self._informer(resource, namespace)
        if informer is None:
            return
        found = self._api.get(resource, namespace, name)
        if found is None:
            informer.store.forget(namespace, name)
        else:
            informer.put(found)

    def _merge(self, resource: Resource, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        self._must_lead(resource, namespace, name)
        self._remember(resource, self._api.merge(resource, namespace, name, patch))

    def _ours(self, resource: Resource, wanted: Mapping[str, Any]) -> Manifest:
        """The object that has the name of one that we wanted to create, if it is ours."""
        metadata, owner = wanted["metadata"], _owner_of(wanted)
        found = self._api.get(resource, metadata["namespace"], metadata["name"])
        if found is None or is_deleting(found):
            raise ClusterUnavailable(f"{resource.kind} {metadata['name']} is about to go, and is made anew then", 409)
        if is_managed_by(controller_of(found), owner) or is_orphan(found, owner):
            return found
        raise refusal(resource.kind, metadata["name"], controller_of(found), owner.name)

    def _labelled(self, resource: Resource, owner: Owner) -> list[Item[Any]]:
        informer = self._informer(resource, owner.namespace)
        return informer.store.owned_by(owner.namespace, owner.name) if informer else []

    def _held(self, resource: Resource, namespace: str, name: str) -> Item[Any] | None:
        informer = self._informer(resource, namespace)
        return informer.store.item((namespace, name)) if informer else None

    def _uid(self, resource: Resource, namespace: str, name: str) -> str | None:
        """Of an object as it was last seen; of a kind that nobody follows, of one that a ModelDeployment manages."""
        if self._informer(resource, namespace):
            held = self._held(resource, namespace, name)
            return held.uid if held else None
        found = self._api.get(resource, namespace, name)
        controller = controller_of(found) if found else None
        return str(found["metadata"]["uid"]) if found and controller and controller.kind == "ModelDeployment" else None

    def _remember(self, resource: Resource, manifest: Manifest) -> None:
        if informer := self._informer(resource, manifest["metadata"]["namespace"]):
            informer.put(manifest)

    def _informer(self, resource: Resource, namespace: str) -> Informer[Any] | None:
        return self._informers.get((resource, namespace)) or self._informers.get((resource, None))

    def _gone(self, namespace: str, name: str, successor: Manifest | None) -> ObjectGone:
        """Forgets an object whose deletion wasn't heard of; what has its name now is another, to be looked at anew."""
        self._model_deployments.forget(namespace, name)
        self._recorded.pop((namespace, name), None)
        if successor is not None:
            self.seen(successor, deleted=False)
            self._changed(namespace, name)
        return ObjectGone(f"ModelDeployment {namespace}/{name} was deleted")

    def _routers_reported(self) -> None:
        """Wakes those whose last write of a route all routers work with by now, or which one refuses, or no longer."""
        live = self._routers.live()
        refused = {(key, sentence) for router in live for key, sentence in router.refused.items()}
        before, self._refused = self._refused, refused
        for key in {key for key, _ in refused ^ before}:
            self._changed(*key)
        for key, version in list(self._not_applied.items()):
            if live and all(router.has(*key, version) for router in live):
                self._not_applied.pop(key, None)
                self._changed(*key)

    def _children_changed(self, items: Sequence[Item[Any]]) -> None:
        for namespace, owner in {(item.key[0], item.owner) for item in items if item.owner}:
            self._changed(namespace, owner)

    def _any_changed(self, items: Sequence[Item[Any]]) -> None:
        """Of a kind whose objects concern every ModelDeployment of their namespace, unless they are one's own."""
        self._children_changed(items)
        namespaces = {item.key[0] for item in items if item.controller is None}
        for manifest in self._model_deployments.all() if namespaces else ():
            if manifest["metadata"]["namespace"] in namespaces:
                self._changed(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def _of_version(manifest: Mapping[str, Any], version: str) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}


def _kept(manifest: Manifest) -> Manifest:
    """A ModelDeployment without what repeats it in other words: nobody reads that here."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    if LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
    return {**manifest, "metadata": metadata}


def _may_be_ours(item: Item[Any], owner: Owner) -> bool:
    return item.controller is None or is_managed_by(item.controller, owner)


def _owner_of(manifest: Mapping[str, Any]) -> Owner:
    metadata = manifest["metadata"]
    controller = controller_of(manifest)
    return Owner(metadata["namespace"], metadata["labels"][MODEL_DEPLOYMENT], controller.uid if controller else "")
