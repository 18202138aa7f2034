"""An API server on loopback that knows ModelDeployments, pods and rights, and counts what it is asked for."""

import json
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.operator.fake_api import merged_with

Manifest = dict[str, Any]
MINE = "the-token-of-the-dashboard"
GROUP = "tidegate.dev"
REVIEWS = ("selfsubjectaccessreviews", "selfsubjectreviews")


class FakeApi:
    """`people` are names by token; `rights` are what each may, as (verb, resource, namespace)."""

    def __init__(self, port: int = 0) -> None:
        self.people: dict[str, str] = {MINE: "carol@example.com"}
        self.rights: dict[str, set[tuple[str, str, str]]] = {}
        self.asked: Counter[str] = Counter()
        self.patches: list[tuple[str, str, Manifest]] = []
        """Who wrote, to what, and which patch."""
        self.reactions: list[Callable[[FakeApi, Manifest], None]] = []
        """Called after each patch: what the operator does."""
        self.forbids_lists = False
        self.watching = 0
        self._objects: dict[tuple[str, str, str], Manifest] = {}
        self._watches: list[tuple[str, queue.Queue[Manifest | None]]] = []
        self._happened: list[tuple[str, Manifest]] = []
        self._lock = threading.Lock()
        self._version = 100
        self._port = port
        self._sockets: set[socket.socket] = set()
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens, where it was before if it was anywhere."""
        api = self

        class Handler(_Handler):
            fake = api

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Is away: nobody listens, and every connection ends."""
        self._server.shutdown()
        self._server.server_close()
        for _, waiting in self._watches:
            waiting.put(None)
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def put(self, plural: str, manifest: Mapping[str, Any]) -> None:
        """Creates or changes an object."""
        stored = deepcopy(dict(manifest))
        metadata = stored["metadata"]
        key = plural, metadata["namespace"], metadata["name"]
        with self._lock:
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
            metadata.setdefault("uid", "-".join(key))
            kind = "MODIFIED" if key in self._objects else "ADDED"
            self._objects[key] = stored
            self._tell(plural, {"type": kind, "object": stored})

    def get(self, plural: str, namespace: str, name: str) -> Manifest:
        with self._lock:
            return deepcopy(self._objects[plural, namespace, name])

    def delete(self, plural: str, namespace: str, name: str) -> None:
        with self._lock:
            self._version += 1
            gone = self._objects.pop((plural, namespace, name))
            gone["metadata"]["resourceVersion"] = str(self._version)
            self._tell(plural, {"type": "DELETED", "object": gone})

    def kubeconfig(self, folder: Path) -> Path:
        """A file by which it is found."""
        place = folder / "kubeconfig"
        place.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "shop"}}],
                    "users": [{"name": "fake", "user": {"token": MINE}}],
                }
            )
        )
        return place

    def may(self, token: str, verb: str, resource: str, namespace: str) -> bool:
        """The dashboard's own account may all; others what they were given, everywhere or in a namespace."""
        given = self.rights.get(token, set())
        return token == MINE or bool({(verb, resource, ""), (verb, resource, namespace)} & given)

    def listed(self, plural: str, namespace: str | None) -> Manifest:
        with self._lock:
            items = [each for key, each in self._objects.items() if key[0] == plural and namespace in (None, key[1])]
            return {"metadata": {"resourceVersion": str(self._version)}, "items": deepcopy(items)}

    def merge(self, plural: str, namespace: str, name: str, patch: Manifest) -> Manifest:
        """Raises KeyError where the object has changed since the version that the patch says."""
        with self._lock:
            held = self._objects[plural, namespace, name]
            if patch.get("metadata", {}).get("resourceVersion") not in (None, held["metadata"]["resourceVersion"]):
                raise KeyError(name)
        merged: Manifest = merged_with(self.get(plural, namespace, name), patch)
        self.put(plural, merged)
        for reaction in self.reactions:
            reaction(self, merged)
        return self.get(plural, namespace, name)

    def watch(self, plural: str, version: int) -> "queue.Queue[Manifest | None]":
        """What has happened since a version, and will."""
        waiting: queue.Queue[Manifest | None] = queue.Queue()
        with self._lock:
            for watched, event in self._happened:
                if watched == plural and int(event["object"]["metadata"]["resourceVersion"]) > version:
                    waiting.put(deepcopy(event))
            self._watches.append((plural, waiting))
            self.watching += 1
        return waiting

    def unwatch(self, waiting: "queue.Queue[Manifest | None]") -> None:
        with self._lock:
            self._watches = [each for each in self._watches if each[1] is not waiting]
            self.watching -= 1

    def _tell(self, plural: str, event: Manifest) -> None:
        self._happened.append((plural, deepcopy(event)))
        for watched, waiting in self._watches:
            if watched == plural:
                waiting.put(deepcopy(event))


class _Handler(BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.fake._sockets.add(self.connection)

    def finish(self) -> None:
        self.fake._sockets.discard(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        place, query = self._place(), parse_qs(urlsplit(self.path).query)
        if not self._is_known() or place is None:
            return
        plural, namespace, name = place
        verb = "watch" if "watch" in query else "get" if name else "list"
        self.fake.asked[f"{verb} {plural}"] += 1
        if self.fake.forbids_lists or not self.fake.may(self._token, verb, plural, namespace or ""):
            self._refuse(403, f"{plural} is forbidden: User {self.fake.people[self._token]!r} cannot {verb} {plural}")
        elif verb == "watch":
            self._watch(plural, namespace, int(query["resourceVersion"][0]))
        elif name:
            try:
                self._answer(200, self.fake.get(plural, namespace or "", name))
            except KeyError:
                self._refuse(404, f'{plural} "{name}" not found')
        else:
            self._answer(200, self.fake.listed(plural, namespace))

    def do_POST(self) -> None:
        body = self._body()
        if not self._is_known():
            return
        plural = urlsplit(self.path).path.rpartition("/")[2]
        self.fake.asked[f"create {plural}"] += 1
        if plural == "selfsubjectreviews":
            self._answer(201, {"status": {"userInfo": {"username": self.fake.people[self._token]}}})
        elif plural == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            allowed = self.fake.may(self._token, asked["verb"], asked["resource"], asked.get("namespace", ""))
            self._answer(201, {"status": {"allowed": allowed}})
        else:
            self._refuse(404, "the server could not find the requested resource")

    def do_PATCH(self) -> None:
        body, place = self._body(), self._place()
        if not self._is_known() or place is None:
            return
        plural, namespace, name = place
        who = self.fake.people[self._token]
        if not self.fake.may(self._token, "patch", plural, namespace or ""):
            self._refuse(403, f'{plural}.{GROUP} "{name}" is forbidden: User "{who}" cannot patch resource "{plural}"')
            return
        try:
            merged = self.fake.merge(plural, namespace or "", name or "", body)
        except KeyError:
            self._refuse(409, "the object has been modified; please apply your changes to the latest version")
            return
        self.fake.patches.append((who, f"{namespace}/{name}", body))
        self._answer(200, merged)

    def _watch(self, plural: str, namespace: str | None, version: int) -> None:
        waiting = self.fake.watch(plural, version)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while (event := waiting.get()) is not None:
                if namespace in (None, event["object"]["metadata"]["namespace"]):
                    line = json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        except OSError:
            pass
        finally:
            self.fake.unwatch(waiting)
            self.close_connection = True

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _is_known(self) -> bool:
        if self._token not in self.fake.people:
            self._refuse(401, "Unauthorized")
            return False
        return True

    def _place(self) -> tuple[str, str | None, str | None] | None:
        """Plural, namespace and name."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = None
        if parts and parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        if not parts:
            self._refuse(404, "not found")
            return None
        return parts[0], namespace, parts[1] if len(parts) > 1 else None

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"kind": "Status", "message": message, "code": status})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
