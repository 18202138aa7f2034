"""One model and its pods as they change, by the API's watches, until somebody has seen enough.

Two threads list and watch; a watch that breaks is begun anew, later each time it breaks again. Whatever was seen last
is shown meanwhile, with a note since when.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.cli.common.cluster import FORBIDDEN, GONE, Cluster, pods_of
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import MODEL_DEPLOYMENTS, PODS, Manifest, Resource

WATCH_SECONDS = 300
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0


@dataclass(frozen=True)
class Seen:
    """What is known at a moment."""

    model: Manifest | None = None
    """None before the first answer, or where it has been deleted."""
    pods: dict[str, Manifest] = field(default_factory=dict)
    deleted: bool = False
    troubles: dict[str, str] = field(default_factory=dict)
    """What can't be read at the moment, by kind: a sentence."""

    @property
    def notes(self) -> list[str]:
        """Those sentences."""
        return list(self.troubles.values())


@dataclass(frozen=True)
class _Change:
    """A whole list, one object, or a trouble."""

    kind: str
    listed: list[Manifest] | None = None
    event: Manifest | None = None
    trouble: str | None = None


class Following:
    """Inside of `with`, `next` gives what is known whenever it has changed."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._changes: queue.Queue[_Change] = queue.Queue()
        self._ended = threading.Event()
        self._seen = Seen()

    def __enter__(self) -> "Following":
        for resource, selector, fields in (
            (MODEL_DEPLOYMENTS, None, f"metadata.name={self._name}"),
            (PODS, pods_of(self._name), None),
        ):
            threading.Thread(target=self._follow, args=(resource, selector, fields), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def next(self, seconds: float) -> Seen:
        """What is known after the next change, or after so many seconds without one."""
        try:
            self._take(self._changes.get(timeout=max(0.0, seconds)))
            while True:
                self._take(self._changes.get_nowait())
        except queue.Empty:
            return self._seen

    def _take(self, change: _Change) -> None:
        troubles = {kind: said for kind, said in self._seen.troubles.items() if kind != change.kind}
        if change.trouble is not None:
            self._seen = replace(self._seen, troubles={**troubles, change.kind: change.trouble})
        elif change.kind == MODEL_DEPLOYMENTS.kind:
            self._seen = replace(self._of_model(change), troubles=troubles)
        else:
            self._seen = replace(self._seen, pods=self._of_pods(change), troubles=troubles)

    def _of_model(self, change: _Change) -> Seen:
        if change.listed is not None:
            model = change.listed[0] if change.listed else None
        else:
            event = change.event or {}
            model = None if event["type"] == "DELETED" else event["object"]
        return replace(self._seen, model=model, deleted=model is None)

    def _of_pods(self, change: _Change) -> dict[str, Manifest]:
        if change.listed is not None:
            return {each["metadata"]["name"]: each for each in change.listed}
        event = change.event or {}
        name = event["object"]["metadata"]["name"]
        others = {key: pod for key, pod in self._seen.pods.items() if key != name}
        return others if event["type"] == "DELETED" else {**others, name: event["object"]}

    def _follow(self, resource: Resource, selector: str | None, fields: str | None) -> None:
        wait = FIRST_WAIT
        while not self._ended.is_set():
            try:
                for change in self._changes_of(resource, selector, fields):
                    self._changes.put(change)
                    wait = FIRST_WAIT
            except ClusterUnavailable as error:
                if error.status != GONE:
                    self._changes.put(_Change(resource.kind, trouble=_trouble(resource, error)))
                    self._ended.wait(LONGEST_WAIT if error.status == FORBIDDEN else wait)
                    wait = min(LONGEST_WAIT, wait * 2)

    def _changes_of(self, resource: Resource, selector: str | None, fields: str | None) -> Iterator[_Change]:
        api, namespace = self._cluster.api, self._cluster.namespace
        listed = api.list(resource, namespace, selector, fields=fields)
        yield _Change(resource.kind, listed=listed.get("items") or [])
        version = listed["metadata"]["resourceVersion"]
        while not self._ended.is_set():
            for event in api.watch(resource, namespace, selector, version, seconds=WATCH_SECONDS, fields=fields):
                if event["type"] == "ERROR":
                    raise _of_event(event["object"])
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield _Change(resource.kind, event=event)


def _of_event(said: dict[str, Any]) -> ClusterUnavailable:
    return ClusterUnavailable(str(said.get("message")), said.get("code"))


def _trouble(resource: Resource, error: ClusterUnavailable) -> str:
    if error.status == FORBIDDEN:
        return f"You have no right to watch {resource.plural}: {error.said}"
    at = datetime.now(UTC)  # noqa: TID251 - the time at which the connection broke
    return f"Since {at:%H:%M:%S} UTC the {resource.plural} can't be read, so they are shown as they were: {error.said}"
