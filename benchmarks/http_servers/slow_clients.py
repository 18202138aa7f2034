"""Three probes of a front's patience: clients that send part of a request, and one that sends nothing for a while."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from benchmarks.http_servers.seen import Idle, Slow
from benchmarks.http_servers.wire import HOST, Wire, connect

HELD = 40
WATCHED_SECONDS = 35.0
SOON_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
Step = Callable[[Wire], None]


async def hold_bodies(port: int, path: str, request: bytes) -> Slow:
    """Heads that promise a body, and then nothing."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    return await _hold(port, head.encode(), None, request)


async def hold_heads(port: int, path: str, request: bytes) -> Slow:
    """Heads that grow by a byte a second."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: "
    return await _hold(port, head.encode(), lambda wire: wire.writer.write(b"a"), request)


async def keep_idle(port: int, request: bytes, seconds: float) -> Idle:
    """Asks once, waits, and asks again on the same connection."""
    wire = await connect(port)
    try:
        if await wire.ask(request) is None:
            return Idle(0.0, seconds)
        began = perf_counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wire.wait_for_end()
                return Idle(perf_counter() - began, seconds)
        async with asyncio.timeout(PATIENCE_SECONDS):
            reply = await wire.ask(request)
        return Idle(None if reply is not None else seconds, seconds)
    finally:
        wire.close()


async def _hold(port: int, head: bytes, each_second: Step | None, request: bytes) -> Slow:
    """Watches until the server has ended all of them, at most 35 s."""
    began = perf_counter()
    wires = [await connect(port) for _ in range(HELD)]
    for wire in wires:
        wire.writer.write(head)
    ends = [asyncio.create_task(_when_it_ends(wire, began)) for wire in wires]
    late = asked = 0
    try:
        while (now := perf_counter() - began) < WATCHED_SECONDS and not all(end.done() for end in ends):
            await asyncio.sleep(1.0)
            for wire, end in zip(wires, ends, strict=True):
                if each_second is not None and not end.done():
                    each_second(wire)
            asked += 1
            late += not await _answers_soon(port, request)
        times = [end.result() for end in ends if end.done()]
        return Slow(HELD, len(times), max(times, default=0.0), now, asked, late)
    finally:
        for wire, end in zip(wires, ends, strict=True):
            end.cancel()
            wire.close()


async def _when_it_ends(wire: Wire, began: float) -> float:
    await wire.wait_for_end()
    return perf_counter() - began


async def _answers_soon(port: int, request: bytes) -> bool:
    """On a connection of its own."""
    wire: Wire | None = None
    try:
        async with asyncio.timeout(SOON_SECONDS):
            wire = await connect(port)
            reply = await wire.ask(request)
        return reply is not None and reply.status == 200
    except (OSError, TimeoutError):
        return False
    finally:
        if wire is not None:
            wire.close()
