"""Serves the demo's models over HTTP on an address that pods reach. Nothing but the files it was given."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

# The same port each time: the URI is part of a revision, and the second telling should meet the same revisions.
USUAL_PORT = 8480


@contextmanager
def serving(files: Mapping[str, Path], address: str, port: int = USUAL_PORT) -> Iterator[str]:
    """Yields `address:port` while the files are served, each under its name."""
    with _server(files, address, port) as server, running(server) as served_at:
        yield served_at


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Yields the server's `address:port` while it answers."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address, port = server.server_address[:2]
        yield f"{address!s}:{port}"
    finally:
        server.shutdown()
        thread.join()


def _server(files: Mapping[str, Path], address: str, port: int) -> ThreadingHTTPServer:
    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = files.get(self.path.lstrip("/"))
            if path is None:
                self.send_error(404)
                return
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    try:
        return ThreadingHTTPServer((address, port), Files)
    except OSError:
        return ThreadingHTTPServer((address, 0), Files)
