"""HTTP servers of the trials' own on this machine, which the cluster's pods and its API server reach."""

import itertools
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_plus

from typing_extensions import override

from tidegate_demo.files import running

FORWARD_SECONDS = 20.0
HEADERS = ("Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version")


@dataclass(frozen=True)
class Call:
    """A request as it came. `path` has the query string."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def text(self) -> str:
        """Path, query and form, as a person would write them."""
        return unquote_plus(f"{self.path} {self.body.decode(errors='replace')}")


Reply = tuple[int, bytes]
"""Status and body; the body is JSON."""
Handle = Callable[[Call], Reply]


@contextmanager
def listening(address: str, handle: Handle, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yields `ADDRESS:PORT`; each call is handled in a thread of its own."""
    with ThreadingHTTPServer((address, 0), _handler(handle)) as server:
        server.daemon_threads = True
        server.block_on_close = False  # a call that hangs on purpose mustn't keep the trial
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        with running(server) as served_at:
            yield served_at


def _handler(handle: Handle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = tuple((name, self.headers[name]) for name in HEADERS if name in self.headers)
            status, body = handle(Call(self.command, self.path, headers, self.rfile.read(length)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def forward(upstream: str, call: Call) -> Reply:
    """What `upstream` (`http://ADDRESS:PORT`) says to the call; 502 where it can't be reached."""
    request = urllib.request.Request(  # noqa: S310 - an address that the trial made itself
        upstream + call.path, call.body or None, dict(call.headers), method=call.method
    )
    try:
        with urllib.request.urlopen(request, timeout=FORWARD_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 502, str(error).encode()


def in_turn(upstreams: Sequence[str]) -> Handle:
    """One address for several servers: each call goes to the next one."""
    turns, lock = itertools.cycle(upstreams), threading.Lock()

    def handle(call: Call) -> Reply:
        with lock:
            upstream = next(turns)
        return forward(upstream, call)

    return handle


class Hanging:
    """Passes calls on. From `begin` on it never answers one in which the word stands, until `end`."""

    def __init__(self, upstream: str, word: str) -> None:
        self._upstream, self._word = upstream, word
        self._begun, self._over = threading.Event(), threading.Event()
        self.unanswered = 0

    def begin(self) -> None:
        self._begun.set()

    def end(self) -> None:
        """Lets go of what hangs."""
        self._over.set()

    def handle(self, call: Call) -> Reply:
        if self._begun.is_set() and self._word in call.text:
            self.unanswered += 1
            self._over.wait()
            return 504, b""
        return forward(self._upstream, call)


@contextmanager
def delayed(seconds: float, upstream: Callable[[], str]) -> Iterator[Handle]:
    """Takes each call at once and passes it on later, in the order in which they came. Yields the handler."""
    waiting: queue.SimpleQueue[tuple[float, Call] | None] = queue.SimpleQueue()

    def handle(call: Call) -> Reply:
        waiting.put((time.monotonic() + seconds, call))
        return 204, b""

    def pass_on() -> None:
        while (due := waiting.get()) is not None:
            time.sleep(max(0.0, due[0] - time.monotonic()))
            forward(upstream(), due[1])

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    try:
        yield handle
    finally:
        waiting.put(None)
