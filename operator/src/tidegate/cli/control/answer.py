"""Asks the operator for something, and hears what it says to it: the annotation goes, the Events tell."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from tidegate.cli.common.cluster import CONFLICT, Cluster, refused
from tidegate.cli.common.errors import NotDone
from tidegate.cli.control.requests import Request
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import EVENTS, MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.model.reasons import Reason
from tidegate.view.rollout_view import RolloutView

MANAGER = "tidegate-cli"
"""Who owns the fields that are written, for whoever looks at managedFields."""
TRIES = 5
GRACE = 1.0
"""Seconds in which an Event may come after the annotation has gone."""
SELF = Resource("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews")
Make = Callable[[RolloutView, Manifest], Request]


@dataclass(frozen=True)
class Told:
    """An Event of the ModelDeployment."""

    reason: str
    message: str


@dataclass(frozen=True)
class Answer:
    """What the operator made of it. `heard` is False where it has said nothing within the time."""

    view: RolloutView
    events: tuple[Told, ...] = ()
    heard: bool = True

    @property
    def refusal(self) -> str | None:
        """The operator's sentence where it won't; None where it hasn't refused."""
        return next((event.message for event in self.events if event.reason == Reason.CONTROL_REFUSED), None)


def username(api: KubernetesApi) -> str:
    """Who the API server takes us for; empty where it doesn't say."""
    try:
        made = api.create(SELF, {"apiVersion": SELF.api_version, "kind": SELF.kind, "metadata": {"namespace": None}})
        return str((made or {})["status"]["userInfo"]["username"])
    except (ClusterUnavailable, KeyError, TypeError):
        return ""


def ask(cluster: Cluster, name: str, make: Make) -> tuple[Request, Manifest]:
    """Writes what `make` makes of the ModelDeployment as it is. Raises NotDone.

    The operator writes its status all the time, which is a conflict too: then it is looked at again, and written if the
    same is to be written still.
    """
    first: Request | None = None
    for _ in range(TRIES):
        manifest = cluster.model(name)
        request = make(RolloutView.of(manifest), manifest)
        if first and request.patch != first.patch:
            break
        first = request
        try:
            return request, write(cluster, manifest, request)
        except ClusterUnavailable as error:
            if error.status != CONFLICT:
                raise refused(f"{cluster.namespace}/{name} can't be changed", error) from error
    raise NotDone(
        f"{cluster.namespace}/{name} was changed by somebody else at the same moment, so nothing was asked for; "
        f"look at it again: tidegate status {name} -n {cluster.namespace}"
    )


def write(cluster: Cluster, manifest: Manifest, request: Request) -> Manifest:
    """The patch, which fails with status 409 where the object isn't as it was looked at."""
    metadata = {**request.patch.get("metadata", {}), "resourceVersion": manifest["metadata"]["resourceVersion"]}
    patch = {**request.patch, "metadata": metadata}
    return cluster.api.merge(MODEL_DEPLOYMENTS, cluster.namespace, manifest["metadata"]["name"], patch, manager=MANAGER)


class Listening:
    """Hears the Events of one ModelDeployment from before something is asked for, inside of `with`."""

    def __init__(self, cluster: Cluster, name: str, uid: str) -> None:
        self._cluster, self._name = cluster, name
        self._of_events = f"involvedObject.uid={uid}"
        self._heard: queue.Queue[Told | Manifest] = queue.Queue()
        self._ended = threading.Event()
        self._from = self._version()

    def _version(self) -> str | None:
        try:
            listed = self._cluster.api.list(EVENTS, self._cluster.namespace, None, fields=self._of_events, limit=1)
        except ClusterUnavailable:
            return None  # without Events the annotation and the status tell
        return str(listed["metadata"]["resourceVersion"])

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def answer(self, written: Manifest, request: Request, seconds: float) -> Answer:
        """What comes until the operator has acted, and shortly after it."""
        self._begin(EVENTS, self._of_events, self._from)
        self._begin(MODEL_DEPLOYMENTS, f"metadata.name={self._name}", written["metadata"]["resourceVersion"])
        manifest, events = written, list[Told]()
        end, answered = monotonic() + seconds, _is_answered(written, request)
        while not (answered and events) and (left := end - monotonic()) > 0:
            heard = self._next(GRACE if answered else left)
            if isinstance(heard, Told):
                events.append(heard)
            elif heard is not None:
                manifest = heard
                answered = answered or _is_answered(heard, request)
            elif answered:
                break
        return Answer(RolloutView.of(manifest), tuple(events), answered)

    def _next(self, seconds: float) -> Told | Manifest | None:
        try:
            return self._heard.get(timeout=seconds)
        except queue.Empty:
            return None

    def _begin(self, resource: Resource, fields: str, version: str | None) -> None:
        if version is not None:
            threading.Thread(target=self._listen, args=(resource, fields, version), daemon=True).start()

    def _listen(self, resource: Resource, fields: str, version: str) -> None:
        api, namespace = self._cluster.api, self._cluster.namespace
        try:
            for event in api.watch(resource, namespace, None, version, seconds=60, fields=fields):
                if self._ended.is_set() or event["type"] in ("ERROR", "DELETED"):
                    return
                if event["type"] != "BOOKMARK":
                    self._heard.put(_told(event["object"]) if resource == EVENTS else event["object"])
        except ClusterUnavailable:
            return  # what was asked for stands; the time runs out, and that is said


def _told(event: Manifest) -> Told:
    return Told(event.get("reason") or "", " ".join(str(event.get("message") or "").split()))


def _is_answered(manifest: Manifest, request: Request) -> bool:
    if request.intent is not None:
        return (manifest["metadata"].get("annotations") or {}).get(request.intent.annotation) != request.intent.text
    observed = (manifest.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= manifest["metadata"].get("generation", 0))
