"""What can be seen of the ModelDeployment while the story runs: its status and its Events, always the latest."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tidegate_demo.kubectl import Kubectl, Watch
from tidegate_demo.panel import SeenEvent
from tidegate_demo.seen import Seen, read

MOST_EVENTS = 500


class Sight:
    """Thread-safe; the watches write, the story reads."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self._lock = threading.Lock()
        self._name = name
        self._seen = Seen()
        self._events: dict[str, SeenEvent] = {}
        self._stack = ExitStack()
        only_ours = ("--field-selector", f"metadata.name={name}")
        about_ours = ("--field-selector", f"involvedObject.name={name},involvedObject.kind=ModelDeployment")
        self._watches = (
            Watch(kubectl, ("modeldeployments", "--namespace", namespace, *only_ours), self.take_object),
            Watch(kubectl, ("events", "--namespace", namespace, *about_ours), self.take_event),
        )

    def __enter__(self) -> Sight:
        for watch in self._watches:
            self._stack.enter_context(watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def seen(self) -> Seen:
        with self._lock:
            return self._seen

    @property
    def events(self) -> tuple[SeenEvent, ...]:
        with self._lock:
            return tuple(self._events.values())

    def take_object(self, kind: str, body: Mapping[str, Any]) -> None:
        with self._lock:
            self._seen = Seen() if kind == "DELETED" else read(body)

    def take_event(self, kind: str, body: Mapping[str, Any]) -> None:
        """An Event that is counted up is one Event, told at its first time."""
        uid = body.get("metadata", {}).get("uid", "")
        with self._lock:
            if kind == "DELETED" or uid in self._events or len(self._events) >= MOST_EVENTS:
                return
            self._events[uid] = SeenEvent(
                at=body.get("lastTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp", ""),
                reason=body.get("reason", ""),
                message=body.get("message", ""),
                warning=body.get("type") == "Warning",
            )
