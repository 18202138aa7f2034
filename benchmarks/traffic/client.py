"""The load, in a process of its own: `python -m benchmarks.traffic.client ORDERS`.

Two open loops, one over kept connections and one with a new connection for each request. Every request has an absolute
time to be sent at, and no answer delays another one. The process ends when its stdin does, once all that is under way
has an answer, and then prints what became of its requests.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.traffic.counts import KEPT, MOST_EXAMPLES, NEW, OK, Counts
from tidegate_demo.wire import Answer, Client

OPENED_AHEAD = 16
LONGEST_TEXT = 120
RETRY_SECONDS = 0.1
"""Between a first try that was lost and the second one."""


@dataclass(frozen=True)
class Orders:
    """Whom to send what, and how often (requests a second); `timeout` in seconds is for one try."""

    address: str
    port: int
    host: str
    path: str
    bodies_file: str
    kept: float
    new: float
    timeout: float = 30.0

    @property
    def text(self) -> str:
        """For the command line; `parse` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "Orders":
        """The inverse of `text`."""
        return cls(**json.loads(text))

    def requests(self, *, close: bool) -> list[bytes]:
        """The bytes of requests that are sent in turn, one for each line of the file; one with `close` is the last of
        its connection."""
        last = "Connection: close\r\n" if close else ""
        head = f"POST {self.path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n{last}"
        bodies = Path(self.bodies_file).read_bytes().splitlines()
        return [head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]


@dataclass
class Stream:
    """One open loop."""

    orders: Orders
    client: Client
    again: Client
    """For second tries."""
    close: bool
    counts: Counts = field(default_factory=Counts)
    examples: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0

    async def run(self, rate: float, ended: asyncio.Event) -> None:
        """Sends until `ended` is set, and waits for what is under way."""
        loop = asyncio.get_running_loop()
        requests, lasts = self.orders.requests(close=self.close), self.orders.requests(close=True)
        began, number = loop.time(), 0
        while rate and not ended.is_set():
            due = began + number / rate
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            turn = number % len(requests)
            self._send(requests[turn], lasts[turn], due, loop.time)
            number += 1
            if number % 100 == 0:
                await asyncio.sleep(0)  # whoever is late lets answers in all the same
        while self.open:
            await asyncio.sleep(0.02)

    def _send(self, request: bytes, last: bytes, due: float, now: Callable[[], float]) -> None:
        sent = now()
        self.open += 1

        def done(answer: Answer | None, fault: str) -> None:
            wrong = what_is_wrong(answer, fault)
            if not wrong:
                self._count(sent - due, now() - due, "", "")
                return
            took = now() - due

            def done_again(second: Answer | None, second_fault: str) -> None:
                retried = what_is_wrong(second, second_fault)
                self._count(sent - due, took, wrong, retried)
                if len(self.examples) < MOST_EXAMPLES:
                    self.examples.append(_example(due, took, wrong, retried, answer))

            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.again.send_once, last, done_again)

        send = self.client.send_once if self.close else self.client.send
        send(request, done)

    def _count(self, late: float, took: float, fault: str, retried: str) -> None:
        self.open -= 1
        self.counts.count(late=late, took=took, fault=fault, retried=retried)


def what_is_wrong(answer: Answer | None, fault: str) -> str:
    """In a few words that many requests share; empty for a good answer."""
    if answer is None:
        return fault
    if answer.status == OK:
        return ""
    by = "a model server" if answer.headers.get("x-tidegate-served-by") else "the router"
    return f"{answer.status} of {by}"


def _example(due: float, took: float, fault: str, retried: str, answer: Answer | None) -> dict[str, Any]:
    text = answer.body[:LONGEST_TEXT].decode(errors="replace") if answer else ""
    return {"due": round(due, 3), "took": round(took, 4), "fault": fault, "retried": retried, "text": text}


async def load(orders: Orders, stdin: IO[bytes]) -> dict[str, Any]:
    """Sends until `stdin` ends; what became of the requests, by kind."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)

    async def until_stdin_ends() -> None:
        await reader.read()
        ended.set()

    watcher = loop.create_task(until_stdin_ends())
    clients = {kind: Client(orders.address, orders.port, orders.timeout) for kind in (KEPT, NEW, "again")}
    await clients[KEPT].open(OPENED_AHEAD)
    streams = {kind: Stream(orders, clients[kind], clients["again"], close=kind == NEW) for kind in (KEPT, NEW)}
    began = loop.time()
    await asyncio.gather(streams[KEPT].run(orders.kept, ended), streams[NEW].run(orders.new, ended))
    seconds = loop.time() - began
    await watcher
    transport.close()
    for client in clients.values():
        client.close()
    found = {kind: {**each.counts.to_dict(), "examples": each.examples} for kind, each in streams.items()}
    return {"began": began, "seconds": seconds, **found}


def main() -> None:
    """Prints the counts as JSON."""
    sys.stdout.write(json.dumps(asyncio.run(load(Orders.parse(sys.argv[1]), sys.stdin.buffer))))


if __name__ == "__main__":
    main()
