"""One connection: bytes to whole requests, one response at a time, in the order of the requests.

llhttp (through httptools) reads the protocol and is strict about what smugglers use: a length beside chunks, two
lengths, bare line feeds. What it leaves open is bounded here: the sizes of heads and bodies, and every wait.
"""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from time import perf_counter
from typing import Any, Protocol, cast

import httptools

from tidegate_server.web.message import Headers, Request, Respond, Response, encode, error_response

MAX_PIPELINED = 16
"""Requests sent ahead of their responses; then the connection isn't read until one has its response."""
MAX_HEADERS = 100
MAX_TARGET_BYTES = 8192
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class HttpLimits:
    """Most bytes, seconds and connections."""

    head_bytes: int
    body_bytes: int
    all_bodies_bytes: int
    """Of bodies that are being received, over all connections."""
    head_seconds: float
    body_seconds: float
    """To send a body, and to take in a response."""
    idle_seconds: float
    connections: int
    linger_seconds: float = 2.0
    """How long the rest of a rejected request is read and dropped, so that its client gets to read the response."""


class Phase(Enum):
    """What the connection reads now. LINGERING: it has ended, and what still comes is dropped."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    LINGERING = auto()


IDLE, HEAD, BODY, LINGERING = Phase


class ConnectionContext(Protocol):
    """What a connection needs of the server that it belongs to."""

    limits: HttpLimits
    is_draining: bool
    date: bytes
    """The Date header, whole."""
    receiving_bytes: int
    """Of bodies that aren't complete, over all connections."""

    def handle(self, request: Request, respond: Respond) -> None:
        """Calls `respond` once, now or later, in the loop's thread."""

    def receive_failed(self, target: bytes, response: Response) -> Response:
        """A request couldn't be read to its end: the response that goes out for it."""

    def opened(self, connection: "Connection") -> bool:
        """False when there are too many."""

    def closed(self, connection: "Connection") -> None:
        """The connection is gone."""


class _Rejected(Exception):
    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        super().__init__()
        self.response = error_response(status, sentence, headers)


class Connection(asyncio.Protocol):
    """`httptools` calls the `on_*` methods while bytes are fed to it."""

    def __init__(self, context: ConnectionContext) -> None:
        """Belongs to the loop's thread, as all its methods do."""
        self._context, self._limits = context, context.limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._pipelined: deque[Request] = deque()
        self._in_flight = False
        self._is_last = False
        self._is_open = False
        self._phase = IDLE
        self._since = perf_counter()
        self._stalled_since: float | None = None
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0  # of packets that held nothing but head
        self._parsed_bytes = 0  # of the target and the headers
        self._parts: list[bytes] = []
        self._size = 0
        self._method = b""
        self._keep_alive = True

    @property
    def is_busy(self) -> bool:
        """A request is being read or handled, or a response isn't sent yet."""
        return (
            self._in_flight
            or self._phase in (HEAD, BODY)
            or bool(self._is_open and self._transport.get_write_buffer_size())
        )

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_open = True
        self._since = perf_counter()
        if not self._context.opened(self):
            self._reject(error_response(503, "the server has as many connections as it takes", (("retry-after", "1"),)))

    def connection_lost(self, _error: Exception | None) -> None:
        """asyncio: gone, whoever ended it."""
        self._is_open = False
        self._drop_body()
        self._pipelined.clear()
        self._context.closed(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: feeds the parser."""
        if self._phase is LINGERING:
            return
        if self._phase is IDLE:
            self._phase, self._since = HEAD, perf_counter()
        if self._phase is HEAD:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self._reject(_response_in(error))
        except httptools.HttpParserError:
            # After `Connection: close`, more bytes are an error too, but the response is on its way.
            if not self._is_last:
                self._reject(error_response(400, "the request isn't valid HTTP"))
        else:
            if self._phase is HEAD and self._head_bytes > self._limits.head_bytes:
                self._reject(self._head_too_large().response)

    def eof_received(self) -> bool:
        """True keeps the other half open while a response is on its way."""
        self._is_last = True
        return self._in_flight

    def pause_writing(self) -> None:
        """asyncio: the client takes in less than is sent."""
        self._stalled_since = perf_counter()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """asyncio: it takes in more again."""
        self._stalled_since = None
        self._resume_reading()

    # --- httptools

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request."""
        if self._phase is not HEAD:  # pipelined behind another one
            self._phase, self._since, self._head_bytes = HEAD, perf_counter(), 0
        self._target, self._headers, self._parts, self._size = b"", {}, [], 0
        self._method, self._parsed_bytes = b"", 0

    def on_url(self, part: bytes) -> None:
        """httptools: a part of the target."""
        self._target += part
        self._parsed_bytes += len(part)
        if self._parsed_bytes > MAX_TARGET_BYTES:
            raise _Rejected(414, f"the request line is longer than {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one whole header, or a trailer."""
        if self._phase is not HEAD:  # a trailer, which no response depends on
            return
        name = name.lower()
        headers = self._headers
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value
        self._parsed_bytes += len(name) + len(value)
        if len(headers) > MAX_HEADERS or self._parsed_bytes > self._limits.head_bytes:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """httptools: the head ends; decides whether the body is taken."""
        parser, headers = self._parser, self._headers
        self._method = parser.get_method()
        self._keep_alive = parser.should_keep_alive()
        if (
            b"host" not in headers
            or b"transfer-encoding" in headers
            or b"expect" in headers
            or b"," in headers[b"host"]
        ):
            self._check_framing()
        if self._method == b"CONNECT":
            raise _Rejected(405, "this server is no proxy")
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            raise self._body_too_large()
        self._phase, self._since = BODY, perf_counter()

    def on_body(self, part: bytes) -> None:
        """httptools: a part of the body, without its framing."""
        size = len(part)
        self._size += size
        self._context.receiving_bytes += size
        if self._size > self._limits.body_bytes:
            raise self._body_too_large()
        if self._context.receiving_bytes > self._limits.all_bodies_bytes:
            sentence = "too many bytes are being received at once; try again in a second"
            raise _Rejected(429, sentence, (("retry-after", "1"),))
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """httptools: the request is whole."""
        if self._parser.should_upgrade():
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._drop_body()
        now = perf_counter()
        request = Request(self._method, self._target, self._headers, body, self._keep_alive, now)
        self._phase, self._since, self._head_bytes = IDLE, now, 0
        if self._is_last:
            return
        if self._in_flight:
            self._pipelined.append(request)
            if len(self._pipelined) >= MAX_PIPELINED:
                self._transport.pause_reading()
            return
        self._handle(request)

    # --- responding

    def _handle(self, request: Request) -> None:
        self._in_flight = True
        if not request.keep_alive:
            self._is_last = True
        self._context.handle(request, lambda response: self._respond(request, response))

    def _respond(self, request: Request, response: Response) -> None:
        self._in_flight = False
        if not self._is_open or self._transport.is_closing():
            return
        # Decided once, right before the head goes out: a connection that was promised to stay open must not be
        # closed under the client's next request.
        keep_alive = request.keep_alive and not self._context.is_draining and not self._is_last
        with_body = request.method != b"HEAD"
        self._transport.write(encode(response, keep_alive=keep_alive, with_body=with_body, date=self._context.date))
        self._since = perf_counter()
        if not keep_alive:
            self._linger()
            return
        if self._pipelined:
            self._handle(self._pipelined.popleft())
            self._resume_reading()

    def _reject(self, response: Response) -> None:
        """For what can't be read any further: the client gets a response, and the connection ends."""
        self._drop_body()
        self._phase = IDLE
        if self._in_flight:
            # The responses before it come first, and then nothing.
            self._is_last = True
            self._pipelined.clear()
            return
        if self._is_open and not self._transport.is_closing():
            response = self._context.receive_failed(self._target, response)
            with_body = self._method != b"HEAD"
            self._transport.write(encode(response, keep_alive=False, with_body=with_body, date=self._context.date))
            self._linger()

    def _linger(self) -> None:
        """Closed with unread bytes, the kernel would send a reset, and the client might never see its response."""
        self._is_last = True
        self._pipelined.clear()
        self._phase, self._since = LINGERING, perf_counter()
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._transport.resume_reading()

    def close(self) -> None:
        """Once what was written has been sent."""
        self._transport.close()

    # --- time

    def check_timeouts(self, now: float) -> None:
        """Ends what has taken too long. `now` as perf_counter."""
        if self._stalled_since is not None and now - self._stalled_since > self._limits.body_seconds:
            self._transport.abort()
            return
        if self._in_flight:
            return
        waited = now - self._since
        if self._phase is IDLE and waited > self._limits.idle_seconds:
            self._transport.close()
        elif self._phase is HEAD and waited > self._limits.head_seconds:
            self._reject(error_response(408, "the head took too long to arrive"))
        elif self._phase is BODY and waited > self._limits.body_seconds:
            self._reject(error_response(408, "the body took too long to arrive"))
        elif self._phase is LINGERING and waited > self._limits.linger_seconds:
            self._transport.abort()

    # --- details

    def _resume_reading(self) -> None:
        if self._is_open and self._stalled_since is None and len(self._pipelined) < MAX_PIPELINED:
            self._transport.resume_reading()

    def _drop_body(self) -> None:
        self._context.receiving_bytes -= self._size
        self._size, self._parts = 0, []

    def _check_framing(self) -> None:
        headers = self._headers
        if self._parser.get_http_version() == "1.1" and (b"host" not in headers or b"," in headers[b"host"]):
            raise _Rejected(400, "the request has to have exactly one Host header")
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise _Rejected(501, "this transfer coding isn't supported; send the body as it is, or in chunks")
        expected = headers.get(b"expect")
        if expected is None:
            return
        if expected.lower() != b"100-continue":
            raise _Rejected(417, "this expectation isn't supported")
        if int(headers.get(b"content-length", b"0")) <= self._limits.body_bytes and not self._in_flight:
            self._transport.write(CONTINUE)

    def _head_too_large(self) -> _Rejected:
        return _Rejected(431, f"the head of the request is larger than {self._limits.head_bytes} bytes")

    def _body_too_large(self) -> _Rejected:
        return _Rejected(413, f"the body is larger than {self._limits.body_bytes} bytes")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Some clients offer HTTP/2 with every request. The offer isn't taken up; the request counts as it is."""
        left_out = (b"upgrade", b"connection", b"http2-settings")
        lines = [name + b": " + value for name, value in self._headers.items() if name not in left_out]
        head = b"\r\n".join([self._method + b" " + self._target + b" HTTP/1.1", *lines, b"", b""])
        self._parser = httptools.HttpRequestParser(self)
        self._phase, self._head_bytes = IDLE, -len(head)
        self.data_received(head + rest)


def _response_in(error: BaseException) -> Response:
    cause = error.__context__
    return cause.response if isinstance(cause, _Rejected) else error_response(400, "the request isn't valid HTTP")
