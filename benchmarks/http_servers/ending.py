"""The probe of a server's end: SIGTERM while 16 connections that are kept open ask 200 times a second.

As after a pod's end has been ordered: for some seconds clients haven't heard of it and go on, also on new connections.
A client that sees its connection closed before it asks opens another one, and nothing is lost by that.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from time import perf_counter

from benchmarks.http_client import Connection, NoResponse, Response, connect
from benchmarks.http_servers.results import Ending

CONNECTIONS = 16
PER_SECOND = 200
BEFORE_SECONDS, AFTER_SECONDS = 1.0, 3.0
FRESH_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 5.0


@dataclass
class _Counts:
    asked: int = 0
    refused: int = 0
    broken: int = 0
    told: int = 0
    new_asked: int = 0
    new_answered: int = 0


async def end_under_load(port: int, pid: int, request: bytes) -> Ending:
    """One round. The server may still be draining when it is over."""
    counts = _Counts()
    began = perf_counter()
    until = began + BEFORE_SECONDS + AFTER_SECONDS
    connections = [await connect(port) for _ in range(CONNECTIONS)]
    clients = [
        asyncio.create_task(_client(port, connection, request, began + index / PER_SECOND, until, counts))
        for index, connection in enumerate(connections)
    ]
    await asyncio.sleep(began + BEFORE_SECONDS - perf_counter())
    os.kill(pid, signal.SIGTERM)
    fresh = asyncio.create_task(_fresh(port, request, until, counts))
    await asyncio.gather(fresh, *clients)
    return Ending(
        counts.asked,
        counts.refused,
        counts.broken,
        CONNECTIONS,
        counts.told,
        counts.new_asked,
        counts.new_answered,
    )


async def _client(port: int, first: Connection, request: bytes, due: float, until: float, counts: _Counts) -> None:
    """Asks at equal distances; its first connection is the one that has to be told."""
    connection: Connection | None = first
    while due < until:
        await asyncio.sleep(max(0.0, due - perf_counter()))
        if perf_counter() > until:  # so late that the server may have ended by right
            break
        due += CONNECTIONS / PER_SECOND
        counts.asked += 1
        if connection is None or connection.has_ended:
            connection = await _connect(port)
        if connection is None:
            counts.refused += 1
            continue
        response = await _ask(connection, request)
        counts.broken += response is None or response.status != 200
        if response is None or response.closes:
            counts.told += connection is first and response is not None
            connection.abort()
            connection = None
    if connection is not None:
        connection.abort()


async def _fresh(port: int, request: bytes, until: float, counts: _Counts) -> None:
    while perf_counter() + FRESH_EVERY_SECONDS < until:
        await asyncio.sleep(FRESH_EVERY_SECONDS)
        counts.new_asked += 1
        connection = await _connect(port)
        if connection is None:
            continue
        response = await _ask(connection, request)
        counts.new_answered += response is not None and response.status == 200
        connection.abort()


async def _connect(port: int) -> Connection | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await connect(port)
    except (OSError, TimeoutError):
        return None


async def _ask(connection: Connection, request: bytes) -> Response | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await connection.ask(request)
    except (TimeoutError, NoResponse):
        return None
