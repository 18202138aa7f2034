"""A listener and its connections: who is there, what they have sent, and when it is over."""

import asyncio
import logging
import socket
from collections.abc import Callable
from time import perf_counter, time  # noqa: TID251 - an HTTP header wants the wall clock

from tidegate_server.web.connection import Connection, HttpLimits
from tidegate_server.web.message import Answer, Request, date_header, refusal

log = logging.getLogger(__name__)

Respond = Callable[[Answer], None]
"""Called once per request, in the loop's thread."""
Handler = Callable[[Request, Respond], None]
Refused = Callable[[bytes, Answer], Answer]
"""Hears of a request, by its target, that couldn't be read to its end; may add to the answer."""

BACKLOG = 1024


class Hub:
    """Everything here belongs to the loop's thread."""

    def __init__(
        self,
        handler: Handler,
        limits: HttpLimits,
        loop: asyncio.AbstractEventLoop,
        refused: Refused = lambda _target, answer: answer,
    ) -> None:
        self.limits = limits
        self.is_ending = False
        self.date = b""
        self.body_bytes = 0
        self._handler, self._refused = handler, refused
        self._loop = loop
        self._connections: set[Connection] = set()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self.tick()

    # --- for the process around it

    async def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """The port, which is another one for 0. Raises OSError for an address that is taken.

        A `shared` port is listened to by several processes, and the kernel deals connections out to them.
        """
        listener = listening_socket(host, port, shared=shared)
        self._sockets.append(listener)
        self._servers.append(await self._loop.create_server(lambda: Connection(self), sock=listener, backlog=BACKLOG))
        return int(listener.getsockname()[1])

    def tick(self) -> None:
        """About once a second."""
        self.date = date_header(time())
        now = perf_counter()
        for connection in tuple(self._connections):
            connection.check(now)

    @property
    def is_busy(self) -> bool:
        return any(connection.is_busy for connection in tuple(self._connections))

    async def stop_listening(self) -> None:
        """Takes in the connections that the kernel holds ready: closing the listener would reset them."""
        for listener in self._sockets:
            spare = listener.dup()
            spare.setblocking(False)
            while (client := _accepted(spare)) is not None:
                await self._loop.connect_accepted_socket(lambda: Connection(self), client)
            spare.close()
        for server in self._servers:
            server.close()

    def close_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.close()

    # --- for connections

    def handle(self, request: Request, respond: Respond) -> None:
        try:
            self._handler(request, respond)
        except Exception as error:
            log.exception("a request failed in the server itself: %s", type(error).__name__)
            respond(refusal(500, "the server failed on this request"))

    def refused(self, target: bytes, answer: Answer) -> Answer:
        return self._refused(target, answer)

    def opened(self, connection: Connection) -> bool:
        """False when there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)


def listening_socket(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        client, _ = listener.accept()
    except OSError:
        return None
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client
