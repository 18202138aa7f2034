"""Requests and answers of HTTP/1.1 as bytes and words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson

JSON = "application/json"
OCTETS = "application/octet-stream"

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

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def text_headers(self) -> dict[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` without content-length, connection and date."""

    status: int
    body: bytes
    headers: Headers = (("content-type", JSON),)


def json_answer(status: int, document: object, headers: Headers = ()) -> Answer:
    return Answer(status, orjson.dumps(document), (("content-type", JSON), *headers))


def refusal(status: int, sentence: str, headers: Headers = ()) -> Answer:
    return json_answer(status, {"error": sentence}, headers)


def encode(answer: Answer, *, keep_alive: bool, with_body: bool = True, date: bytes = b"") -> bytes:
    """The whole answer. `with_body` is False for HEAD: the length is told, the body isn't sent."""
    head = _head(answer.status, tuple(answer.headers), keep_alive)
    if answer.status in _NO_BODY:
        return b"%b%b\r\n" % (head, date)
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, date, len(answer.body), answer.body if with_body else b"")


@lru_cache(maxsize=256)
def _head(status: int, headers: Headers, keep_alive: bool) -> bytes:
    """Answers of one kind have the same head but for the length and the date."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n"]
    # A line break in a value would begin another header.
    lines += [f"{name}: {_one_line(value)}\r\n" for name, value in headers]
    if not keep_alive:
        lines.append("connection: close\r\n")
    return "".join(lines).encode("latin-1", "replace")


def date_header(seconds: float) -> bytes:
    """For `seconds` of Unix time."""
    return f"date: {formatdate(seconds, usegmt=True)}\r\n".encode()


def _one_line(value: str) -> str:
    return value if value.isprintable() else "".join(character for character in value if character.isprintable())
