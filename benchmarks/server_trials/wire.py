"""HTTP/1.1 by hand: what goes out is exactly the given bytes, however wrong, and what comes back is read strictly."""

import asyncio
import socket
import struct
from dataclasses import dataclass

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
LARGEST_HEAD = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class Broken(Exception):
    """The connection ended, or stayed silent, where an answer was due."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes, *, method: bytes = b"POST") -> Reply:
        """Raises Broken."""
        await self.send(request)
        return await self.reply(has_body=method != b"HEAD")

    async def send(self, data: bytes) -> None:
        """A server may refuse before it has read all, so a failure to send isn't one to answer."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            return

    async def reply(self, *, has_body: bool = True, patience: float = PATIENCE_SECONDS) -> Reply:
        """The next answer that isn't a mere 1xx. Raises Broken."""
        try:
            async with asyncio.timeout(patience):
                while (answer := await self._one(has_body)).status < 200:
                    pass
        except TimeoutError:
            raise Broken(f"no answer within {patience:g} s") from None
        except asyncio.LimitOverrunError:
            raise Broken("the answer's head has no end") from None
        except asyncio.IncompleteReadError as cut:
            raise Broken(f"the connection ended after {len(cut.partial)} bytes of an answer") from None
        except OSError as error:
            raise Broken(f"{type(error).__name__} instead of an answer") from None
        return answer

    async def _one(self, has_body: bool) -> Reply:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        version, _, rest = first.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise Broken(f"{first[:60]!r} instead of an answer")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Reply(int(rest[:3]), headers, await self._reader.readexactly(length) if length else b"")

    @property
    def has_ended(self) -> bool:
        """By the server; only sure once the loop has had a turn."""
        return self._reader.at_eof() or self._reader.exception() is not None

    def end_sending(self) -> None:
        """The other half stays open."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Ends as a client does that was killed."""
        peer = self._writer.get_extra_info("socket")
        if peer is not None and not self._writer.is_closing():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()


async def connect(port: int) -> Wire:
    """Raises OSError."""
    return Wire(*await asyncio.open_connection(HOST, port, limit=LARGEST_HEAD))


def request_bytes(
    path: str, body: bytes = b"", *, method: str = "POST", chunk: int = 0, **headers: str | int | None
) -> bytes:
    """A valid request; names with '_' for '-', a value of None leaves a header out. `chunk` > 0 sends pieces of it."""
    fields: dict[str, str | int | None] = {"host": HOST, "content-length": None if chunk else len(body)}
    if chunk:
        fields["transfer-encoding"] = "chunked"
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (_in_chunks(body, chunk) if chunk else body)


def _in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join([b"%x\r\n%b\r\n" % (len(part), part) for part in parts]) + b"0\r\n\r\n"
