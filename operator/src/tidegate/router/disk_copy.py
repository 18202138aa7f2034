"""What Envoy was told last, on the disk that it shares with the agent: for when everything else is away.

One line for each change, so a change costs what it is; the file is written anew when most of its lines are outdated.
"""

import errno
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from tidegate.errors import MalformedObject
from tidegate.model.matching import plain_rules, read_rules
from tidegate.model.route_policy import policy_fields, read_policy
from tidegate.model.slices import plain_slices, read_slices
from tidegate.model.traffic import Matched, Mirror
from tidegate.resources.model_route import Backend, Route, plain_sticky, read_sticky
from tidegate.resources.names import Name
from tidegate.router.objects import Answering, Endpoint, Service

FILE = "routing.jsonl"
OUTDATED_LINES = 2000
"""How many there may be beside one for each route and Service."""
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, MalformedObject)


@dataclass
class Recalled:
    """Routes as Envoy worked with them, and who answered."""

    routes: dict[Name, Route] = field(default_factory=dict)
    services: dict[Service, Answering] = field(default_factory=dict)

    def size(self) -> int:
        """How many there are."""
        return len(self.routes) + len(self.services)

    def put(self, routes: Mapping[Name, Route | None], services: Mapping[Service, Answering]) -> None:
        """These are so now; a route that is None is gone, and so is a Service for which nobody answers."""
        for name, route in routes.items():
            if route is None:
                self.routes.pop(name, None)
            else:
                self.routes[name] = route
        for service, found in services.items():
            if found.endpoints:
                self.services[service] = found
            else:
                self.services.pop(service, None)


class DiskCopy:
    """One file in a directory, which is made if it isn't there.

    Without fsync: a node that fails takes the pod along, and the copy with it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / FILE
        self._is_whole = False
        """Whether the file is one that was written here, and has all its lines."""
        self._lines = 0
        self._now = Recalled()

    def read(self) -> Recalled:
        """What is there; empty where nothing is. A line that makes no sense, as the last of a full disk, is skipped."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return Recalled()
        for line in lines:
            _take(self._now, line)
        self._lines = len(lines)
        return Recalled(dict(self._now.routes), dict(self._now.services))

    def write(self, routes: Mapping[Name, Route | None], services: Mapping[Service, Answering]) -> None:
        """These are so now; a route that is None is gone. Raises OSError when the disk refuses."""
        self._now.put(routes, services)
        self._lines += len(routes) + len(services)
        is_appended = self._is_whole and self._lines <= self._now.size() + OUTDATED_LINES
        self._is_whole = False
        if is_appended:
            self._append(_text(routes, services))
        else:
            self._write_anew()
        self._is_whole = True

    def _append(self, text: bytes) -> None:
        # The system's own calls: this is done for each change, and Python's files cost more than the writing.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            written = os.write(file, text)
        finally:
            os.close(file)
        if written < len(text):
            raise OSError(errno.ENOSPC, f"only {written} of {len(text)} bytes were taken", str(self._path))

    def _write_anew(self) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        unfinished.write_bytes(_text(self._now.routes, self._now.services))
        unfinished.replace(self._path)
        self._lines = self._now.size()


def longest_timeout(directory: Path) -> float | None:
    """Seconds that a request may take at most by the routes there; None where nothing is known of them."""
    if not (directory / FILE).exists():
        return None
    return max((float(route.timeout_seconds) for route in DiskCopy(directory).read().routes.values()), default=0.0)


def _text(routes: Mapping[Name, Route | None], services: Mapping[Service, Answering]) -> bytes:
    lines = [
        *(_route_line(name, route) for name, route in routes.items()),
        *(_service_line(service, found) for service, found in services.items()),
    ]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _route_line(name: Name, route: Route | None) -> list[object]:
    if route is None:
        return ["route", *name]
    split = [list(each) for each in route.backends]
    more = {
        **({"mirror": asdict(route.mirror)} if route.mirror else {}),
        **({"match": [route.matched.revision, plain_rules(route.matched.rules)]} if route.matched else {}),
        **({"sticky": plain_sticky(route.sticky)} if route.sticky else {}),
        **({"slices": plain_slices(route.slices)} if route.slices else {}),
    }
    rest = [route.grpc, policy_fields(route.policy), more]
    return ["route", *name, route.preview_header, route.timeout_seconds, split, *rest]


def _service_line(service: Service, found: Answering) -> list[object]:
    pods = [list(each) for each in found.endpoints]
    return ["service", service.namespace, service.name, found.leaving, pods]


def _take(recalled: Recalled, line: bytes) -> None:
    try:
        kind, namespace, name, *rest = orjson.loads(line)
        if kind == "route":
            recalled.put({(namespace, name): _route((namespace, name), *rest) if rest else None}, {})
        else:
            recalled.put({}, {Service(namespace, name): _answering(*rest)})
    except UNREADABLE:
        return


def _route(
    name: Name,
    header: str,
    timeout: int,
    backends: list[Any],
    grpc: object = False,
    policy: Any = MappingProxyType({}),
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Route:
    split = tuple(Backend(each, int(weight)) for each, weight in backends)
    mirror = Mirror(**more["mirror"]) if "mirror" in more else None
    matched = Matched(more["match"][0], read_rules(more["match"][1], "match")) if "match" in more else None
    sticky = read_sticky(more["sticky"]) if "sticky" in more else None
    guards, slices = read_policy(policy, "policy"), read_slices(more.get("slices", ()), "slices")
    settings = (*name, header, int(timeout), split, grpc is True)
    return Route(*settings, guards, mirror, matched, sticky=sticky, slices=slices)


def _answering(leaving: bool, pods: list[Any]) -> Answering:
    return Answering(tuple(Endpoint(address, *map(int, ports)) for address, *ports in pods), leaving)
