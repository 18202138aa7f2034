"""Requests and responses of HTTP/1.1 as bytes and words. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import orjson

from tidegate_server.access.principal import Principal
from tidegate_server.inference.caller import Caller

JSON = "application/json"
OCTETS = "application/octet-stream"
JSON_LENGTH = b"inference-header-content-length"
"""The header that says how much of a body is JSON: what follows are binary tensors."""

Headers = Sequence[tuple[str, str]]
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
_NO_BODY = frozenset({204, 304})


@dataclass(slots=True)
class Request:
    """A whole request. Header names are lower case; a header that came twice is joined by commas."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    arrived: float
    """perf_counter when its last byte had been read."""
    is_old: bool = False
    """HTTP/1.0 with a wish for the connection: to be kept, it has to be told so."""
    principal: Principal | None = None
    """Who sent it, where that was found out from its head."""
    caller: Caller = field(default_factory=Caller)
    """Who is told to have left when the connection is lost before the response."""

    def header(self, name: bytes) -> str | None:
        """`name` in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def text_headers(self) -> dict[str, str]:
        """All headers as text."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers.items()}


class Response(NamedTuple):
    """`headers` without content-length, connection and date."""

    status: int
    body: bytes
    headers: Headers = (("content-type", JSON),)

    def with_headers(self, *headers: tuple[str, str]) -> "Response":
        """The same response with these headers behind its own."""
        return Response(self.status, self.body, (*self.headers, *headers))


Respond = Callable[[Response], None]
"""Called once per request, in the event loop's thread."""


def json_response(status: int, document: object, headers: Headers = ()) -> Response:
    """`document` is anything that orjson writes."""
    return Response(status, orjson.dumps(document), (("content-type", JSON), *headers))


def error_response(status: int, sentence: str, headers: Headers = ()) -> Response:
    """What every error looks like: `{"error": sentence}`."""
    return json_response(status, {"error": sentence}, headers)


def encode_head(response: Response, connection: str = "", date: bytes = b"") -> bytes:
    """With the empty line at its end. `connection`: what goes into that header; it is left out when empty."""
    head = _head(response.status, tuple(response.headers), connection)
    if response.status in _NO_BODY:
        return b"%b%b\r\n" % (head, date)
    return b"%b%bcontent-length: %d\r\n\r\n" % (head, date, len(response.body))


def encode_body(response: Response, method: bytes) -> bytes:
    """Empty for HEAD: the length is stated, the body isn't sent."""
    return b"" if method == b"HEAD" or response.status in _NO_BODY else response.body


@lru_cache(maxsize=256)
def _head(status: int, headers: Headers, connection: str) -> bytes:
    """Responses of one kind have the same head but for the length and the date."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n"]
    # A line break in a value would begin another header.
    lines += [f"{name}: {_one_line(value)}\r\n" for name, value in headers]
    if connection:
        lines.append(f"connection: {connection}\r\n")
    return "".join(lines).encode("latin-1", "replace")


def date_header(seconds: float) -> bytes:
    """For `seconds` of Unix time."""
    return f"date: {formatdate(seconds, usegmt=True)}\r\n".encode()


def _one_line(value: str) -> str:
    return value if value.isprintable() else "".join(character for character in value if character.isprintable())
