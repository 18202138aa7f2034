"""A list and a watch that keep a copy of the cluster's objects, one thread per kind.

Belt and braces against watches that fall silent: the server ends each after a few minutes, bookmarks show that it
lives, and every so often everything is listed anew.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from random import uniform
from time import monotonic
from typing import Any

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import KubernetesApi, Manifest, Resource

WATCH_SECONDS = 240
RELIST_SECONDS = 600
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


class Store:
    """Objects of one kind as last seen, by namespace and name. Safe to use from any thread."""

    def __init__(self) -> None:
        self._objects: dict[Key, Manifest] = {}
        self._lock = threading.Lock()

    def get(self, namespace: str, name: str) -> Manifest | None:
        """The object, or None."""
        with self._lock:
            return self._objects.get((namespace, name))

    def all(self) -> list[Manifest]:
        """Every object, in no order."""
        with self._lock:
            return list(self._objects.values())

    def put(self, manifest: Manifest) -> bool:
        """Takes an object in, unless a newer version is here already: so that we read what we wrote."""
        with self._lock:
            held = self._objects.get(key_of(manifest))
            if held is not None and _version(held) >= _version(manifest) and _same(held, manifest):
                return False
            self._objects[key_of(manifest)] = manifest
            return True

    def remove(self, manifest: Manifest) -> bool:
        """Forgets an object, unless one of the same name was made since."""
        with self._lock:
            held = self._objects.get(key_of(manifest))
            if held is None or not _same(held, manifest):
                return False
            del self._objects[key_of(manifest)]
            return True

    def replace(self, manifests: Sequence[Manifest], version: int) -> list[Manifest]:
        """The whole list as of `version`; gives back what changed. What we wrote after it stays."""
        fresh = {key_of(manifest): manifest for manifest in manifests}
        with self._lock:
            for key, held in self._objects.items():
                if _version(held) > version:
                    fresh[key] = held
            before = self._objects
            self._objects = fresh
        gone = [held for key, held in before.items() if key not in fresh]
        changed = [new for key, new in fresh.items() if key not in before or _version(before[key]) != _version(new)]
        return gone + changed


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Namespace and name of an object."""
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def _version(manifest: Mapping[str, Any]) -> int:
    # Ordered within one kind, which Kubernetes has promised since 1.35 and etcd has always given.
    text = manifest["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


class Watch:
    """Keeps a Store up to date, and calls `changed` with each object that was added, changed or deleted."""

    def __init__(
        self,
        api: KubernetesApi,
        resource: Resource,
        changed: Callable[[Manifest], None],
        *,
        namespace: str | None = None,
        selector: str | None = None,
    ) -> None:
        self.store = Store()
        self._api = api
        self._resource = resource
        self._changed = changed
        self._namespace = namespace
        self._selector = selector
        self._listed = threading.Event()
        self._stopped = threading.Event()
        self._last_sign = monotonic()

    def start(self) -> None:
        """Begins in a thread of its own, which ends with the process."""
        threading.Thread(target=self._run, name=f"watch-{self._resource.plural}", daemon=True).start()

    def stop(self) -> None:
        """Ends with the next thing that the server says."""
        self._stopped.set()

    @property
    def complete(self) -> bool:
        """Whether the store has held a whole list once."""
        return self._listed.is_set()

    def wait_until_complete(self, seconds: float) -> bool:
        """Blocks until the first list is there; False if it isn't in time."""
        return self._listed.wait(seconds)

    def silent_seconds(self) -> float:
        """Seconds since the server last said anything."""
        return monotonic() - self._last_sign

    def _run(self) -> None:
        pause = FIRST_PAUSE
        version: str | None = None
        relist_at = 0.0
        while not self._stopped.is_set():
            try:
                if version is None or monotonic() >= relist_at:
                    version = self._list()
                    relist_at = monotonic() + RELIST_SECONDS
                version = self._follow(version)
                pause = FIRST_PAUSE
            except ClusterUnavailable as error:
                if error.status == 410:
                    version = None
                    continue
                log.warning("%s; trying again in about %.1f s", error, pause)
                self._stopped.wait(pause * uniform(0.7, 1.3))
                pause = min(pause * 2, LONGEST_PAUSE)

    def _list(self) -> str:
        answer = self._api.list(self._resource, self._namespace, self._selector)
        version = str(answer["metadata"]["resourceVersion"])
        changed = self.store.replace(answer["items"], int(version) if version.isdigit() else 0)
        self._last_sign = monotonic()
        self._listed.set()
        for manifest in changed:
            self._changed(manifest)
        return version

    def _follow(self, version: str) -> str | None:
        events = self._api.watch(self._resource, self._namespace, self._selector, version, seconds=WATCH_SECONDS)
        for event in events:
            if self._stopped.is_set():
                break
            self._last_sign = monotonic()
            manifest = event["object"]
            if event["type"] == "ERROR":
                raise ClusterUnavailable(str(manifest.get("message", "watch error")), manifest.get("code"))
            version = manifest["metadata"]["resourceVersion"]
            self._take(event["type"], manifest)
        return version

    def _take(self, kind: str, manifest: Manifest) -> None:
        if kind == "BOOKMARK":
            return
        told = self.store.remove(manifest) if kind == "DELETED" else self.store.put(manifest)
        if told:
            self._changed(manifest)
