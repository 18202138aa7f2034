"""A small API server on a loopback port: pods in pages, watches that stay silent until it forgets, nothing else."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from benchmarks.informer.pods import pods

FORGET, FORGET_AND_CHANGE = "/benchmark/forget", "/benchmark/forget-and-change"
"""Every watch is told 410, and the answer comes when the pods are watched again; the second changes them all first."""
EXPIRED = b'{"type":"ERROR","object":{"code":410,"message":"too old resource version"}}\n'


class ApiServer:
    """Knows so many pods; a list without a limit is given as a whole."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._changed = threading.Condition()
        self._era = 0
        self._watched_in = -1
        self._show(version=1)
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = _Server(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator["ApiServer"]:
        """Answers inside the block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def page(self, plural: str, limit: int, begin: int) -> bytes:
        """A list from its `begin`th object on; 0 as the limit is for all of it."""
        items: Sequence[bytes] = self._pods if plural == "pods" else ()
        end = begin + limit if limit else len(items)
        metadata = {"resourceVersion": str(self._version), "continue": str(end) if end < len(items) else ""}
        head = f'{{"kind":"List","apiVersion":"v1","metadata":{json.dumps(metadata)},"items":['
        return head.encode() + b",".join(items[begin:end]) + b"]}"

    def wait_until_forgotten(self, plural: str) -> None:
        """A watch: it hears nothing until everything is forgotten."""
        with self._changed:
            era = self._era
            if plural == "pods":
                self._watched_in = era
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._era != era)

    def forget(self, *, change: bool) -> None:
        """Returns when the pods were listed anew and are watched again."""
        with self._changed:
            self._changed.wait_for(lambda: self._watched_in == self._era)
            if change:
                self._show(self._version + 1)
            self._era += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._watched_in == self._era)

    def _show(self, version: int) -> None:
        self._pods = [json.dumps(pod, separators=(",", ":")).encode() for pod in pods(self._number, version)]
        self._version = version + self._number


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has ended while it watched is nobody's trouble."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: ApiServer

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        plural = asked.path.rpartition("/")[2]
        if asked.path in (FORGET, FORGET_AND_CHANGE):
            self.api.forget(change=asked.path == FORGET_AND_CHANGE)
            self._answer(b"{}")
        elif "watch" in query:
            self.api.wait_until_forgotten(plural)
            self._answer(EXPIRED)
        else:
            self._answer(self.api.page(plural, int(query.get("limit", 0)), int(query.get("continue", 0))))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""
