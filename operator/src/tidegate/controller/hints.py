"""Which hints people have heard: each is an Event when it comes up, and again while it stays true."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.kube.informer import Key
from tidegate.model.decision import Event

AGAIN_AFTER = timedelta(minutes=30)
"""Kubernetes forgets an Event after an hour."""


@dataclass
class Hints:
    """Of every ModelDeployment, in memory only. Each is used by one thread at a time."""

    _told: dict[Key, dict[Event, datetime]] = field(default_factory=dict)

    def due(self, key: Key, hints: Iterable[Event], now: datetime) -> list[Event]:
        """Those that weren't told a short while ago."""
        told = self._told.get(key, {})
        return [hint for hint in dict.fromkeys(hints) if hint not in told or not _is_recent(told[hint], now)]

    def note(self, key: Key, hint: Event, now: datetime) -> None:
        """A hint was told."""
        told = self._told.get(key, {})
        recent = {each: at for each, at in told.items() if _is_recent(at, now)}
        self._told[key] = {**recent, hint: now}

    def forget(self, key: Key) -> None:
        """There is no such object any more."""
        self._told.pop(key, None)


def _is_recent(at: datetime, now: datetime) -> bool:
    """By a clock that was set back since, it isn't."""
    return at <= now < at + AGAIN_AFTER
