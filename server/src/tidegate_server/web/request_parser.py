"""Bytes of one connection to whole requests.

llhttp (through httptools) reads the protocol and is strict about what smugglers use: a length beside chunks, two
lengths, bare line feeds. What it leaves open is bounded here: heads and bodies, and all bodies together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from time import perf_counter
from typing import Any, Protocol

import httptools

from tidegate_server.access.principal import Principal
from tidegate_server.held_bytes import HeldBytes
from tidegate_server.web.known_heads import END, KnownHead, KnownHeads
from tidegate_server.web.message import Headers, Request, Response, error_response

MAX_HEADERS = 100
MAX_TARGET_BYTES = 8192
NOT_HTTP = error_response(400, "the request isn't valid HTTP")
TOO_MANY_BYTES = error_response(
    429, "too many bytes of requests and answers are held at once; try again in a second", (("retry-after", "1"),)
)

CheckHead = Callable[[bytes, dict[bytes, bytes]], Principal | Response]
"""Takes target and headers. Who sends the request, or the response that goes out before its body is read."""


@dataclass(frozen=True)
class HttpLimits:
    """Most bytes, seconds and connections."""

    head_bytes: int
    body_bytes: int
    head_seconds: float
    body_seconds: float
    """To send a body, and to take in a response."""
    idle_seconds: float
    connections: int
    linger_seconds: float = 2.0
    """How long the rest of a rejected request is read and dropped, so that its client gets to read the response."""


class Phase(Enum):
    """What is read now."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()


IDLE, HEAD, BODY = Phase


class ParserContext(Protocol):
    """What is shared by all connections of a server."""

    limits: HttpLimits
    held: HeldBytes
    check_head: CheckHead | None
    """None where everybody may send bodies."""
    known_heads: KnownHeads

    def make_room(self, size: int) -> bool:
        """Ends who holds bytes and is slow, until `size` more fit; False when that isn't enough."""


class Rejected(Exception):
    """The connection can't be read any further; `response` says why."""

    def __init__(self, response: Response) -> None:
        """`response` goes out before the connection ends."""
        super().__init__()
        self.response = response


class RequestParser:
    """`httptools` calls the `on_*` methods while bytes are fed to it."""

    def __init__(
        self, context: ParserContext, take: Callable[[Request], None], ask_for_body: Callable[[], None]
    ) -> None:
        """`take` gets whole requests, whose bodies stay counted as held: whoever takes one gives them back.

        `ask_for_body`: the client waits for a word before it sends its body.
        """
        self._context, self._limits = context, context.limits
        self._take, self._ask_for_body = take, ask_for_body
        self._parser: Any = httptools.HttpRequestParser(self)
        self.phase = IDLE
        self.since = perf_counter()
        """When the phase began."""
        self.has_ended = False
        """The last request was said to be the last; what follows is dropped."""
        self.target = b""
        self.method = b""
        self.size = 0
        """Of the body that is being read, as far as it has come."""
        self._length = 0
        self.headers: dict[bytes, bytes] = {}
        """Of the request that is being read, or was the last one; as far as they have come."""
        self._head_bytes = 0  # of packets that held nothing but head
        self._parsed_bytes = 0  # of the target and the headers
        self._first_part = b""
        self._body = bytearray()  # everything, from the second part on
        self._keep_alive = True
        self._is_old = False
        self._whole = 0  # requests that one call of the parser has found
        self._principal: Principal | None = None

    @property
    def body_left(self) -> int:
        """Bytes until the body's end, as far as that is known."""
        return max(0, self._length - self.size) if self.phase is BODY else 0

    def feed(self, data: bytes) -> None:
        """Raises Rejected."""
        while data:
            data = self._feed(data)

    def drop_body(self) -> None:
        """Gives back what has come of the body that is being read."""
        self._context.held.give_back(self.size)
        self._forget_body()

    def _feed(self, data: bytes) -> bytes:
        """What is left to be fed."""
        begins = self.phase is IDLE
        if begins:
            end = data.find(END) + len(END)
            known = self._context.known_heads.find(data[:end])
            if known is not None and end + known.length <= len(data):
                return self._take_known(known, data, end)
            self.phase, self.since = HEAD, perf_counter()
        if self.phase is HEAD:
            self._head_bytes += len(data)
        self._whole = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            raise _rejection_in(error) from None
        except httptools.HttpParserError:
            if self.has_ended:
                return b""
            raise Rejected(NOT_HTTP) from None
        if self.phase is HEAD and self._head_bytes > self._limits.head_bytes:
            raise self._head_too_large()
        if begins and self._whole == 1 and self.phase is IDLE:
            self._remember(data)
        return b""

    def _take_known(self, known: KnownHead, data: bytes, end: int) -> bytes:
        """As the callbacks below would, whose outcome is known. What is left to be fed."""
        self.target, self.method, headers, size = known.target, known.method, known.headers, known.length
        self.headers = headers
        self.since = now = perf_counter()
        principal, body = None, b""
        if size:
            check = self._context.check_head
            principal = None if check is None else self._checked_head(headers)
            self._hold(size, 0)
            body = data[end : end + size]
        self._take(Request(known.method, known.target, headers, body, True, now, False, principal))
        return data[end + size :]

    def _remember(self, data: bytes) -> None:
        """The head of the one request that `data` was, if that is plain."""
        end = len(data) - self._length
        is_plain = data.find(END) + len(END) == end and self._parser.get_http_version() == "1.1"
        if is_plain and self._keep_alive and not self._is_old:
            known = KnownHead(self.method, self.target, self.headers, self._length)
            self._context.known_heads.remember(data[:end], known)

    # --- httptools

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request."""
        if self.phase is not HEAD:  # pipelined behind another one
            self.phase, self.since, self._head_bytes = HEAD, perf_counter(), 0
        self.target, self.method, self.headers, self._parsed_bytes = b"", b"", {}, 0

    def on_url(self, part: bytes) -> None:
        """httptools: a part of the target."""
        self.target += part
        self._parsed_bytes += len(part)
        if self._parsed_bytes > MAX_TARGET_BYTES:
            raise _rejected(414, f"the request line is longer than {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one whole header, or a trailer."""
        if self.phase is not HEAD:  # a trailer, which no response depends on
            return
        name = name.lower()
        headers = self.headers
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value
        self._parsed_bytes += len(name) + len(value)
        if len(headers) > MAX_HEADERS or self._parsed_bytes > self._limits.head_bytes:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """httptools: the head ends; decides whether the body is taken."""
        parser, headers = self._parser, self.headers
        self.method = parser.get_method()
        if self.method == b"CONNECT":
            raise _rejected(405, "this server is no proxy")
        if parser.should_upgrade():  # the same head comes once more, without the offer
            return
        self._keep_alive = parser.should_keep_alive()
        length = headers.get(b"content-length")
        self._length = 0 if length is None else int(length)
        self._principal = self._checked_head(headers) if self._length or b"transfer-encoding" in headers else None
        if (
            b"host" not in headers
            or b"transfer-encoding" in headers
            or b"expect" in headers
            or b"," in headers[b"host"]
        ):
            self._check_framing()
        if self._length > self._limits.body_bytes:
            raise self._body_too_large()
        if b"expect" in headers:
            self._ask_for_body()
        self.phase, self.since = BODY, perf_counter()

    def on_body(self, part: bytes) -> None:
        """httptools: a part of the body, without its framing."""
        size = len(part)
        if self.size + size > self._limits.body_bytes:
            raise self._body_too_large()
        self._hold(size, self.size)
        # Many small parts in a list would take thirty times their bytes.
        if not self.size:
            self._first_part = part
        else:
            if not self._body:
                self._body += self._first_part
            self._body += part
        self.size += size

    def on_message_complete(self) -> None:
        """httptools: the request is whole."""
        if self._parser.should_upgrade():
            return
        body = bytes(self._body) if self._body else self._first_part
        self._forget_body()
        now = perf_counter()
        self.phase, self.since, self._head_bytes = IDLE, now, 0
        self.has_ended = not self._keep_alive
        self._is_old = b"connection" in self.headers and self._parser.get_http_version() == "1.0"
        self._whole += 1
        self._take(
            Request(self.method, self.target, self.headers, body, self._keep_alive, now, self._is_old, self._principal)
        )

    # --- details

    def _forget_body(self) -> None:
        self.size, self._first_part = 0, b""
        if self._body:
            self._body = bytearray()

    def _hold(self, size: int, before: int) -> None:
        held = self._context.held
        if not held.take(size, before) and not (self._context.make_room(size) and held.take(size)):
            raise Rejected(TOO_MANY_BYTES)

    def _checked_head(self, headers: dict[bytes, bytes]) -> Principal | None:
        check = self._context.check_head
        found = None if check is None else check(self.target, headers)
        if isinstance(found, Response):
            raise Rejected(found)
        return found

    def _check_framing(self) -> None:
        headers = self.headers
        if self._parser.get_http_version() == "1.1" and (b"host" not in headers or b"," in headers[b"host"]):
            raise _rejected(400, "the request has to have exactly one Host header")
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise _rejected(501, "this transfer coding isn't supported; send the body as it is, or in chunks")
        if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
            raise _rejected(417, "this expectation isn't supported")

    def _head_too_large(self) -> Rejected:
        return _rejected(431, f"the head of the request is larger than {self._limits.head_bytes} bytes")

    def _body_too_large(self) -> Rejected:
        size = f"{self._limits.body_bytes} bytes (TIDEGATE_MAX_BODY_BYTES)"
        return _rejected(413, f"the body is larger than {size}; binary tensors take a fraction of what JSON does")

    def _ignore_upgrade(self) -> None:
        """Some clients offer HTTP/2 with every request. The offer isn't taken up; the request counts as it is."""
        left_out = (b"upgrade", b"connection", b"http2-settings")
        lines = [name + b": " + value for name, value in self.headers.items() if name not in left_out]
        head = b"\r\n".join([self.method + b" " + self.target + b" HTTP/1.1", *lines, b"", b""])
        self._parser = httptools.HttpRequestParser(self)
        self.phase, self._head_bytes = IDLE, -len(head)
        self._feed(head)


def _rejected(status: int, sentence: str, headers: Headers = ()) -> Rejected:
    return Rejected(error_response(status, sentence, headers))


def _rejection_in(error: BaseException) -> Rejected:
    cause = error.__context__
    return cause if isinstance(cause, Rejected) else Rejected(NOT_HTTP)
