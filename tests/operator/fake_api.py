"""An API server of one's own on loopback: the few verbs that Tidegate's commands use, with real HTTP and real watches.

It keeps objects, versions and conflicts as Kubernetes does, and has no schema, no admission and no rights but those
that a test takes away.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tidegate.kube.api import Manifest, Resource

Reaction = Callable[["FakeApi", Manifest], None]


@dataclass(frozen=True)
class Asked:
    """One request: `PATCH /apis/…`, with its query and body."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


class FakeApi:
    """The objects, by the path of their collection and their names; a change wakes every watch."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.asked: list[Asked] = []
        self.refusals: dict[tuple[str, str], tuple[int, str]] = {}
        """(method, plural) → status and message of every answer to it."""
        self.answers: dict[str, Manifest | str] = {}
        """path → what is answered there, whatever objects there are: JSON, or text for a pod's log."""
        self.reactions: list[Reaction] = []
        """Called after each change by a request: what the operator does."""
        self.username = "alice"
        self.changed = threading.Condition(threading.RLock())
        self.events: list[tuple[int, str, Manifest]] = []
        self.version = 1

    def put(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest:
        """Makes or replaces an object, as another client would."""
        metadata = manifest["metadata"]
        key = (resource.plural, metadata.get("namespace", "default"), metadata["name"])
        with self.changed:
            kind = "MODIFIED" if key in self.objects else "ADDED"
            return self._store(key, kind, {"apiVersion": resource.api_version, "kind": resource.kind, **manifest})

    def read(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """An object as it is."""
        return self.objects[resource.plural, namespace, name]

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Deletes an object."""
        with self.changed:
            held = self.objects.pop((resource.plural, namespace, name))
            self.version += 1
            self.events.append((self.version, "DELETED", held))
            self.changed.notify_all()

    def _store(self, key: tuple[str, str, str], kind: str, manifest: Manifest) -> Manifest:
        self.version += 1
        stored = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}
        self.objects[key] = stored
        self.events.append((self.version, kind, stored))
        self.changed.notify_all()
        return stored

    def patch(self, key: tuple[str, str, str], change: Any) -> tuple[int, Manifest]:
        """A merge patch, refused where it rests on an older version."""
        with self.changed:
            held = self.objects.get(key)
            if held is None:
                return 404, failure(404, f'{key[0]} "{key[2]}" not found')
            version = change.get("metadata", {}).get("resourceVersion")
            if version not in (None, held["metadata"]["resourceVersion"]):
                return 409, failure(
                    409, "the object has been modified; please apply your changes to the latest version"
                )
            merged = merged_with(held, change)
            if merged.get("spec") != held.get("spec"):
                merged["metadata"]["generation"] = held["metadata"].get("generation", 1) + 1
            stored = self._store(key, "MODIFIED", merged)
        for reaction in self.reactions:
            reaction(self, stored)
        return 200, stored


def merged_with(held: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    kept = dict(held) if isinstance(held, dict) else {}
    for name, value in change.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = merged_with(kept.get(name), value)
    return kept


def failure(status: int, message: str) -> Manifest:
    """A Status, as the API server answers with."""
    return {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status}


@contextmanager
def serving(api: FakeApi, folder: Path) -> Iterator[Path]:
    """The kubeconfig of a server that answers with these objects inside the block."""

    class Handler(_Handler):
        fake = api

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        with api.changed:
            api.version = -1
            api.changed.notify_all()


def kubeconfig(folder: Path, server: str, user: Mapping[str, Any] | None = None, **cluster: Any) -> Path:
    """A kubeconfig whose only context is about that server and the namespace `shop`."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "tester", "user": dict(user or {})}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "tester", "namespace": "shop"}}],
        "current-context": "here",
    }
    place = folder / "kubeconfig"
    place.write_text(yaml.safe_dump(document))
    return place


class _Handler(BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.fake.asked.append(Asked(self.command, parts.path, query, body, dict(self.headers)))
        plural, namespace, name = place_of(parts.path)
        if refused := self.fake.refusals.get((self.command, plural)):
            self._send(refused[0], failure(*refused))
        elif (answer := self.fake.answers.get(parts.path)) is not None:
            self._send(200, answer)
        elif plural == "selfsubjectreviews":
            self._send(201, {"status": {"userInfo": {"username": self.fake.username}}})
        elif self.command == "PATCH" and namespace and name:
            self._send(*self.fake.patch((plural, namespace, name), body))
        elif name:
            held = self.fake.objects.get((plural, namespace or "", name))
            self._send(200, held) if held else self._send(404, failure(404, f'{plural} "{name}" not found'))
        elif "watch" in query:
            self._watch(plural, namespace, query)
        else:
            self._list(plural, namespace, query)

    def _list(self, plural: str, namespace: str | None, query: Mapping[str, str]) -> None:
        with self.fake.changed:
            found = [each for key, each in sorted(self.fake.objects.items()) if wanted(key, plural, namespace)]
            found = [each for each in found if selected(each, query)]
            version = str(self.fake.version)
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or len(found) or 1)
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        self._send(200, {"metadata": {"resourceVersion": version, **more}, "items": found[start : start + limit]})

    def _watch(self, plural: str, namespace: str | None, query: Mapping[str, str]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = int(query["resourceVersion"])
        while True:
            with self.fake.changed:
                self.fake.changed.wait_for(lambda: self.fake.version != seen, timeout=20)  # noqa: B023
                if self.fake.version < 0 or self.fake.version == seen:
                    return
                news = [event for event in self.fake.events if event[0] > seen]
                seen = self.fake.version
            for _, kind, manifest in news:
                key = (plural_of(manifest), manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"])
                if wanted(key, plural, namespace) and selected(manifest, query):
                    self._chunk(json.dumps({"type": kind, "object": manifest}).encode() + b"\n")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _send(self, status: int, document: Mapping[str, Any] | str) -> None:
        content = (document if isinstance(document, str) else json.dumps(document)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def place_of(path: str) -> tuple[str, str | None, str | None]:
    """Plural, namespace and name in the path of an object or a collection."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = None
    if rest and rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    return rest[0] if rest else "", namespace, rest[1] if len(rest) > 1 else None


def plural_of(manifest: Manifest) -> str:
    """Of an object's kind."""
    return f"{manifest['kind'].lower()}s"


def wanted(key: tuple[str, str, str], plural: str, namespace: str | None) -> bool:
    """Whether an object lies in a collection."""
    return key[0] == plural and namespace in (None, key[1])


def selected(manifest: Manifest, query: Mapping[str, str]) -> bool:
    """Whether the labels and the fields are those that are asked for."""
    labels = manifest["metadata"].get("labels") or {}
    asked = [pair.partition("=") for pair in query.get("labelSelector", "").split(",") if pair]
    by_label = {name: value if equals else labels.get(name, "absent") for name, equals, value in asked}
    fields = dict(pair.split("=") for pair in query.get("fieldSelector", "").split(",") if pair)
    return by_label.items() <= labels.items() and all(_field(manifest, path) == value for path, value in fields.items())


def _field(manifest: Manifest, path: str) -> Any:
    found: Any = manifest
    for name in path.split("."):
        found = found.get(name, {})
    return found
