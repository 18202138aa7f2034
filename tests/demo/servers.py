"""Small HTTP servers that answer as they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[int, str], bytes | None]
"""What to answer the n-th request, given its path: bytes of an HTTP answer, or None to hang up."""


class _Server:
    def __init__(self, say: Say, stall: float) -> None:
        self._say, self._stall, self._count = say, stall, 0
        self.started = threading.Event()

    async def run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self.started.set()
        await self._ended.wait()
        server.close()
        talks = asyncio.all_tasks() - {asyncio.current_task()}
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the loop's next round

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(head))
                number, self._count = self._count, self._count + 1
                await asyncio.sleep(self._stall)
                answer = self._say(number, head.split(b" ")[1].decode())
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.transport.abort()


@contextmanager
def http_server(say: Say, stall: float = 0.0) -> Iterator[int]:
    """Yields the port of a server that waits `stall` seconds before each answer and keeps its connections open."""
    server = _Server(say, stall)
    thread = threading.Thread(target=lambda: asyncio.run(server.run()))
    thread.start()
    assert server.started.wait(10)
    try:
        yield server.port
    finally:
        server.end()
        thread.join()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def http_answer(status: int, body: str, revision: str = "") -> bytes:
    served_by = f"X-Tidegate-Served-By: {revision}\r\n" if revision else ""
    return f"HTTP/1.1 {status} Whatever\r\n{served_by}Content-Length: {len(body)}\r\n\r\n{body}".encode()
