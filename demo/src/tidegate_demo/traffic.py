"""A steady open-loop load, in a process of its own: `python -m tidegate_demo.traffic ORDERS`.

Every send has an absolute time. A late answer never delays a later send, and latency counts from the scheduled time,
so that a stall shows in full. The process ends by itself: after its time, or when its parent closes its stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tidegate_demo.records import SERVED_BY_HEADER, Request, read_label, to_line
from tidegate_demo.wire import Answer, Client

CONNECTIONS = 8
FLUSH_SECONDS = 0.25


@dataclass(frozen=True)
class Orders:
    """What to send, where, how fast (requests a second) and for how long at most (seconds).

    Every `fresh_every`th request has a connection of its own, which it asks to be closed; 0 for none.
    """

    address: str
    port: int
    host: str
    path: str
    images_file: str
    records_file: str
    rate: float = 100.0
    max_seconds: float = 1_200.0
    timeout: float = 10.0
    fresh_every: int = 0

    @property
    def most_requests(self) -> int:
        return int(self.rate * self.max_seconds)


def to_json(orders: Orders) -> str:
    return json.dumps(asdict(orders))


def requests_for(
    orders: Orders, images: Sequence[Sequence[float]], connection: str = "keep-alive"
) -> tuple[bytes, ...]:
    """The bytes of one request per image, made once: at 100 a second there is nothing to gain from doing it live."""
    return tuple(_request(orders, json.dumps({"inputs": [list(image)]}).encode(), connection) for image in images)


def _request(orders: Orders, body: bytes, connection: str) -> bytes:
    head = (
        f"POST {orders.path} HTTP/1.1\r\nHost: {orders.host}\r\nContent-Type: application/json\r\n"
        f"Connection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """Sends on schedule and writes one line per request when it is over."""

    def __init__(self, orders: Orders, images: Sequence[Sequence[float]], records: IO[str]) -> None:
        self._orders = orders
        self._requests = requests_for(orders, images)
        self._last_requests = requests_for(orders, images, "close")
        self._records = records
        self._loop = asyncio.get_running_loop()
        self._client = Client(orders.address, orders.port, orders.timeout)
        self._open = 0
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._client.open(CONNECTIONS)
        started = self._loop.time()
        self._epoch = time.time() - started  # noqa: TID251 - the one clock read; all else is the loop's steady clock
        flusher = self._loop.create_task(self._flush_regularly())
        for number in range(self._orders.most_requests):
            due = started + number / self._orders.rate
            if await self._stopped_before(due):
                break
            self._send(number, due)
        await self._drain()
        flusher.cancel()
        self._records.flush()
        self._client.close()

    def stop(self) -> None:
        self._stopped.set()

    async def _stopped_before(self, due: float) -> bool:
        """Sleeps until the due time. Late already: not at all, and the missed sends follow at once."""
        wait = due - self._loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        return self._stopped.is_set()

    def _send(self, number: int, due: float) -> None:
        image = number % len(self._requests)
        self._open += 1
        sent = self._loop.time()

        def done(answer: Answer | None, fault: str) -> None:
            self._open -= 1
            record = _record(image, self._epoch + due, sent - due, self._loop.time() - due, answer, fault)
            self._records.write(to_line(record) + "\n")

        if self._orders.fresh_every and number % self._orders.fresh_every == 0:
            self._client.send_once(self._last_requests[image], done)
        else:
            self._client.send(self._requests[image], done)

    async def _drain(self) -> None:
        """Every request ends within the timeout, so this does too."""
        while self._open:
            await asyncio.sleep(0.01)

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._records.flush()


def _record(
    image: int, scheduled: float, sent_after: float, answered_after: float, answer: Answer | None, fault: str
) -> Request:
    if answer is None:
        return Request(scheduled, image, sent_after, answered_after, 0, fault=fault)
    return Request(
        scheduled,
        image,
        sent_after,
        answered_after,
        answer.status,
        revision=answer.headers.get(SERVED_BY_HEADER, ""),
        label=read_label(answer.body) if answer.status == 200 else None,
    )


async def run(orders: Orders, stdin: IO[bytes]) -> None:
    """Sends until the time is over or `stdin` ends."""
    images = json.loads(Path(orders.images_file).read_text())
    with Path(orders.records_file).open("w") as records:
        load = Load(orders, images, records)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
        watcher = loop.create_task(_stop_at_end(reader, load))
        await load.run()
        watcher.cancel()
        transport.close()


async def _stop_at_end(stdin: asyncio.StreamReader, load: Load) -> None:
    await stdin.read()
    load.stop()


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    asyncio.run(run(orders, sys.stdin.buffer))


if __name__ == "__main__":
    main()
