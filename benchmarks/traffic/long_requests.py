"""Requests that take a minute: their body is sent in small pieces, so that a server has them in hand all that time."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.traffic.client import what_is_wrong
from benchmarks.traffic.counts import MOST_EXAMPLES, Counts
from tidegate_demo.wire import BrokenAnswerError, parse_answer

PIECES = 60
EVERY_SECONDS = 0.5
ANSWER_SECONDS = 20.0


class LongRequests:
    """They begin twice a second, until `stop`; what has become of them is in `counts` after that."""

    def __init__(self, router: str, host: str, seconds: float, image: Sequence[float]) -> None:
        there = urlsplit(router)
        self._address, self._port = there.hostname or "", there.port or 80
        self._body = json.dumps({"inputs": [[int(pixel) for pixel in image]]}).encode()
        self._head = (
            f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(self._body)}\r\n\r\n"
        ).encode()
        self._seconds = seconds
        self._stopped = threading.Event()
        self.counts = Counts()
        self.examples: list[dict[str, Any]] = []

    def stop(self) -> None:
        """No further one begins."""
        self._stopped.set()

    def run(self) -> None:
        """Returns when all that have begun are over."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._stopped.is_set():
                group.create_task(self._one())
                await asyncio.sleep(EVERY_SECONDS)

    async def _one(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            fault = await self._ask()
        except TimeoutError:
            fault = "timeout"
        except ConnectionRefusedError:
            fault = "refused"
        except OSError:
            fault = "reset"
        took = loop.time() - began
        # Nobody sends a minute's work twice by himself: there is no second try.
        self.counts.count(late=0.0, took=took, fault=fault, retried=fault)
        if fault and len(self.examples) < MOST_EXAMPLES:
            self.examples.append({"due": began, "took": took, "fault": fault, "retried": fault, "text": ""})

    async def _ask(self) -> str:
        reader, writer = await asyncio.open_connection(self._address, self._port)
        try:
            writer.write(self._head)
            size = max(1, len(self._body) // PIECES)
            for begin in range(0, len(self._body), size):
                writer.write(self._body[begin : begin + size])
                await writer.drain()
                if begin + size < len(self._body):
                    await asyncio.sleep(self._seconds / PIECES)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = parse_answer(await reader.read())
        except BrokenAnswerError:
            return "broken answer"
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return what_is_wrong(answer, "reset")


@contextmanager
def under_way(router: str, host: str, seconds: float, image: Sequence[float]) -> Iterator[LongRequests]:
    """They begin while inside; afterwards all of them are over."""
    requests = LongRequests(router, host, seconds, image)
    thread = threading.Thread(target=requests.run, daemon=True)
    thread.start()
    try:
        yield requests
    finally:
        requests.stop()
        thread.join(seconds + ANSWER_SECONDS + 10)
