"""A steady load of 1,000 requests a second, in a process of its own: `python -m` this module ORDERS prints latencies.

Each request is due at a time of its own and goes out on a connection that is free; its latency counts from when it is
written, since what is compared is the way and not the client.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from benchmarks.baseline import ROOT
from benchmarks.errors import BenchmarkError

RATE = 1000
CONNECTIONS = 16
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Steady:
    """Where to, under which Host, and for how many seconds."""

    address: str
    port: int
    host: str
    seconds: float


def steady_load(orders: Steady, folder: Path) -> list[float]:
    """The latency of each request after the first second. Raises BenchmarkError where requests failed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.steady", json.dumps(asdict(orders))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=orders.seconds + 60,
        check=False,
    )
    if done.returncode != 0:
        (folder / "steady.log").write_text(done.stderr)
        raise BenchmarkError(f"the steady load failed: {done.stderr.strip()[-300:]}")
    return [float(text) for text in json.loads(done.stdout)]


class _Client(asyncio.Protocol):
    """One connection; a request at a time."""

    def __init__(self, request: bytes, free: "asyncio.Queue[_Client]", found: list[tuple[float, float]]) -> None:
        self._request, self._free, self._found = request, free, found
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        """The answer frees the connection."""
        self._received = b""
        self._sent = time.perf_counter()
        cast(asyncio.Transport, self._transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"{}"):  # what the upstream answers, whole
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"an answer begins with {self._received[:80]!r}")
        self._found.append((self._sent, time.perf_counter() - self._sent))
        self._free.put_nowait(self)


async def _run(orders: Steady) -> Sequence[float]:
    loop, free = asyncio.get_running_loop(), asyncio.Queue[_Client]()
    found: list[tuple[float, float]] = []
    request = f"GET / HTTP/1.1\r\nhost: {orders.host}\r\n\r\n".encode()
    for _ in range(CONNECTIONS):
        _, client = await loop.create_connection(lambda: _Client(request, free, found), orders.address, orders.port)
        free.put_nowait(client)
    began = time.perf_counter()
    for number in range(round(RATE * (orders.seconds + WARM_UP_SECONDS))):
        wait = began + number / RATE - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        (await asyncio.wait_for(free.get(), 10)).send()
    await asyncio.sleep(0.2)
    return [took for sent, took in found if sent >= began + WARM_UP_SECONDS]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_run(Steady(**json.loads(sys.argv[1]))))))
