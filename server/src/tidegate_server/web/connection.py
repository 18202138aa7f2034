"""One connection: bytes to whole requests, one answer at a time, in the order of the requests.

llhttp (through httptools) reads the protocol and is strict about what smugglers use: a length beside chunks, two
lengths, bare line feeds. What it leaves open is bounded here: the sizes of heads and bodies, and every wait.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from time import perf_counter
from typing import Any, Protocol, cast

import httptools

from tidegate_server.web.message import Answer, Request, encode, refusal

WAITING_REQUESTS = 16
"""Requests sent ahead of their answers; then the connection isn't read until one is answered."""
MOST_HEADERS = 100
LONGEST_TARGET = 8192
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class HttpLimits:
    """Bytes and seconds."""

    head_bytes: int
    body_bytes: int
    all_bodies_bytes: int
    """Of bodies that are being received, over all connections."""
    head_seconds: float
    body_seconds: float
    """To send a body, and to take in an answer."""
    idle_seconds: float
    connections: int
    linger_seconds: float = 2.0
    """How long what a refused client still sends is read away, so that it gets to read the refusal."""


class Phase(Enum):
    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    LINGERING = auto()


IDLE, HEAD, BODY, LINGERING = Phase


class Surroundings(Protocol):
    """What a connection knows of the server around it."""

    limits: HttpLimits
    is_ending: bool
    date: bytes
    body_bytes: int

    def handle(self, request: Request, respond: Callable[[Answer], None]) -> None: ...
    def refused(self, target: bytes, answer: Answer) -> Answer: ...
    def opened(self, connection: "Connection") -> bool: ...
    def closed(self, connection: "Connection") -> None: ...


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Connection(asyncio.Protocol):
    """`httptools` calls the `on_*` methods while bytes are fed to it."""

    def __init__(self, hub: Surroundings) -> None:
        self._hub, self._limits = hub, hub.limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._waiting: deque[Request] = deque()
        self._working = False
        self._last_answer = False
        self._is_open = False
        self._phase = IDLE
        self._since = perf_counter()
        self._stalled_since: float | None = None
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0  # of packets that held nothing but head
        self._named_bytes = 0  # of the target and the headers
        self._parts: list[bytes] = []
        self._size = 0
        self._method = b""
        self._keep_alive = True

    @property
    def is_busy(self) -> bool:
        """A request is being read or worked on, or an answer isn't sent yet."""
        return (
            self._working
            or self._phase in (HEAD, BODY)
            or bool(self._is_open and self._transport.get_write_buffer_size())
        )

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_open = True
        self._since = perf_counter()
        if not self._hub.opened(self):
            self._refuse(refusal(503, "the server has as many connections as it takes", (("retry-after", "1"),)))

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_open = False
        self._drop_body()
        self._waiting.clear()
        self._hub.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._phase is LINGERING:
            return
        if self._phase is IDLE:
            self._phase, self._since = HEAD, perf_counter()
        if self._phase is HEAD:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self._refuse(_answer_in(error))
        except httptools.HttpParserError:
            # After `Connection: close`, more bytes are an error too, but the answer is on its way.
            if not self._last_answer:
                self._refuse(refusal(400, "the request isn't valid HTTP"))
        else:
            if self._phase is HEAD and self._head_bytes > self._limits.head_bytes:
                self._refuse(self._head_too_large())

    def eof_received(self) -> bool:
        """True keeps the other half open while an answer is on its way."""
        self._last_answer = True
        return self._working

    def pause_writing(self) -> None:
        self._stalled_since = perf_counter()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stalled_since = None
        self._read_on()

    # --- httptools

    def on_message_begin(self) -> None:
        if self._phase is not HEAD:  # pipelined behind another one
            self._phase, self._since, self._head_bytes = HEAD, perf_counter(), 0
        self._target, self._headers, self._parts, self._size = b"", {}, [], 0
        self._method, self._named_bytes = b"", 0

    def on_url(self, part: bytes) -> None:
        self._target += part
        self._named_bytes += len(part)
        if self._named_bytes > LONGEST_TARGET:
            raise _Refused(refusal(414, f"the request line is longer than {LONGEST_TARGET} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not HEAD:  # a trailer; nobody asked for it
            return
        name = name.lower()
        headers = self._headers
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value
        self._named_bytes += len(name) + len(value)
        if len(headers) > MOST_HEADERS or self._named_bytes > self._limits.head_bytes:
            raise _Refused(self._head_too_large())

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        self._method = parser.get_method()
        self._keep_alive = parser.should_keep_alive()
        if (
            b"host" not in headers
            or b"transfer-encoding" in headers
            or b"expect" in headers
            or b"," in headers[b"host"]
        ):
            self._check_unusual()
        if self._method == b"CONNECT":
            raise _Refused(refusal(405, "this server is no proxy"))
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            raise _Refused(_too_large(self._limits.body_bytes))
        self._phase, self._since = BODY, perf_counter()

    def on_body(self, part: bytes) -> None:
        size = len(part)
        self._size += size
        self._hub.body_bytes += size
        if self._size > self._limits.body_bytes:
            raise _Refused(_too_large(self._limits.body_bytes))
        if self._hub.body_bytes > self._limits.all_bodies_bytes:
            sentence = "too many bytes are being received at once; try again in a second"
            raise _Refused(refusal(429, sentence, (("retry-after", "1"),)))
        self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._drop_body()
        now = perf_counter()
        request = Request(self._method, self._target, self._headers, body, self._keep_alive, now)
        self._phase, self._since, self._head_bytes = IDLE, now, 0
        if self._last_answer:
            return
        if self._working:
            self._waiting.append(request)
            if len(self._waiting) >= WAITING_REQUESTS:
                self._transport.pause_reading()
            return
        self._begin(request)

    # --- answering

    def _begin(self, request: Request) -> None:
        self._working = True
        if not request.keep_alive:
            self._last_answer = True
        self._hub.handle(request, lambda answer: self._answer(request, answer))

    def _answer(self, request: Request, answer: Answer) -> None:
        self._working = False
        if not self._is_open or self._transport.is_closing():
            return
        # Decided once, right before the head goes out: a connection that was promised to stay open must not be
        # closed under the client's next request.
        keep_alive = request.keep_alive and not self._hub.is_ending and not self._last_answer
        with_body = request.method != b"HEAD"
        self._transport.write(encode(answer, keep_alive=keep_alive, with_body=with_body, date=self._hub.date))
        self._since = perf_counter()
        if not keep_alive:
            self._end_gently()
            return
        if self._waiting:
            self._begin(self._waiting.popleft())
            self._read_on()

    def _refuse(self, answer: Answer) -> None:
        """For what can't be read on: it is answered, and the connection ends."""
        self._drop_body()
        self._phase = IDLE
        if self._working:
            # The answers before it come first, and then nothing.
            self._last_answer = True
            self._waiting.clear()
            return
        if self._is_open and not self._transport.is_closing():
            answer = self._hub.refused(self._target, answer)
            with_body = self._method != b"HEAD"
            self._transport.write(encode(answer, keep_alive=False, with_body=with_body, date=self._hub.date))
            self._end_gently()

    def _end_gently(self) -> None:
        """Closed with unread bytes, the kernel would send a reset, and the client might never see its answer."""
        self._last_answer = True
        self._waiting.clear()
        self._phase, self._since = LINGERING, perf_counter()
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._transport.resume_reading()

    def close(self) -> None:
        self._transport.close()

    # --- time

    def check(self, now: float) -> None:
        """Ends what has taken too long. `now` as perf_counter."""
        if self._stalled_since is not None and now - self._stalled_since > self._limits.body_seconds:
            self._transport.abort()
            return
        if self._working:
            return
        waited = now - self._since
        if self._phase is IDLE and waited > self._limits.idle_seconds:
            self._transport.close()
        elif self._phase is HEAD and waited > self._limits.head_seconds:
            self._refuse(refusal(408, "the head took too long to arrive"))
        elif self._phase is BODY and waited > self._limits.body_seconds:
            self._refuse(refusal(408, "the body took too long to arrive"))
        elif self._phase is LINGERING and waited > self._limits.linger_seconds:
            self._transport.abort()

    # --- details

    def _read_on(self) -> None:
        if self._is_open and self._stalled_since is None and len(self._waiting) < WAITING_REQUESTS:
            self._transport.resume_reading()

    def _drop_body(self) -> None:
        self._hub.body_bytes -= self._size
        self._size, self._parts = 0, []

    def _check_unusual(self) -> None:
        headers = self._headers
        if self._parser.get_http_version() == "1.1" and (b"host" not in headers or b"," in headers[b"host"]):
            raise _Refused(refusal(400, "the request has to have exactly one Host header"))
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise _Refused(refusal(501, "this transfer coding isn't supported; send the body as it is, or in chunks"))
        expected = headers.get(b"expect")
        if expected is None:
            return
        if expected.lower() != b"100-continue":
            raise _Refused(refusal(417, "this expectation isn't supported"))
        if int(headers.get(b"content-length", b"0")) <= self._limits.body_bytes and not self._working:
            self._transport.write(CONTINUE)

    def _head_too_large(self) -> Answer:
        return refusal(431, f"the head of the request is larger than {self._limits.head_bytes} bytes")

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """Some clients offer HTTP/2 with every request. The offer isn't taken up; the request counts as it is."""
        left_out = (b"upgrade", b"connection", b"http2-settings")
        lines = [name + b": " + value for name, value in self._headers.items() if name not in left_out]
        head = b"\r\n".join([self._method + b" " + self._target + b" HTTP/1.1", *lines, b"", b""])
        self._parser = httptools.HttpRequestParser(self)
        self._phase, self._head_bytes = IDLE, -len(head)
        self.data_received(head + rest)


def _answer_in(error: BaseException) -> Answer:
    cause = error.__context__
    return cause.answer if isinstance(cause, _Refused) else refusal(400, "the request isn't valid HTTP")


def _too_large(limit: int) -> Answer:
    return refusal(413, f"the body is larger than {limit} bytes")
