"""Asks at a fixed rate, whether or not answers have come: how late they are below saturation.

wrk asks again only when it has been answered, so it can't measure this. Requests are due at equal distances, and the
time of an answer counts from when its request was due, so a server that stalls is charged for all who had to wait.
One thread costs some microseconds a request; the cores are needed by the server.
"""

import select
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from statistics import quantiles
from time import perf_counter

from benchmarks.server.protocols import InferenceRequest
from benchmarks.server.results import Load

MAX_CONNECTIONS = 64
PATIENCE_SECONDS = 5.0
SETTLE_SECONDS = 0.5
_READ = 1 << 16


@dataclass(frozen=True)
class Head:
    """A response's status and the length of all of it; `closes` when its connection can't be used again."""

    status: int
    length: int
    closes: bool


def read_head(received: bytes) -> Head | None:
    """None as long as the head, or a chunked body, isn't complete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    closes = b"connection: close" in head
    at = head.find(b"content-length:")
    if at >= 0:
        return Head(int(head[9:12]), end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]), closes)
    if not received.endswith(b"0\r\n\r\n"):
        return None
    return Head(int(head[9:12]), len(received), closes)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def summary(per_second: float, times: Sequence[float], failed: int) -> Load:
    """Times in seconds; the result is in milliseconds."""
    if len(times) < 2:
        return Load(per_second, 0.0, 0.0, failed)
    cuts = quantiles(times, n=100)
    return Load(per_second, cuts[49] * 1e3, cuts[98] * 1e3, failed)


def drive_at_rate(port: int, requests: Sequence[InferenceRequest], per_second: float, seconds: float) -> Load:
    """Asks for that time at that rate, one request after the other, and waits a while for the last answers.

    What was asked in the half second before that doesn't count: the server may still have work from before.
    """
    client = _Client(port, [request.sent_to(f"127.0.0.1:{port}") for request in requests])
    try:
        client.run(per_second, seconds + SETTLE_SECONDS)
    finally:
        client.close()
    return summary(per_second, client.times, client.failed)


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    due: float = 0.0
    received: bytes = b""
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))

    def fileno(self) -> int:
        """For `select`, which takes whatever has one."""
        return self.socket.fileno()


class _Client:
    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self.times: list[float] = []
        self.failed = 0
        self._port = port
        self._requests = cycle([memoryview(request) for request in requests])
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._waiting: deque[float] = deque()
        self._counts_from = 0.0

    def close(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.socket.close()

    def run(self, per_second: float, seconds: float) -> None:
        requests = max(1, round(per_second * seconds))
        began = perf_counter()
        self._counts_from = began + SETTLE_SECONDS
        deadline = began + seconds + PATIENCE_SECONDS
        asked = 0
        while (asked < requests or self._busy or self._waiting) and (now := perf_counter()) < deadline:
            while asked < requests and began + asked / per_second <= now:
                self._waiting.append(began + asked / per_second)
                asked += 1
            self._send_what_is_due()
            next_due = began + asked / per_second if asked < requests else deadline
            self._wait(max(0.0, next_due - perf_counter()))
        self.failed += len(self._busy) + len(self._waiting)

    def _send_what_is_due(self) -> None:
        while self._waiting and (self._idle or len(self._busy) < MAX_CONNECTIONS):
            connection = self._idle.pop() if self._idle else self._connect()
            connection.due, connection.received, connection.unsent = self._waiting.popleft(), b"", next(self._requests)
            self._busy.add(connection)
            self._send(connection)

    def _wait(self, seconds: float) -> None:
        """`select`, because epoll's timeout has whole milliseconds only, and few requests are under way at a time."""
        unsent = [connection for connection in self._busy if connection.unsent]
        readable, writable, _ = select.select(self._busy, unsent, [], seconds)
        for connection in writable:
            self._send(connection)
        for connection in readable:
            if connection in self._busy:
                self._receive(connection)

    def _connect(self) -> _Connection:
        opened = socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        return _Connection(opened)

    def _send(self, connection: _Connection) -> None:
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._broken(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._broken(connection)
            return
        connection.received += received
        head = read_head(connection.received)
        if head is not None and len(connection.received) >= head.length:
            self._answered(connection, head)

    def _answered(self, connection: _Connection, head: Head) -> None:
        if head.status != 200:
            self.failed += 1
        elif connection.due >= self._counts_from:
            self.times.append(perf_counter() - connection.due)
        self._busy.discard(connection)
        if head.closes:
            connection.socket.close()
        else:
            self._idle.append(connection)

    def _broken(self, connection: _Connection) -> None:
        self.failed += 1
        self._busy.discard(connection)
        connection.socket.close()
