"""Posts Kubernetes Events: the same again is counted up, and none can flood a namespace.

As client-go's recorder does it: what is held back is counted all the same, and the next write tells the whole number.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import EVENTS, KubernetesApi, Manifest
from tidegate.model.decision import Event
from tidegate.model.reasons import Outcome, Reason

SAME_WITHIN = timedelta(minutes=10)
"""An Event of the same reason within this time is the same Event, whatever the numbers in its message."""
MOST_KEPT = 10_000
ENDS = frozenset(str(outcome) for outcome in Outcome)
ANSWERS = frozenset(
    {
        Reason.CONTROL_REFUSED,
        Reason.APPROVED,
        Reason.SKIPPED,
        Reason.PROMOTED_BY_HAND,
        Reason.RETRIED,
        Reason.RESTARTING,
        Reason.RESTARTED,
    }
)
"""Of what people ask for."""
NEVER_IN_A_FLOOD = ENDS | ANSWERS
"""Reasons that no flood of others holds back."""


class Rate(NamedTuple):
    """Writes at once, and how often there is a further one."""

    burst: float
    every: timedelta


OF_REASON = Rate(25.0, timedelta(minutes=5))
"""Of one reason of one object; client-go's numbers."""
OF_OBJECT = Rate(75.0, timedelta(minutes=1))
"""Of all reasons of one object: pods bring any word as a reason."""

Key = tuple[str, str, bool]
"""UID of the object, reason, and whether it is a warning."""


@dataclass(frozen=True)
class _Bucket:
    tokens: float
    at: datetime

    def at_time(self, now: datetime, rate: Rate) -> "_Bucket":
        """As it has filled up by now."""
        gained = max(now - self.at, timedelta()) / rate.every
        return _Bucket(min(rate.burst, self.tokens + gained), now)

    def less_one(self) -> "_Bucket":
        return replace(self, tokens=self.tokens - 1)


@dataclass(frozen=True)
class _Told:
    """One Event: what it is called where it is there, how often it has been, since when and until when."""

    name: str
    count: int
    first: datetime
    last: datetime
    bucket: _Bucket


class EventRecorder:
    """Safe to use from several threads, one for each object."""

    def __init__(self, api: KubernetesApi, identity: str) -> None:
        self._api, self._identity = api, identity
        self._told: dict[Key, _Told] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def emit(self, about: Mapping[str, Any], event: Event, now: datetime) -> None:
        """Posts an Event of a ModelDeployment, or counts it up. Raises ClusterUnavailable, and counts nothing then."""
        uid = about["metadata"]["uid"]
        key = uid, event.reason, event.warning
        told, of_object = self._once_more(key, now), self._of_object(uid, now)
        may_write = told.bucket.tokens >= 1 and (event.reason in NEVER_IN_A_FLOOD or of_object.tokens >= 1)
        if may_write:
            told, of_object = self._written(about, event, told), of_object.less_one()
        self._keep(key, told, of_object)

    def _once_more(self, key: Key, now: datetime) -> _Told:
        """Of this Event, that it has been once more; of one that hasn't been for long, that it is another."""
        before = self._told.get(key)
        if before is None:
            return _Told("", 1, now, now, _Bucket(OF_REASON.burst, now))
        bucket = before.bucket.at_time(now, OF_REASON)
        if now - before.last < SAME_WITHIN:
            return replace(before, count=before.count + 1, last=now, bucket=bucket)
        return _Told("", 1, now, now, bucket)

    def _of_object(self, uid: str, now: datetime) -> _Bucket:
        return self._buckets.get(uid, _Bucket(OF_OBJECT.burst, now)).at_time(now, OF_OBJECT)

    def _written(self, about: Mapping[str, Any], event: Event, told: _Told) -> _Told:
        """The Event as it is there now. One that was deleted begins anew."""
        paid = replace(told, bucket=told.bucket.less_one())
        if told.name and self._count_up(about, event, told):
            return paid
        if told.name:
            paid = replace(paid, count=1, first=told.last)
        made = self._api.create(EVENTS, _manifest(about, event, paid, self._identity)) or {"metadata": {"name": ""}}
        return replace(paid, name=made["metadata"]["name"])

    def _count_up(self, about: Mapping[str, Any], event: Event, told: _Told) -> bool:
        """Whether the Event was still there."""
        patch = {"count": told.count, "lastTimestamp": _timestamp(told.last), "message": event.message[:1024]}
        try:
            self._api.merge(EVENTS, about["metadata"]["namespace"], told.name, patch)
        except ClusterUnavailable as error:
            if error.status != 404:
                raise
            return False
        return True

    def _keep(self, key: Key, told: _Told, of_object: _Bucket) -> None:
        with self._lock:
            _keep_last(self._told, key, told)
            _keep_last(self._buckets, key[0], of_object)


K = TypeVar("K")
V = TypeVar("V")


def _keep_last(kept: dict[K, V], key: K, value: V) -> None:
    """Keeps so many of those that were used last."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]


def _timestamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _manifest(about: Mapping[str, Any], event: Event, told: _Told, identity: str) -> Manifest:
    metadata = about["metadata"]
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
        "firstTimestamp": _timestamp(told.first),
        "lastTimestamp": _timestamp(told.last),
        "count": told.count,
    }
