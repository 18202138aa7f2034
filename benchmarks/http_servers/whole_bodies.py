"""Two probes of how a front takes bodies: one in chunks has to arrive whole, one too large to be turned away early."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from benchmarks.http_servers.seen import TooLarge
from benchmarks.http_servers.wire import HOST, Reply, Wire, connect
from benchmarks.server.bodies import Answer, Protocol, Question
from benchmarks.server.errors import BenchmarkError

SENT_BYTES = 40 * 2**20
PIECE = b" " * 2**16
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 10.0
CHUNKED = {"Transfer-Encoding": "chunked"}


def head_bytes(question: Question, headers: Mapping[str, str]) -> bytes:
    """A request's head with these headers beside the question's own."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": HOST, **question.headers, **headers}.items())
    return f"POST {question.path} HTTP/1.1\r\n{lines}\r\n".encode()


def chunks(body: bytes, count: int) -> list[bytes]:
    """The body in so many chunks, and the last chunk, which is empty."""
    size = -(-len(body) // count)
    return [chunk(body[at : at + size]) for at in range(0, len(body), size)] + [chunk(b"")]


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


async def arrives_in_chunks(port: int, question: Question, protocol: Protocol, expected: Answer) -> str:
    """'' when the answer is right; otherwise what came instead. Every chunk is a packet of its own."""
    wire = await connect(port)
    try:
        wire.writer.write(head_bytes(question, CHUNKED))
        for part in chunks(question.body, 3):
            await asyncio.sleep(PAUSE_SECONDS)
            wire.writer.write(part)
        async with asyncio.timeout(PATIENCE_SECONDS):
            return _objection(await wire.reply(), protocol, expected)
    except TimeoutError:
        return "no answer"
    finally:
        wire.close()


def _objection(reply: Reply | None, protocol: Protocol, expected: Answer) -> str:
    if reply is None:
        return "no answer"
    if reply.status != 200:
        return str(reply.status)
    try:
        return protocol.read(reply.body, {}).differs(expected) or ""
    except (BenchmarkError, ValueError, KeyError):
        return "unreadable"


async def refuses(port: int, question: Question, *, declared: bool) -> TooLarge:
    """Sends 40 MiB, with their length in the head or in chunks, until there is an answer."""
    wire = await connect(port)
    headers = {"Content-Length": str(SENT_BYTES)} if declared else CHUNKED
    answering = asyncio.create_task(wire.reply())
    try:
        wire.writer.write(head_bytes(question, headers))
        sent = await _send_until(answering, wire, _pieces(declared))
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.wait([answering])
        reply = answering.result() if answering.done() else None
        return TooLarge(reply.status if reply else 0, sent, SENT_BYTES)
    finally:
        answering.cancel()
        wire.close()


def _pieces(declared: bool) -> Iterator[bytes]:
    for _ in range(SENT_BYTES // len(PIECE)):
        yield PIECE if declared else chunk(PIECE)
    if not declared:
        yield chunk(b"")


async def _send_until(answering: "asyncio.Task[Reply | None]", wire: Wire, pieces: Iterable[bytes]) -> int:
    """How many bytes of the body went out; slow enough to see an answer that comes in between."""
    sent = 0
    for piece in pieces:
        if answering.done():
            break
        try:
            wire.writer.write(piece)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await wire.writer.drain()
        except (OSError, TimeoutError):
            break
        sent += len(PIECE)
        await asyncio.sleep(0.001)
    return min(sent, SENT_BYTES)
