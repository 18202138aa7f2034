"""What the pages show: one watch of ModelDeployments and one of their pods, however many pages are open.

In a dashboard that looks after some namespaces it is one of each for every namespace. What the API server last said
stays while it is away, and the pages say since when.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import uniform
from time import monotonic

from tidegate.dashboard.changes import Changes
from tidegate.dashboard.facts import facts_of
from tidegate.dashboard.trends import Trends
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_DEPLOYMENTS, PODS, KubernetesApi, Manifest
from tidegate.kube.informer import Informer, Item, Key, Kind

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between tries while the API server is away. People look at it, so it asks more often than an operator."""
FORBIDDEN_PAUSE = 30.0
ROUND_SECONDS = 1.0
"""The least time from one watch to the next, whatever the server answers."""
FORBIDDEN = (401, 403)
POD_STATUS = ("phase", "conditions", "containerStatuses", "initContainerStatuses")

log = logging.getLogger(__name__)


def _model_deployment(manifest: Manifest) -> Manifest:
    """Without what no page shows: who set which field, and environments, which may hold secrets."""
    metadata, spec = dict(manifest["metadata"]), dict(manifest.get("spec") or {})
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: text for key, text in annotations.items() if key.startswith("tidegate.dev/")}
    model, server = dict(spec.get("model") or {}), dict(spec.get("server") or {})
    model.pop("fetchEnv", None)
    server.pop("env", None)
    return {**manifest, "metadata": metadata, "spec": {**spec, "model": model, "server": server}}


def _pod(manifest: Manifest) -> Manifest:
    """What tells whether it is ready, and why not."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    kept = ("name", "namespace", "uid", "labels", "creationTimestamp", "deletionTimestamp", "ownerReferences")
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"nodeName": (manifest.get("spec") or {}).get("nodeName")},
        "status": {key: status[key] for key in POD_STATUS if key in status},
    }


OF_MODEL_DEPLOYMENTS = Kind(MODEL_DEPLOYMENTS, _model_deployment, selector=None, owned=False)
OF_PODS = Kind(PODS, _pod, owned=False, needed=False)


@dataclass(frozen=True)
class Trouble:
    """Why what is shown may be old."""

    message: str
    since: datetime
    forbidden: bool
    """Whether whoever runs the dashboard has no right to read it, rather than nobody answering."""


class _Follower:
    """One informer in a thread of its own, and what is the matter with it."""

    def __init__(self, api: KubernetesApi, informer: Informer[Manifest], changed: Callable[[], None]) -> None:
        self.informer = informer
        self.trouble: Trouble | None = None
        self._api, self._changed = api, changed
        self._stopped = threading.Event()
        self._pause = FIRST_PAUSE

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"follow-{self.informer.kind.resource.plural}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self.informer.stop()

    def _run(self) -> None:
        again_at = 0.0
        while not self._stopped.wait(max(0.0, again_at - monotonic())):
            again_at = monotonic() + ROUND_SECONDS
            try:
                self._follow()
            except ClusterUnavailable as error:
                again_at = monotonic() + self._after(error)
            except Exception as error:
                log.exception("%s can't be followed; trying again", self.informer.kind.resource.plural)
                again_at = monotonic() + self._after(ClusterUnavailable(f"{type(error).__name__}: {error}"))

    def _follow(self) -> None:
        if self.trouble is not None:  # a watch says nothing while nothing changes, so whether it is over is asked for
            kind = self.informer.kind
            self._api.list(kind.resource, self.informer.namespace, kind.selector, limit=1)
            self.trouble, self._pause = None, FIRST_PAUSE
            self._changed()
        self.informer.follow_once()

    def _after(self, error: ClusterUnavailable) -> float:
        """Seconds to wait."""
        if error.status == 410:
            return 0.0  # it has forgotten that far back; the informer lists anew
        since = self.trouble.since if self.trouble else _now()
        self.trouble = Trouble(error.said, since, error.status in FORBIDDEN)
        self._changed()
        if error.status == 403:
            return FORBIDDEN_PAUSE
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return self._pause * uniform(0.7, 1.3)


class Feed:
    """ModelDeployments and pods as last seen, and who is told when they change."""

    def __init__(self, api: KubernetesApi, namespaces: Sequence[str] = ()) -> None:
        """Of these namespaces; with none, of all that there are."""
        self.changes = Changes()
        self.trends = Trends()
        self.namespaces = tuple(namespaces)
        wanted: Sequence[str | None] = namespaces or (None,)
        self._models = [self._follower(api, OF_MODEL_DEPLOYMENTS, self._models_changed, each) for each in wanted]
        self._pods = [self._follower(api, OF_PODS, self._pods_changed, each) for each in wanted]

    def start(self) -> None:
        """Follows from now on, in threads that end with the process."""
        for follower in (*self._models, *self._pods):
            follower.start()

    def stop(self) -> None:
        """Follows no more, and ends every stream."""
        self.changes.end()
        for follower in (*self._models, *self._pods):
            follower.stop()

    @property
    def is_complete(self) -> bool:
        """Whether every ModelDeployment has been listed once."""
        return all(follower.informer.complete for follower in self._models)

    @property
    def trouble(self) -> Trouble | None:
        """Why ModelDeployments may be old; the longest that lasts."""
        return _longest(self._models)

    @property
    def pod_trouble(self) -> Trouble | None:
        """Why pods may be old, or aren't known at all."""
        return _longest(self._pods)

    def all(self) -> list[Manifest]:
        """Every ModelDeployment, in no order."""
        return [manifest for follower in self._models for manifest in follower.informer.store.all()]

    def get(self, key: Key) -> Manifest | None:
        """A ModelDeployment."""
        return next(self._found(key), None)

    def pods_of(self, key: Key) -> list[Manifest]:
        """Its pods, in no order."""
        return [item.value for follower in self._pods for item in follower.informer.store.owned_by(*key)]

    def _found(self, key: Key) -> Iterator[Manifest]:
        for follower in self._models:
            if (item := follower.informer.store.item(key)) is not None:
                yield item.value

    def _follower(
        self,
        api: KubernetesApi,
        kind: Kind[Manifest],
        changed: Callable[[Sequence[Item[Manifest]]], None],
        namespace: str | None,
    ) -> _Follower:
        informer = Informer(api, kind, changed, namespace=namespace)
        return _Follower(api, informer, lambda: self.changes.note(()))

    def _models_changed(self, items: Sequence[Item[Manifest]]) -> None:
        now = _now()
        for item in items:
            manifest = self.get(item.key)
            if manifest is None:
                self.trends.forget(item.key)
            else:
                self.trends.note(item.key, facts_of(manifest), now)
        self.changes.note(item.key for item in items)

    def _pods_changed(self, items: Sequence[Item[Manifest]]) -> None:
        keys = {(item.key[0], item.owner) for item in items}
        if keys:
            self.changes.note(keys)


def _longest(followers: Sequence[_Follower]) -> Trouble | None:
    troubles = [follower.trouble for follower in followers if follower.trouble]
    return min(troubles, key=lambda trouble: trouble.since, default=None)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a page says since when, and this is its one clock
