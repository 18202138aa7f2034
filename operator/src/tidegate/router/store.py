"""The objects the router has seen, kept parsed; several watches write here and one publisher reads."""

import logging
import threading
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from tidegate.router.cluster_lifecycle import RoutingSnapshot
from tidegate.router.objects import MalformedObject, Route, Slice, endpoints_by_service, read_route, read_slice

logger = logging.getLogger(__name__)

Name = tuple[str, str]
"""Namespace and name of an object."""


class Kind(Enum):
    """What is watched."""

    ROUTES = "ModelRoute"
    SLICES = "EndpointSlice"


class Store:
    """Complete once every (kind, scope) given at the start has been listed. Thread-safe.

    A ModelRoute that can't be used is reported and skipped; if a good one was known under its name, that one stays.
    """

    def __init__(self, sources: frozenset[tuple[Kind, str]]) -> None:
        self._missing = set(sources)
        self._routes: dict[Name, tuple[Route, int]] = {}
        self._slices: dict[Name, Slice] = {}
        self._changed = threading.Condition()
        self._revision = 0

    def replace(self, kind: Kind, scope: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        """A whole list of one kind in one scope (a namespace, or "" for all): what is not in it is gone."""
        with self._changed:
            listed = {_name(body) for body in bodies}
            for name in [name for name in self._names(kind) if scope in ("", name[0]) and name not in listed]:
                self._forget(kind, name)
            for body in bodies:
                self._remember(kind, body)
            self._missing.discard((kind, scope))
            self._touch()

    def put(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """One object is new or has changed."""
        with self._changed:
            if self._remember(kind, body):
                self._touch()

    def drop(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """One object is gone."""
        with self._changed:
            self._forget(kind, _name(body))
            self._touch()

    def wait(self, seen: int, timeout_seconds: float | None) -> int:
        """Waits until there is something newer than `seen`; returns the number of the newest."""
        with self._changed:
            self._changed.wait_for(lambda: self._revision != seen, timeout_seconds)
            return self._revision

    def wake(self) -> None:
        """Ends a `wait` although nothing changed."""
        with self._changed:
            self._touch()

    def world(self) -> RoutingSnapshot | None:
        """Everything, or None while a first list is still missing: half a world would take endpoints away."""
        with self._changed:
            if self._missing:
                return None
            routes = [self._routes[name] for name in sorted(self._routes)]
            return RoutingSnapshot(
                routes=tuple(route for route, _ in routes),
                generations={name: generation for name, (_, generation) in self._routes.items()},
                endpoints=endpoints_by_service(self._slices.values()),
            )

    def _names(self, kind: Kind) -> list[Name]:
        return list(self._routes if kind is Kind.ROUTES else self._slices)

    def _remember(self, kind: Kind, body: Mapping[str, Any]) -> bool:
        """False when the router has nothing to do because of this."""
        name = _name(body)
        try:
            if kind is Kind.ROUTES:
                found = (read_route(body), int(body["metadata"].get("generation", 0)))
                changed = self._routes.get(name) != found
                self._routes[name] = found
            else:
                one = read_slice(body)
                changed = self._slices.get(name) != one
                self._slices[name] = one
        except MalformedObject as error:
            logger.error("%s %s/%s is skipped: %s", kind.value, *name, error)
            return False
        return changed

    def _forget(self, kind: Kind, name: Name) -> None:
        if kind is Kind.ROUTES:
            self._routes.pop(name, None)
        else:
            self._slices.pop(name, None)

    def _touch(self) -> None:
        self._revision += 1
        self._changed.notify_all()


def _name(body: Mapping[str, Any]) -> Name:
    metadata = body.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
