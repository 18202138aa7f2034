"""Two probes of how a server takes bodies: one in chunks has to arrive whole, one too large to be turned away early."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

from benchmarks.errors import BenchmarkError
from benchmarks.http_client import HOST, Connection, NoResponse, Response, chunk, chunks, connect
from benchmarks.http_servers.results import TooLarge
from benchmarks.server.protocols import InferenceRequest, Prediction, Protocol

SENT_BYTES = 40 * 2**20
PIECE = b" " * 2**16
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 10.0
CHUNKED = {"Transfer-Encoding": "chunked"}


async def arrives_in_chunks(port: int, request: InferenceRequest, protocol: Protocol, expected: Prediction) -> str:
    """'' when the answer is right; otherwise what came instead. Every chunk is a packet of its own."""
    connection = await connect(port)
    try:
        connection.writer.write(request.head(HOST, CHUNKED))
        for part in chunks(request.body, -(-len(request.body) // 3)):
            await asyncio.sleep(PAUSE_SECONDS)
            connection.writer.write(part)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return _objection(await _response_or_none(connection), protocol, expected)
    except TimeoutError:
        return "no answer"
    finally:
        connection.abort()


def _objection(response: Response | None, protocol: Protocol, expected: Prediction) -> str:
    if response is None:
        return "no answer"
    if response.status != 200:
        return str(response.status)
    try:
        return protocol.read(response.body, {}).differs(expected) or ""
    except (BenchmarkError, ValueError, KeyError):
        return "unreadable"


async def refuses(port: int, request: InferenceRequest, *, declared: bool) -> TooLarge:
    """Sends 40 MiB, with their length in the head or in chunks, until there is an answer."""
    connection = await connect(port)
    headers = {"Content-Length": SENT_BYTES} if declared else CHUNKED
    answering = asyncio.create_task(_response_or_none(connection))
    try:
        connection.writer.write(request.head(HOST, headers))
        sent = await _send_until(answering, connection, _pieces(declared))
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.wait([answering])
        response = answering.result() if answering.done() else None
        return TooLarge(response.status if response else 0, sent, SENT_BYTES)
    finally:
        answering.cancel()
        connection.abort()


async def _response_or_none(connection: Connection) -> Response | None:
    """None when the connection ended before the response did."""
    with suppress(NoResponse):
        return await connection.response(patience=None)
    return None


def _pieces(declared: bool) -> Iterator[bytes]:
    for _ in range(SENT_BYTES // len(PIECE)):
        yield PIECE if declared else chunk(PIECE)
    if not declared:
        yield chunk(b"")


async def _send_until(
    answering: "asyncio.Task[Response | None]", connection: Connection, pieces: Iterable[bytes]
) -> int:
    """How many bytes of the body went out; slow enough to see an answer that comes in between."""
    sent = 0
    for piece in pieces:
        if answering.done():
            break
        try:
            connection.writer.write(piece)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await connection.writer.drain()
        except (OSError, TimeoutError):
            break
        sent += len(PIECE)
        await asyncio.sleep(0.001)
    return min(sent, SENT_BYTES)
