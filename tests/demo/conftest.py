"""What the demo's tests share: the real models, made once, and small servers that answer as they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tidegate_demo import models
from tidegate_demo.models import Models


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models.prepare(tmp_path_factory.mktemp("models"))


Say = Callable[[int, str], bytes | None]
"""What to answer the n-th request, given its path: bytes of an HTTP answer, or None to hang up."""


@contextmanager
def http_server(say: Say, stall: float = 0.0) -> Iterator[int]:
    """Yields the port of a server that waits `stall` seconds before each answer and keeps its connections open."""
    ready, port = threading.Event(), [0]
    loop = asyncio.new_event_loop()
    count = iter(range(1_000_000))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(_content_length(head))
                number = next(count)
                await asyncio.sleep(stall)
                answer = say(number, head.split(b" ")[1].decode())
                if answer is None:
                    return
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port[0] = server.sockets[0].getsockname()[1]
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def http_answer(status: int, body: str, revision: str = "") -> bytes:
    served_by = f"X-Tidegate-Served-By: {revision}\r\n" if revision else ""
    return f"HTTP/1.1 {status} Whatever\r\n{served_by}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def load_folder(tmp_path: Path) -> Path:
    """A folder with three images in it, each of its own ink."""
    (tmp_path / "images.json").write_text(str([[ink] * 64 for ink in (1, 2, 3)]))
    return tmp_path
