"""HTTP/1.1 by hand: what a probe sends is exactly what it says, and an answer that never comes is a result."""

import asyncio
from dataclasses import dataclass

from benchmarks.server.paced import read_head

HOST = "127.0.0.1"
_READ = 1 << 16


@dataclass(frozen=True)
class Reply:
    """A whole answer. `closes`: its connection can't be used again."""

    status: int
    body: bytes
    closes: bool


@dataclass(frozen=True)
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> Reply | None:
        """None when the connection ended before the answer did."""
        try:
            self.writer.write(request)
            await self.writer.drain()
        except OSError:
            return None
        return await self.reply()

    async def reply(self) -> Reply | None:
        received = b""
        while (head := read_head(received)) is None or len(received) < head.length:
            try:
                part = await self.reader.read(_READ)
            except OSError:
                part = b""
            if not part:
                return _cut_short(received)
            received += part
        return Reply(head.status, received.partition(b"\r\n\r\n")[2], head.closes)

    async def wait_for_end(self) -> None:
        """Until the server ends the connection, whatever it says before."""
        try:
            while await self.reader.read(_READ):
                pass
        except OSError:
            return

    def has_ended(self) -> bool:
        return self.reader.at_eof() or self.reader.exception() is not None

    def close(self) -> None:
        self.writer.transport.abort()


async def connect(port: int) -> Wire:
    """Raises OSError."""
    return Wire(*await asyncio.open_connection(HOST, port))


def _cut_short(received: bytes) -> Reply | None:
    """An answer without a length ends with its connection."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end or b"content-length:" in head.lower() or b"transfer-encoding:" in head.lower():
        return None
    return Reply(int(head[9:12]), body, closes=True)
