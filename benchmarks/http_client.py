"""HTTP/1.1 by hand: what goes out is exactly the given bytes, however wrong, and what comes back is read strictly."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"
PATIENCE_SECONDS = 30.0
LARGEST_HEAD = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class NoResponse(Exception):
    """The connection ended, or stayed silent, where an answer was due."""


@dataclass(frozen=True, slots=True)
class Response:
    """Header names in lower case. `body` without its chunks' sizes."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether the connection can't be used again."""
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True)
class Connection:
    """One connection. What it sends is what it is given; a request ahead of others' responses is up to the caller."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> Response:
        """Sends a whole request and reads its response. Raises NoResponse."""
        await self.send(request)
        return await self.response()

    async def send(self, data: bytes) -> None:
        """A server may refuse before it has read all, so a failure to send isn't one to answer."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            return

    async def response(self, *, has_body: bool = True, patience: float | None = PATIENCE_SECONDS) -> Response:
        """The next response that isn't a mere 1xx, within so many seconds. Raises NoResponse."""
        try:
            async with asyncio.timeout(patience):
                while (response := await self._one(has_body)).status < 200:
                    pass
        except TimeoutError:
            raise NoResponse(f"no answer within {patience:g} s") from None
        except asyncio.LimitOverrunError:
            raise NoResponse("the answer's head has no end") from None
        except asyncio.IncompleteReadError as cut:
            raise NoResponse(f"the connection ended after {len(cut.partial)} bytes of an answer") from None
        except OSError as error:
            raise NoResponse(f"{type(error).__name__} instead of an answer") from None
        return response

    async def _one(self, has_body: bool) -> Response:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        version, _, rest = first.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise NoResponse(f"{first[:60]!r} instead of an answer")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(rest[:3])
        return Response(status, headers, await self._body(headers) if has_body and status >= 200 else b"")

    async def _body(self, headers: dict[str, str]) -> bytes:
        """By its length, in chunks, or up to the connection's end, which `headers` then says."""
        if length := headers.get("content-length"):
            return await self.reader.readexactly(int(length))
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        headers["connection"] = "close"
        return await self.reader.read()

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    async def wait_for_end(self) -> None:
        """Until the server ends the connection, whatever it says before."""
        try:
            while await self.reader.read(LARGEST_HEAD):
                pass
        except OSError:
            return

    @property
    def has_ended(self) -> bool:
        """By the server; only sure once the loop has had a turn."""
        return self.reader.at_eof() or self.reader.exception() is not None

    def end_sending(self) -> None:
        """The other half stays open."""
        if self.writer.can_write_eof() and not self.writer.is_closing():
            self.writer.write_eof()

    def close(self) -> None:
        """Once all is sent."""
        self.writer.close()

    def abort(self) -> None:
        """At once, whatever hasn't been sent."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Ends as a client does that was killed."""
        peer = self.writer.get_extra_info("socket")
        if peer is not None and not self.writer.is_closing():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.abort()


async def connect(port: int) -> Connection:
    """A connection to this machine. Raises OSError."""
    return Connection(*await asyncio.open_connection(HOST, port, limit=LARGEST_HEAD))


def request_bytes(
    path: str, body: bytes = b"", *, method: str = "POST", chunk: int = 0, **headers: str | int | None
) -> bytes:
    """A valid request; names with '_' for '-', a value of None leaves a header out. `chunk` > 0 sends pieces of it."""
    fields: dict[str, str | int | None] = {"host": HOST, "content-length": None if chunk else len(body)}
    if chunk:
        fields["transfer-encoding"] = "chunked"
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return head_bytes(method, path, fields) + (b"".join(chunks(body, chunk)) if chunk else body)


def head_bytes(method: str, path: str, headers: Mapping[str, str | int | None]) -> bytes:
    """A request's head, with those headers only; a value of None leaves one out."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


def chunks(body: bytes, size: int) -> list[bytes]:
    """The body in chunks of that many bytes, and the last chunk, which is empty."""
    return [chunk(body[at : at + size]) for at in range(0, len(body), size)] + [chunk(b"")]


def chunk(part: bytes) -> bytes:
    """One chunk of a body as it is sent."""
    return b"%x\r\n%b\r\n" % (len(part), part)
