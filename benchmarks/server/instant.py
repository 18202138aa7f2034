"""The machine's own jitter: what the same client sees of a program that answers at once and computes nothing.

    python -m benchmarks.server.instant --port 8000 --answer FILE

answers every POST with the file's bytes, in one process, with uvloop. Whatever is late there is late because of the
client, the loopback device and the scheduler, so no server's p99 can be below it.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import uvloop

from benchmarks.programs import free_ports, running, wait_until
from benchmarks.server.paced_load import listens

START_SECONDS = 20.0
_LENGTH = b"content-length:"


class InstantAnswers(asyncio.Protocol):
    """One connection; requests may come in pieces, and several at once."""

    def __init__(self, answer: bytes) -> None:
        """`answer`: head and body."""
        self._answer, self._received = answer, b""
        self._transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: answers what is whole."""
        self._received += data
        while (end := _end_of_request(self._received)) is not None and end <= len(self._received):
            self._received = self._received[end:]
            self._transport.write(self._answer)


def _end_of_request(received: bytes) -> int | None:
    """Where the first one ends, perhaps beyond what has come; None as long as its head isn't whole."""
    head, found, _ = received.partition(b"\r\n\r\n")
    if not found:
        return None
    _, _, length = head.lower().partition(_LENGTH)
    return len(head) + 4 + int(length.partition(b"\r\n")[0] or 0)


def answer_of(body: bytes) -> bytes:
    """The answer with this body as it is sent."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@contextmanager
def answering_at_once(body: bytes) -> Iterator[int]:
    """The port of one that answers with `body`. Raises BenchmarkError."""
    with TemporaryDirectory(prefix="tidegate-bench-") as folder:
        answer = Path(folder, "answer")
        answer.write_bytes(answer_of(body))
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "benchmarks.server.instant", "--port", str(port), "--answer", str(answer)]
        with running(command, Path(folder), "instant") as process:
            wait_until(lambda: listens(port), "answers at once", START_SECONDS, process, Path(folder, "instant.log"))
            yield port


async def _serve(port: int, answer: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: InstantAnswers(answer), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Until it is ended."""
    parser = argparse.ArgumentParser(description="Answers every request at once.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.answer.read_bytes()))


if __name__ == "__main__":
    main()
