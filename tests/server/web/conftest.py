"""A listening server with a handler of the test's own, on an event loop in a thread."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import uvloop

from tidegate_server.access.certificates import Certificates
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.web.request_parser import CheckHead, HttpLimits
from tidegate_server.web.server import Handler, HttpServer

LIMITS = HttpLimits(
    head_bytes=4096,
    body_bytes=100_000,
    head_seconds=1.0,
    body_seconds=1.0,
    idle_seconds=1.5,
    connections=50,
    linger_seconds=0.5,
)


class Listening:
    """A server in a thread of its own."""

    def __init__(
        self,
        handler: Handler,
        limits: HttpLimits,
        held_bytes: int,
        check_head: CheckHead | None,
        certificates: Certificates | None = None,
    ) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.held = HeldBytes(held_bytes)
        self.server: HttpServer = self.call(self._made, handler, limits, check_head, certificates)
        self.port = asyncio.run_coroutine_threadsafe(self.server.listen("127.0.0.1", 0), self.loop).result(5)
        self._ticks = asyncio.run_coroutine_threadsafe(self._tick(), self.loop)

    async def _made(
        self,
        handler: Handler,
        limits: HttpLimits,
        check_head: CheckHead | None,
        certificates: Certificates | None,
    ) -> HttpServer:
        return HttpServer(handler, limits, self.held, self.loop, check_head=check_head, certificates=certificates)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self.server.tick()

    def call(self, coroutine: Callable[..., Any], *arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine(*arguments), self.loop).result(10)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, *pieces: bytes) -> bytes:
        """Everything that comes back until the server ends the connection."""
        with closing(self.connect()) as client:
            for piece in pieces:
                client.sendall(piece)
            return until_closed(client)

    def end(self) -> None:
        self._ticks.cancel()
        self.call(self._end)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _end(self) -> None:
        await self.server.stop_listening()
        self.server.close_connections()
        await asyncio.sleep(0.05)


def until_closed(client: socket.socket) -> bytes:
    received = bytearray()
    while piece := client.recv(65536):
        received += piece
    return bytes(received)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    """Starts servers that end with the test."""
    started: list[Listening] = []

    def begin(
        handler: Handler,
        limits: HttpLimits = LIMITS,
        held_bytes: int = 100_000_000,
        check_head: CheckHead | None = None,
        certificates: Certificates | None = None,
    ) -> Listening:
        started.append(Listening(handler, limits, held_bytes, check_head, certificates))
        return started[-1]

    yield begin
    for one in started:
        one.end()
