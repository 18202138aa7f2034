"""Stands in for the controllers and the kubelets: every Deployment has its ready pods as soon as it wants them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.scale.etcd import Etcd
from benchmarks.scale.objects import pod_of
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import DEPLOYMENTS, KubernetesApi, Resource

WORKERS = 4
WATCH_SECONDS = 300

Seen = Callable[[str, Mapping[str, Any]], None]
Key = tuple[str, str]
"""Namespace and name."""


class Follower:
    """Calls `seen` with each change of a kind, from a thread of its own, beginning with what is there."""

    def __init__(self, api: KubernetesApi, resource: Resource, seen: Seen) -> None:
        self._api, self._resource, self._seen = api, resource, seen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"follow {resource.plural}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Follows inside the block. The thread ends with the next thing that the API server says."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._once()
            except ClusterUnavailable:
                self._stop.wait(0.5)

    def _once(self) -> None:
        listed = self._api.list(self._resource, None, None)
        for item in listed.get("items") or ():
            self._seen("ADDED", item)
        version = listed["metadata"]["resourceVersion"]
        for event in self._api.watch(self._resource, None, None, version, seconds=WATCH_SECONDS):
            if self._stop.is_set():
                return
            if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                self._seen(event["type"], event["object"])


@dataclass(frozen=True)
class Wish:
    """A Deployment as it was seen, and how many pods it wants: none where it is gone."""

    deployment: Mapping[str, Any]
    pods: int
    gone: bool

    @classmethod
    def of(cls, kind: str, deployment: Mapping[str, Any]) -> "Wish":
        """By an event of that type."""
        gone = kind == "DELETED"
        return cls(deployment, 0 if gone else int(deployment["spec"].get("replicas", 1)), gone)

    @property
    def key(self) -> Key:
        return self.deployment["metadata"]["namespace"], self.deployment["metadata"]["name"]

    @property
    def told(self) -> bool:
        """Whether it says that so many pods are ready."""
        ready = (self.deployment.get("status") or {}).get("readyReplicas", 0)
        return self.gone or int(ready) == self.pods

    def answered(self) -> dict[str, Any]:
        """The Deployment as its controller leaves it when all pods are ready."""
        counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
        whose = {"apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind}
        return {**whose, **self.deployment, "status": dict.fromkeys(counts, self.pods)}


class Kubelets:
    """Gives pods, and takes them; says in each Deployment's status how many are ready."""

    def __init__(self, api: KubernetesApi, etcd: Etcd) -> None:
        self._api, self._etcd = api, etcd
        self._pods: dict[Key, int] = {}
        self._lock = threading.Lock()
        self._newest: dict[Key, Wish] = {}
        self._busy: dict[Key, threading.Lock] = {}
        self._workers = ThreadPoolExecutor(WORKERS)
        self._follower = Follower(api, DEPLOYMENTS, self._seen)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inside the block every Deployment's wish is granted."""
        with self._follower.running():
            try:
                yield
            finally:
                self._workers.shutdown(wait=False, cancel_futures=True)

    @property
    def pods(self) -> int:
        """All that there are."""
        with self._lock:
            return sum(self._pods.values())

    def pods_of(self, namespace: str, deployment: str) -> int:
        """Those of one revision."""
        with self._lock:
            return self._pods.get((namespace, deployment), 0)

    def _seen(self, kind: str, deployment: Mapping[str, Any]) -> None:
        wish = Wish.of(kind, deployment)
        with self._lock:
            self._newest[wish.key] = wish
            busy = self._busy.setdefault(wish.key, threading.Lock())
        if not wish.told or self.pods_of(*wish.key) != wish.pods:
            self._workers.submit(self._grant, busy, wish.key)

    def _grant(self, busy: threading.Lock, key: Key) -> None:
        """Goes by what was seen last: of a Deployment that has changed meanwhile, etcd takes no status."""
        with busy:
            wish, has = self._newest[key], self.pods_of(*key)
            for number in range(has, wish.pods):
                self._etcd.put("pods", pod_of(wish.deployment, number))
            for number in range(wish.pods, has):
                pod = pod_of(wish.deployment, number)
                self._etcd.delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            with self._lock:
                self._pods[key] = wish.pods
            if not wish.told:
                version = wish.deployment["metadata"]["resourceVersion"]
                self._etcd.put_over("deployments", wish.answered(), version)
