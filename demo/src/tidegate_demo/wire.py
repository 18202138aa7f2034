"""A lean HTTP/1.1 client: keep-alive connections and nothing else. It never retries, because a load must count."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

HEADER_END = b"\r\n\r\n"
MAX_ANSWER_BYTES = 1_000_000
MOST_CONNECTIONS = 1_500


@dataclass(frozen=True)
class Answer:
    """A whole answer. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class BrokenAnswerError(Exception):
    """These bytes will never become an HTTP answer."""


def parse_answer(received: bytes) -> Answer | None:
    """The answer in these bytes, or None while it isn't whole yet."""
    end = received.find(HEADER_END)
    if len(received) > MAX_ANSWER_BYTES:
        raise BrokenAnswerError("the answer is too large")
    if end < 0:
        return None
    status, headers = _parse_head(received[:end].decode("latin-1"))
    rest = received[end + len(HEADER_END) :]
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _parse_chunks(rest)
        return None if body is None else Answer(status, headers, body)
    length = int(headers.get("content-length", "0"))
    return Answer(status, headers, rest[:length]) if len(rest) >= length else None


def _parse_head(head: str) -> tuple[int, dict[str, str]]:
    first, *lines = head.split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise BrokenAnswerError(f"not an HTTP answer: {first[:40]!r}")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return int(words[1]), {name.strip().lower(): value.strip() for name, value in pairs}


def _parse_chunks(rest: bytes) -> bytes | None:
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found:
            return None
        size = int(line.split(b";")[0], 16)
        if len(after) < size + 2:
            return None
        if size == 0:
            return body
        body, rest = body + after[:size], after[size + 2 :]


Done = Callable[[Answer | None, str], None]
"""Called once per request: with the answer, or with None and a word for what went wrong."""


class Connection(asyncio.Protocol):
    """One keep-alive connection, at most one request at a time."""

    def __init__(self, idle: deque[Connection]) -> None:
        self._idle = idle
        self._received = b""
        self._done: Done | None = None
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection gives no other kind
        self._transport = transport

    def ask(self, request: bytes, done: Done) -> None:
        self._received, self._done = b"", done
        if self._transport is None or self._transport.is_closing():
            self._finish(None, "reset")
            return
        self._transport.write(request)

    def give_up(self) -> None:
        """Nobody waits for the answer any more, so the connection is of no use either."""
        self._done = None
        self.close()

    def close(self) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._transport is not None:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            answer = parse_answer(self._received)
        except (BrokenAnswerError, ValueError):
            self._finish(None, "broken answer")
            self.close()
            return
        if answer is None:
            return
        if self._done is not None and answer.keeps_alive:
            self._idle.append(self)
        else:
            self.close()
        self._finish(answer, "")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        self._finish(None, "reset")

    def _finish(self, answer: Answer | None, fault: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(answer, fault)


class Client:
    """Sends requests to one address; opens a connection whenever none is idle, so that no request waits for another."""

    def __init__(self, address: str, port: int, timeout: float) -> None:
        self._address, self._port, self._timeout = address, port, timeout
        self._idle: deque[Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._in_flight = 0

    async def open(self, count: int) -> None:
        """Opens idle connections in advance, so that the load spreads over all routers behind the address.

        An address that refuses them is no reason to stop: the requests themselves will tell.
        """
        with contextlib.suppress(OSError):
            async with asyncio.timeout(self._timeout):
                for _ in range(count):
                    self._idle.append(await self._connect())

    def send(self, request: bytes, done: Done) -> None:
        """Returns at once. `done` is called within `timeout` seconds whatever happens."""
        if not self._idle:
            self.send_once(request, done)
        elif self._is_let(done):
            # The longest idle first: all connections take part.
            self._ask(self._idle.popleft(), request, self._once(done))

    def send_once(self, request: bytes, done: Done) -> None:
        """As `send`, on a connection of its own. It is kept for others unless the request asks for its end."""
        if not self._is_let(done):
            return
        finished = self._once(done)
        task = asyncio.get_running_loop().create_task(self._connect_and_ask(request, finished))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def close(self) -> None:
        for task in self._opening:
            task.cancel()
        for connection in list(self._idle):
            connection.close()

    def _is_let(self, done: Done) -> bool:
        """Whether one more may be under way; it is counted."""
        if self._in_flight >= MOST_CONNECTIONS:
            done(None, "too many in flight")
            return False
        self._in_flight += 1
        return True

    def _once(self, done: Done) -> Done:
        def finished(answer: Answer | None, fault: str) -> None:
            self._in_flight -= 1
            done(answer, fault)

        return finished

    def _ask(self, connection: Connection, request: bytes, done: Done) -> None:
        def expire() -> None:
            connection.give_up()
            done(None, "timeout")

        timer = asyncio.get_running_loop().call_later(self._timeout, expire)

        def in_time(answer: Answer | None, fault: str) -> None:
            timer.cancel()
            done(answer, fault)

        connection.ask(request, in_time)

    async def _connect_and_ask(self, request: bytes, done: Done) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connect()
        except TimeoutError:
            done(None, "timeout")
        except OSError:
            done(None, "refused")
        else:
            self._ask(connection, request, done)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._idle), self._address, self._port)
        return connection
