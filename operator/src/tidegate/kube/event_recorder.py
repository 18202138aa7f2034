"""Posts Kubernetes Events: the same again is counted up, and none can flood a namespace."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import EVENTS, KubernetesApi, Manifest
from tidegate.model.decision import Event

SAME_WITHIN = timedelta(minutes=10)
"""An Event of the same reason within this time is the same Event, whatever the numbers in its message."""
BURST, EVERY = 25.0, timedelta(minutes=5)
"""Writes that one reason of one object has at once, and how often it gets a further one; client-go's numbers."""
MOST_KEPT = 10_000

Key = tuple[str, str, bool]
"""UID of the object, reason, and whether it is a warning."""


@dataclass(frozen=True)
class _Posted:
    name: str
    count: int
    at: datetime
    tokens: float


class EventRecorder:
    """Safe to use from several threads, one for each object."""

    def __init__(self, api: KubernetesApi, identity: str) -> None:
        self._api, self._identity = api, identity
        self._posted: dict[Key, _Posted] = {}
        self._lock = threading.Lock()

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        """Posts an Event of a ModelDeployment, or counts it up. Raises ClusterUnavailable."""
        key = about["metadata"]["uid"], event.reason, event.warning
        before = self._posted.get(key)
        tokens = BURST if before is None else min(BURST, before.tokens + max(now - before.at, timedelta()) / EVERY)
        if tokens < 1:
            return
        again = before if before and now - before.at < SAME_WITHIN else None
        if again and self._count_up(about, event, now, again):
            posted = _Posted(again.name, again.count + 1, now, tokens - 1)
        else:
            made = self._api.create(EVENTS, _manifest(about, event, now, self._identity)) or {"metadata": {"name": ""}}
            posted = _Posted(made["metadata"]["name"], 1, now, tokens - 1)
        self._keep(key, posted)

    def _count_up(self, about: Mapping[str, Any], event: Event, now: datetime, before: _Posted) -> bool:
        """Whether the Event was still there."""
        patch = {"count": before.count + 1, "lastTimestamp": _timestamp(now), "message": event.message[:1024]}
        try:
            self._api.merge(EVENTS, about["metadata"]["namespace"], before.name, patch)
        except ClusterUnavailable as error:
            if error.status != 404:
                raise
            return False
        return True

    def _keep(self, key: Key, posted: _Posted) -> None:
        with self._lock:
            self._posted.pop(key, None)
            self._posted[key] = posted
            while len(self._posted) > MOST_KEPT:
                del self._posted[next(iter(self._posted))]


def _timestamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _manifest(about: Mapping[str, Any], event: Event, now: datetime, identity: str) -> Manifest:
    metadata = about["metadata"]
    at = _timestamp(now)
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
