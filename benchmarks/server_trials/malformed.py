"""Requests that no client should send: mutated bodies, odd headers, and bytes that are no HTTP at all.

Pure: a seed gives the same cases again.
"""

from dataclasses import dataclass
from enum import Enum, auto
from math import prod
from random import Random
from typing import Any

from benchmarks.http_client import request_bytes
from benchmarks.server_trials.requests import End, compressed
from benchmarks.server_trials.server_under_test import NAME
from tests.server.protocol.example_requests import array_of, infer_body
from tests.server.protocol.mutations import Case as RequestBody
from tests.server.protocol.mutations import mutated
from tidegate_server.protocol.signature import Signature

PATHS = (f"/v2/models/{NAME}/infer", "/predict")
_METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI", "post", "P\x00ST", "")
_TARGETS = (
    "*", "//", "/%", "/%ff%fe", "/\xff", "http://[/", "/v2/models//infer", f"/v2/models/{NAME}/../x",
    "/predict?a=%zz", f"/v2/models/{NAME}/infer/", "/v2/models/%2e%2e/infer", "/" + "a/" * 500, "/v2\x00",
    "/predict#x", "/v2/health/ready", "/openapi.json", "/v2/models/stats", "/v2/repository/index", "/v2/selftest",
)  # fmt: skip
_HEADERS: tuple[bytes, ...] = (
    b"content-length: -1", b"content-length: 1, 1", b"content-length: 99999999999999999999", b"content-length: 0x10",
    b"content-length: +5", b"content-length:", b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: identity", b"transfer-encoding: chunked, chunked", b"transfer-encoding : chunked",
    b"expect: 100-continue", b"expect: everything", b"upgrade: h2c", b"connection: upgrade", b"connection: close, x",
    b"host: another", b"host:", b"inference-header-content-length: 5", b"inference-header-content-length: -1",
    b"inference-header-content-length: 1e3", b"inference-header-content-length: \xb2", b"content-encoding: gzip",
    b"content-encoding: deflate", b"content-encoding: br", b"content-type: \xff\xfe", b"accept-encoding: gzip;q=x",
    b"accept-encoding: ,,,", b"traceparent: 00-zz", b"traceparent: \xff", b"tracestate: a=b,,,=",
    b"authorization: \xff", b"authorization: Bearer", b"x-request-id: \xe2\x80\xa8", b": no name", b"no colon",
    b" folded: x", b"a\x00b: c", b"x: \x00", b"x: " + b"y" * 5000, b"range: bytes=0-", b"http2-settings: x",
    b"te: trailers", b"trailer: x",
)  # fmt: skip
_LINES = (b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b"\x00", b"\xff" * 9, b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")


class Way(Enum):
    """How a case is wrong."""

    BODY = "mutated bodies"
    HEADERS = "odd headers, methods and paths"
    COMPRESSED = "mutated bodies, compressed"
    HTTP = "broken HTTP"
    CUT = "cut off"


class Shape(Enum):
    """How the bytes are sent."""

    AT_ONCE = auto()
    IN_PIECES = auto()


@dataclass(frozen=True)
class Case:
    """Bytes for a connection of their own."""

    way: Way
    data: bytes
    end: End
    shape: Shape = Shape.AT_ONCE
    may_ask_for_a_deadline: bool = False
    """Then 504 is an answer."""

    @property
    def names_a_transfer_coding(self) -> bool:
        """Then 501 is what RFC 9112 wants for one that isn't known."""
        return b"transfer-encoding" in self.data.lower()


def case_for(signature: Signature, random: Random) -> Case:
    """One case; `signature` is what the server's model has."""
    (way,) = random.choices(list(Way), (50, 20, 8, 14, 8))
    valid_or_mutated, data = _request(signature, way, random)
    match way:
        case Way.HEADERS:
            data = _odd_head(data, random)
        case Way.HTTP:
            data = _broken(data, random)
        case Way.CUT:
            data = data[: random.randrange(len(data))]
        case Way.BODY | Way.COMPRESSED:
            pass
    end = random.choice([End.HALF_CLOSE, End.CLOSE, End.RESET]) if way is Way.CUT else End.HALF_CLOSE
    pieces = random.random() < 0.1 and len(data) < 2000
    return Case(way, data, end, Shape.IN_PIECES if pieces else Shape.AT_ONCE, b"timeout" in valid_or_mutated)


def valid_body(signature: Signature, random: Random) -> RequestBody:
    """One to three rows, in JSON, in bytes or in both."""
    size = random.randint(1, 3)
    arrays = {}
    for spec in signature.inputs:
        shape = tuple(size if expected == -1 else expected for expected in spec.shape)
        arrays[spec.name] = array_of(spec.datatype, shape, [_value(spec.datatype, random) for _ in range(prod(shape))])
    binary = {name for name in arrays if random.random() < 0.4}
    wanted: dict[str, Any] = random.choice(
        [{}, {"id": "7"}, {"outputs": [{"name": "scores"}]}, {"parameters": {"timeout": 10**6}}]
    )
    return RequestBody(signature, *infer_body(signature, arrays, binary, nested=random.random() < 0.5, **wanted))


def _value(datatype: str, random: Random) -> Any:
    if datatype == "BYTES":
        return random.choice(["", "a", "ü", "a\0b"])
    return random.randint(0, 1) if datatype == "BOOL" else random.randint(0, 100)


def _request(signature: Signature, way: Way, random: Random) -> tuple[bytes, bytes]:
    """A body for this signature, and the request with it. Mutated, unless the rest of the request will be."""
    content = valid_body(signature, random)
    if way in (Way.BODY, Way.COMPRESSED) or random.random() < 0.3:
        content = mutated(content, random)
    body, coding = content.body, None
    if way is Way.COMPRESSED:
        coding = random.choice(["gzip", "deflate"])
        body = random.choice([compressed(body, coding), compressed(body, coding), body])
        if random.random() < 0.3:
            at = random.randint(0, len(body))
            body = body[:at] + random.randbytes(2) + body[at + random.randint(0, 3) :]
    return content.body, request_bytes(
        random.choice(PATHS) if content.json_bytes is None else PATHS[0],
        body,
        chunk=random.choice([0, 0, 0, 1, 50]),
        inference_header_content_length=content.json_bytes,
        content_encoding=coding,
        accept_encoding=random.choice([None, None, "gzip", "deflate"]),
        content_type=random.choice(["application/json", "application/octet-stream", "text/plain", None, ""]),
    )


def _odd_head(data: bytes, random: Random) -> bytes:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if random.random() < 0.3:
        method = random.choice(_METHODS).encode("latin-1")
        first = first.replace(b"POST", method, 1)
    if random.random() < 0.3:
        _, _, version = first.rpartition(b" ")
        first = b"POST " + random.choice(_TARGETS).encode("latin-1") + b" " + version
    if random.random() < 0.1:
        first = first.replace(b"HTTP/1.1", random.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b""]))
    for _ in range(random.randint(0, 3)):
        lines.insert(random.randint(0, len(lines)), random.choice(_HEADERS))
    if lines and random.random() < 0.2:
        lines.pop(random.randrange(len(lines)))
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body


def _broken(data: bytes, random: Random) -> bytes:
    if random.random() < 0.2:
        return random.randbytes(random.randint(1, 500))
    for _ in range(random.randint(1, 4)):
        # The head is short beside most bodies, and it is what the parser of HTTP reads.
        end = data.find(b"\r\n\r\n") + 4 if random.random() < 0.7 else len(data)
        at = random.randint(0, max(0, end))
        put = random.choice([*_LINES, random.choice(_HEADERS) + b"\r\n", random.randbytes(random.randint(1, 8))])
        data = data[:at] + put + data[at + random.choice([0, 0, 1, 4]) :]
    return data
