"""Three probes of a server's patience: clients that send part of a request, and one that sends nothing for a while."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from benchmarks.http_client import HOST, Connection, NoResponse, connect, head_bytes
from benchmarks.http_servers.results import Idle, Slow

HELD = 40
WATCHED_SECONDS = 35.0
SOON_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
Step = Callable[[Connection], None]


async def hold_bodies(port: int, path: str, request: bytes) -> Slow:
    """Heads that promise a body, and then nothing."""
    headers = {"Host": HOST, "Content-Type": "application/json", "Content-Length": "1000"}
    return await _hold(port, head_bytes("POST", path, headers), None, request)


async def hold_heads(port: int, path: str, request: bytes) -> Slow:
    """Heads that grow by a byte a second."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "
    return await _hold(port, head.encode(), lambda connection: connection.writer.write(b"a"), request)


async def keep_idle(port: int, request: bytes, seconds: float) -> Idle:
    """Asks once, waits, and asks again on the same connection."""
    connection = await connect(port)
    try:
        try:
            await connection.ask(request)
        except NoResponse:
            return Idle(0.0, seconds)
        began = perf_counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await connection.wait_for_end()
                return Idle(perf_counter() - began, seconds)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await connection.ask(request)
        return Idle(None, seconds)
    except NoResponse:
        return Idle(seconds, seconds)
    finally:
        connection.abort()


async def _hold(port: int, head: bytes, each_second: Step | None, request: bytes) -> Slow:
    """Watches until the server has ended all of them, at most 35 s."""
    began = perf_counter()
    connections = [await connect(port) for _ in range(HELD)]
    for connection in connections:
        connection.writer.write(head)
    ends = [asyncio.create_task(_when_it_ends(connection, began)) for connection in connections]
    late = asked = 0
    try:
        while (now := perf_counter() - began) < WATCHED_SECONDS and not all(end.done() for end in ends):
            await asyncio.sleep(1.0)
            for connection, end in zip(connections, ends, strict=True):
                if each_second is not None and not end.done():
                    each_second(connection)
            asked += 1
            late += not await _answers_soon(port, request)
        times = [end.result() for end in ends if end.done()]
        return Slow(HELD, len(times), max(times, default=0.0), now, asked, late)
    finally:
        for connection, end in zip(connections, ends, strict=True):
            end.cancel()
            connection.abort()


async def _when_it_ends(connection: Connection, began: float) -> float:
    await connection.wait_for_end()
    return perf_counter() - began


async def _answers_soon(port: int, request: bytes) -> bool:
    """On a connection of its own."""
    connection: Connection | None = None
    try:
        async with asyncio.timeout(SOON_SECONDS):
            connection = await connect(port)
            response = await connection.ask(request)
        return response.status == 200
    except (OSError, TimeoutError, NoResponse):
        return False
    finally:
        if connection is not None:
            connection.abort()
