"""Stands in for the controllers and the kubelets: every Deployment has its ready pods as soon as it wants them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.scale.control_plane import Etcd
from benchmarks.scale.objects import pod_of
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import DEPLOYMENTS, KubernetesApi, Resource

WORKERS = 4
WATCH_SECONDS = 300

Seen = Callable[[str, Mapping[str, Any]], None]


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


class Kubelets:
    """Gives pods, and takes them; says in each Deployment's status how many are ready."""

    def __init__(self, api: KubernetesApi, etcd: Etcd) -> None:
        self._api, self._etcd = api, etcd
        self._pods: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._busy: dict[tuple[str, str], threading.Lock] = {}
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
        wanted = 0 if kind == "DELETED" else int(deployment["spec"].get("replicas", 1))
        metadata = deployment["metadata"]
        key = (metadata["namespace"], metadata["name"])
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        self._workers.submit(self._grant, busy, key, deployment, wanted, kind == "DELETED")

    def _grant(
        self, busy: threading.Lock, key: tuple[str, str], deployment: Mapping[str, Any], wanted: int, gone: bool
    ) -> None:
        with busy:
            has = self.pods_of(*key)
            if wanted == has:
                return
            for number in range(has, wanted):
                self._etcd.put("pods", pod_of(deployment, number))
            for number in range(wanted, has):
                pod = pod_of(deployment, number)
                self._etcd.delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            with self._lock:
                self._pods[key] = wanted
            if not gone:
                self._say_ready(key, wanted)

    def _say_ready(self, key: tuple[str, str], ready: int) -> None:
        """A Deployment that has gone meanwhile has no status."""
        status = {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": ready}
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": key[0], "name": key[1]},
            "status": status,
        }
        try:
            self._api.apply(DEPLOYMENTS, manifest, manager="kubelets", status=True)
        except ClusterUnavailable:
            return
