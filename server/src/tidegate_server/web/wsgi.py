"""Whole requests to a WSGI application in a few threads, so that the event loop never waits for it."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from queue import SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import unquote_to_bytes

from tidegate_server.web.message import Request, Respond, Response, error_response

log = logging.getLogger(__name__)

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
REQUEST = "tidegate.request"
"""Where in the environ the request itself is."""


class WsgiThreadPool:
    """A bounded number of threads, and a bounded number of requests that wait for one."""

    def __init__(
        self, app: WSGIApplication, threads: int, max_queued: int, loop: asyncio.AbstractEventLoop, name: str
    ) -> None:
        """Starts the threads, which are called `name` and a number."""
        self._app, self._loop, self._free = app, loop, threads + max_queued
        self._work: SimpleQueue[tuple[Request, Respond] | None] = SimpleQueue()
        self._threads = [Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, request: Request, respond: Respond) -> bool:
        """False when too many wait already. In the loop's thread, where `respond` is called too."""
        if not self._free:
            return False
        self._free -= 1
        self._work.put((request, respond))
        return True

    def stop(self) -> None:
        """Each thread ends after the request that it has."""
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            request, respond = work
            response = call_app(self._app, request)
            try:
                self._loop.call_soon_threadsafe(self._done, respond, response)
            except RuntimeError:  # the loop has ended: the drain's deadline came first
                return

    def _done(self, respond: Respond, response: Response) -> None:
        self._free += 1
        respond(response)


def call_app(app: WSGIApplication, request: Request) -> Response:
    """One request through the application; 500 when it raises."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [int(status[:3]), headers]
        return _write

    try:
        result = app(build_environ(request), start_response)
        try:
            body = b"".join(result)
        finally:
            getattr(result, "close", lambda: None)()
        status, headers = head
    except Exception as error:
        log.exception("a request failed in the application: %s", type(error).__name__)
        return error_response(500, "the server failed on this request")
    kept = tuple(
        (name.lower(), value) for name, value in headers if name.lower() not in ("content-length", "connection")
    )
    return Response(status, body, kept)


def _write(_data: bytes) -> None:
    raise NotImplementedError("the application has to return its body")


def build_environ(request: Request) -> dict[str, Any]:
    """As PEP 3333 says; nothing of the process's own environment is in it."""
    path, _, query = request.target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_path_only(path)).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "tidegate",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        REQUEST: request,
    }
    for name, value in request.headers.items():
        if b"_" in name or name in (b"content-length", b"transfer-encoding"):
            continue  # with an underscore it could pose as another header
        key = name.decode("latin-1").upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.decode("latin-1")
    return environ


def _path_only(target: bytes) -> bytes:
    """Proxies may send the absolute form, `http://host/path`."""
    if target.startswith(b"/") or b"://" not in target:
        return target
    return b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
