"""The HTTP server: listening sockets, their connections, and what all connections share."""

import asyncio
import socket
from collections.abc import Callable
from time import perf_counter, time  # noqa: TID251 - an HTTP header wants the wall clock

from tidegate_server.access.certificates import Certificates
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.inference.failure_log import FailureLog
from tidegate_server.unix_socket import UnixSocket
from tidegate_server.web.connection import Connection
from tidegate_server.web.known_heads import KnownHeads
from tidegate_server.web.message import Request, Respond, Response, date_header, error_response
from tidegate_server.web.request_parser import CheckHead, HttpLimits
from tidegate_server.web.tls import TlsConnection

Handler = Callable[[Request, Respond], None]
ReceiveFailed = Callable[[bytes, dict[bytes, bytes], Response], Response]
"""Called with the target of a request that couldn't be read to its end; returns the response that goes out."""

BACKLOG = 1024
MAX_REFUSED_AT_ONCE = 8
UNHURRIED = 4
"""A body or a response is slow whose pace means more than a quarter of the time that it may take."""


class HttpServer:
    """Everything here belongs to the loop's thread. `tick` is to be called about once a second."""

    def __init__(
        self,
        handler: Handler,
        limits: HttpLimits,
        held: HeldBytes,
        loop: asyncio.AbstractEventLoop,
        *,
        check_head: CheckHead | None = None,
        receive_failed: ReceiveFailed = lambda _target, _headers, response: response,
        certificates: Certificates | None = None,
    ) -> None:
        """`handler` calls its `respond` once, now or later. `held` may be shared with others.

        With `certificates` it speaks TLS at its port.
        """
        self.limits, self.held, self.check_head = limits, held, check_head
        self.known_heads = KnownHeads()
        self.is_draining = False
        self.date = b""
        self._failures = FailureLog("a request failed in the server itself")
        self._refusals = FailureLog("not all clients could be served")
        self._handler, self._receive_failed = handler, receive_failed
        self._loop, self._certificates = loop, certificates
        self._failed_handshakes = FailureLog("a TLS handshake failed")
        self._connections: set[Connection] = set()
        self._handshakes: set[TlsConnection] = set()
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._files: list[tuple[UnixSocket, tuple[int, int] | None]] = []
        self.tick()

    async def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """The port, which is another one for 0. Raises OSError for an address that is taken.

        A `shared` port is listened to by several processes, and the kernel deals connections out to them.
        """
        listener = listening_socket(host, port, shared=shared)
        self._sockets.append(listener)
        self._servers.append(await self._loop.create_server(self._protocol, sock=listener, backlog=BACKLOG))
        return int(listener.getsockname()[1])

    async def listen_at(self, unix_socket: UnixSocket) -> None:
        """Without TLS: who may connect is said by the file's mode. Raises BadSetting."""
        listener = unix_socket.bound()
        self._files.append((unix_socket, unix_socket.identity()))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._sockets.append(listener)
        server = await self._loop.create_unix_server(lambda: Connection(self), sock=listener, backlog=BACKLOG)
        self._servers.append(server)

    def tick(self) -> None:
        """Renews the date and ends what has taken too long."""
        self.date = date_header(time())
        now = perf_counter()
        for connection in tuple(self._connections):
            try:
                connection.check_timeouts(now)
            except Exception as error:  # noqa: BLE001 - the others' time goes on
                self._failures.write(f"{type(error).__name__} at a timeout", now, error)
                connection.abort()
        for handshake in tuple(self._handshakes):
            handshake.check_handshake(now)
        if self.held.wanted:
            self.make_room(self.held.wanted)

    @property
    def is_busy(self) -> bool:
        """A request is being read, handled or responded to on one of the connections."""
        return bool(self._handshakes) or any(connection.is_busy for connection in tuple(self._connections))

    async def stop_listening(self) -> None:
        """Takes in the connections that the kernel holds ready: closing the listener would reset them."""
        for unix_socket, identity in self._files:
            unix_socket.remove(identity)
        for listener in self._sockets:
            spare = listener.dup()
            spare.setblocking(False)
            protocol = (lambda: Connection(self)) if spare.family == socket.AF_UNIX else self._protocol
            while (client := _accepted(spare)) is not None:
                await self._loop.connect_accepted_socket(protocol, client)
            spare.close()
        for server in self._servers:
            server.close()

    def close_connections(self) -> None:
        """Idle or not."""
        for handshake in tuple(self._handshakes):
            handshake.abort()
        for connection in tuple(self._connections):
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        """For one more client."""
        connection = Connection(self)
        if self._certificates is None:
            return connection
        return TlsConnection(self, connection, self._certificates.current.context)

    # --- TlsContext

    def handshake_began(self, connection: TlsConnection) -> None:
        """Counts it, or aborts it where there are too many."""
        self._handshakes.add(connection)
        if len(self._connections) + len(self._handshakes) > self.limits.connections + MAX_REFUSED_AT_ONCE:
            self._refusals.write(
                f"there are {self.limits.connections} connections; the next one was closed", perf_counter()
            )
            connection.abort()

    def handshake_over(self, connection: TlsConnection) -> None:
        """It counts no longer: there is a connection, or none."""
        self._handshakes.discard(connection)

    def handshake_failed(self, words: str) -> None:
        """`words` are OpenSSL's."""
        self._failed_handshakes.write(words, perf_counter())

    # --- ConnectionContext

    def next_turn(self, callback: Callable[[], None]) -> None:
        """Calls it when the loop has looked after everybody else."""
        self._loop.call_soon(callback)

    def handle(self, request: Request, respond: Respond) -> None:
        """500 where the handler raises."""
        try:
            self._handler(request, respond)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            self._failures.write(type(error).__name__, perf_counter(), error)
            respond(error_response(500, "the server failed on this request"))

    def receive_failed(self, target: bytes, headers: dict[bytes, bytes], response: Response) -> Response:
        """The response that goes out for a request that couldn't be read to its end."""
        return self._receive_failed(target, headers, response)

    def opened(self, connection: Connection) -> bool:
        """False when there are too many."""
        self._connections.add(connection)
        limit = self.limits.connections
        if len(self._connections) <= limit:
            return True
        self._refusals.write(f"there are {limit} connections; the next one was closed", perf_counter())
        if len(self._connections) > limit + MAX_REFUSED_AT_ONCE:
            connection.abort()  # each one that is told why keeps a file open meanwhile
        return False

    def closed(self, connection: Connection) -> None:
        """It counts no longer."""
        self._connections.discard(connection)

    def make_room(self, size: int) -> bool:
        """Ends the slowest bodies and responses, until `size` more bytes fit; False when that isn't enough."""
        now = perf_counter()
        slow = UNHURRIED * self.limits.body_bytes / self.limits.body_seconds
        paces = [(pace, each) for each in self._connections if (pace := each.pace(now)) is not None and pace < slow]
        for pace, connection in sorted(paces, key=lambda found: found[0]):
            if self.held.has_room(size):
                break
            self._refusals.write(f"one that had {pace:.0f} bytes a second made room for others", now)
            connection.give_way()
        return self.held.has_room(size)


def listening_socket(host: str, port: int, *, shared: bool) -> socket.socket:
    """Non-blocking; `shared` as for `listen`. Raises OSError for an address that is taken."""
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
    if client.family != socket.AF_UNIX:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client
