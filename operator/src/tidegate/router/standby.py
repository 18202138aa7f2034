"""Takes connections while Envoy is away: those that come between an Envoy's end and the next one's start wait here.

It listens at Envoy's own address all the time. A program in the kernel gives every connection to one of Envoy's sockets
as long as there is one, and to this one only where there is none, without a moment between. What was taken meanwhile is
passed on, byte by byte, once the next Envoy takes connections.
"""

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

SO_ATTACH_REUSEPORT_CBPF = 51
"""Linux' asm-generic/socket.h; Python has no name for it."""
RANDOM = 0xFFFFF000 + 56
"""Where a program of the kernel's packet filter reads a random number: SKF_AD_OFF + SKF_AD_RANDOM."""
LOAD, MODULO, ADD, RETURN = 0x20, 0x94, 0x04, 0x16
BACKLOG = 1024
MOST_HELD = 1024
HOLD_SECONDS = 20.0
"""A connection that waits for longer is ended: its client has given up, or will."""
PIECE_BYTES = 65536
ASK_SECONDS = 0.02
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def steering(sockets: int) -> bytes:
    """The kernel's program that draws one of the sockets after the first.

    A number that no socket has, as when only the first is left, gives the connection to whoever is there.
    """
    steps = ((LOAD, RANDOM), (MODULO, sockets), (ADD, 1), (RETURN, 0))
    return b"".join(struct.pack("HBBI", code, 0, 0, value) for code, value in steps)


def listening(address: str, port: int, envoy_sockets: int) -> socket.socket:
    """The socket that is there first; Envoy's join it. Raises OSError where the kernel has no such thing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        program = ctypes.create_string_buffer(code := steering(envoy_sockets))
        attached = struct.pack("@HP", len(code) // struct.calcsize("HBBI"), ctypes.addressof(program))
        made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, attached)
        made.bind((address, port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


class Standby:
    """Runs in a thread of its own. `envoy_is_ready` is asked only while connections wait."""

    def __init__(self, listener: socket.socket, envoy_is_ready: Callable[[], bool]) -> None:
        self._listener, self._envoy_is_ready = listener, envoy_is_ready
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._asking: asyncio.Task[None] | None = None
        self._held = 0
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Takes no more connections; those that were passed on go on."""
        self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._take, sock=self._listener))
        self._loop.run_forever()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._held >= MOST_HELD:
            writer.transport.abort()
            return
        self._held += 1
        try:
            await self._pass_on(reader, writer)
        except (OSError, TimeoutError) as error:
            logger.info("a connection that waited for Envoy ended: %s", error or "it took too long")
        finally:
            self._held -= 1
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HOLD_SECONDS):
            await self._until_envoy_is_ready()
        host, port = self._listener.getsockname()[:2]
        from_envoy, to_envoy = await asyncio.open_connection(LOOPBACK.get(host, host), port)
        asking = asyncio.ensure_future(_pump(reader, to_envoy))
        try:
            await _pump(from_envoy, writer)
            await writer.drain()
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await asking
            to_envoy.transport.abort()

    async def _until_envoy_is_ready(self) -> None:
        """By an answer to a question that was asked after the call: an older one may be of the Envoy that has ended."""
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._ask_envoy())
        await waiting

    async def _ask_envoy(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            if await asyncio.to_thread(self._envoy_is_ready):
                for each in waiting:
                    if not each.cancelled():
                        each.set_result(None)
                continue
            self._waiting += [each for each in waiting if not each.cancelled()]
            await asyncio.sleep(ASK_SECONDS)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until its end, which is passed on too."""
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


@contextmanager
def standing_by(
    address: str, port: int, envoy_sockets: int, envoy_is_ready: Callable[[], bool]
) -> Iterator[Standby | None]:
    """None where the kernel doesn't let it: then connections are refused while there is no Envoy."""
    try:
        listener = listening(address, port, envoy_sockets)
    except OSError as error:
        logger.warning("connections will be refused while Envoy is away: %s", error)
        yield None
        return
    standby = Standby(listener, envoy_is_ready)
    try:
        yield standby
    finally:
        standby.close()
