"""What the soak asks: right questions in every form that the server reads, and the ways in which clients go wrong.

All are written before the load begins, so that the client spends its time on sending.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.http_client import Connection, Response, request_bytes
from benchmarks.server_trials.server_under_test import NAME

Array = np.ndarray[Any, Any]
INFER = f"/v2/models/{NAME}/infer"
BODY_LIMIT = 16 * 2**20
"""The server's, which it has without being told."""
TOLERANCE = 1e-3
KNOWN_BODIES = 8
BOMB_BYTES = 2 * BODY_LIMIT


class End(Enum):
    """What the client does once it has sent its bytes."""

    READ = auto()
    HALF_CLOSE = auto()
    """It sends no more, and reads."""
    CLOSE = auto()
    RESET = auto()


def end_as(end: End, connection: Connection) -> bool:
    """What such a client does once it has sent its bytes. Whether it still reads, having sent its last."""
    if end is End.RESET:
        connection.reset()
    if end is End.HALF_CLOSE:
        connection.end_sending()
    return end is End.HALF_CLOSE


@dataclass(slots=True)
class Message:
    """Bytes for the connection. `answers` is how many are due; `rows` what right ones say something about."""

    data: bytes
    rows: Array | None = None
    answers: int = 1
    end: End = End.READ
    known: set[bytes] = field(default_factory=set)
    """Bodies of answers that were found right: parsing each again would make the client the bottleneck."""


@dataclass(frozen=True)
class Kind:
    """`share` of all messages in percent; `statuses` are the only answers that are right."""

    name: str
    share: float
    statuses: frozenset[int]
    make: Callable[[Random], Message]
    pool: int = 150


class ResponseChecker:
    """Knows what the model answers, from a session of its own."""

    def __init__(self, model: str) -> None:
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def objection(self, message: Message, response: Response) -> str | None:
        """Why a 200 isn't the right one."""
        if message.rows is None or response.body in message.known:
            return None
        expected = self._session.run(["waves", "mean"], {"x": message.rows})
        try:
            given = _outputs(response)
        except (ValueError, KeyError, TypeError) as error:
            return f"an unreadable answer: {type(error).__name__}: {error}"
        for name, right in zip(("waves", "mean"), expected, strict=True):
            if given[name].shape != right.shape or not np.allclose(given[name], right, rtol=TOLERANCE, atol=TOLERANCE):
                return f"wrong numbers in {name}"
        if len(message.known) < KNOWN_BODIES:
            message.known.add(response.body)
        return None


def _outputs(response: Response) -> dict[str, Array]:
    body = gzip.decompress(response.body) if response.headers.get("content-encoding") == "gzip" else response.body
    length = response.headers.get("inference-header-content-length")
    document = json.loads(body if length is None else body[: int(length)])
    if isinstance(document["outputs"], dict):
        return {name: np.array(values, np.float32) for name, values in document["outputs"].items()}
    at, found = int(length or 0), {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.array(output["data"], np.float32).reshape(output["shape"])
        else:
            found[output["name"]] = np.frombuffer(body, np.float32, size // 4, at).reshape(output["shape"])
            at += size
    return found


# --- right questions


def _rows(random: Random, most_rows: int, widths: tuple[int, int]) -> Array:
    shape = random.randint(1, most_rows), random.randint(*widths)
    values = np.random.default_rng(random.getrandbits(32)).normal(size=shape)
    return np.asarray(values.round(4), np.float32)


def _document(rows: Array, **fields: Any) -> bytes:
    values = [float(text) for text in map(str, rows.ravel())]
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": values}
    return json.dumps({"inputs": [tensor], **fields}).encode()


def _binary(rows: Array, *, size: int | None = None, answer_binary: bool = True) -> tuple[bytes, int]:
    size = rows.nbytes if size is None else size
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": answer_binary}}).encode()
    return head + rows.tobytes(), len(head)


def compressed(body: bytes, coding: str) -> bytes:
    """`coding` is gzip or deflate. Without a time in it, so that a seed gives the same bytes again."""
    return gzip.compress(body, mtime=0) if coding == "gzip" else zlib.compress(body)


def _json_of(most_rows: int, *widths: int, accept_encoding: str | None = None) -> Callable[[Random], Message]:
    def make(random: Random) -> Message:
        rows = _rows(random, most_rows, (widths[0], widths[1]))
        return Message(request_bytes(INFER, _document(rows), accept_encoding=accept_encoding), rows)

    return make


def _binary_of(most_rows: int, *widths: int) -> Callable[[Random], Message]:
    def make(random: Random) -> Message:
        rows = _rows(random, most_rows, (widths[0], widths[1]))
        body, length = _binary(rows, answer_binary=random.random() < 0.9 or rows.size > 10_000)
        return Message(request_bytes(INFER, body, inference_header_content_length=length), rows)

    return make


def _plain(random: Random) -> Message:
    rows = _rows(random, 8, (1, 128))
    body = json.dumps({"inputs": rows.tolist()}).encode()
    return Message(request_bytes("/predict", body, content_type="application/json"), rows)


def _compressed(random: Random) -> Message:
    rows = _rows(random, 16, (1, 256))
    coding = random.choice(["gzip", "deflate"])
    return Message(request_bytes(INFER, compressed(_document(rows), coding), content_encoding=coding), rows)


def _in_chunks(random: Random) -> Message:
    rows = _rows(random, 8, (1, 128))
    return Message(request_bytes(INFER, _document(rows), chunk=random.randint(1, 700)), rows)


def _ahead(random: Random) -> Message:
    rows = _rows(random, 4, (1, 64))
    answers = random.randint(2, 5)
    return Message(request_bytes(INFER, _document(rows)) * answers, rows, answers)


def _asking_about_it(random: Random) -> Message:
    paths = ("/v2", f"/v2/models/{NAME}", f"/v2/models/{NAME}/stats", "/v2/health/ready", "/openapi.json", "/")
    return Message(request_bytes(random.choice(paths), method="GET"))


# --- wrong ones


def _spoilt_json(random: Random) -> Message:
    body = _document(_rows(random, 4, (1, 64)))
    at = random.randrange(len(body))
    spoilt = random.choice(
        [body[:at], body[:at] + b"}", body + b"]", b"[" * 2000, b"\xff\xfe" + body, b"", b"{}", b"7"]
    )
    return Message(request_bytes(random.choice([INFER, "/predict"]), spoilt))


def _wrong_tensor(random: Random) -> Message:
    rows = _rows(random, 4, (2, 64))
    document = json.loads(_document(rows))
    tensor = document["inputs"][0]
    wrong: dict[str, Any] = random.choice(
        [{"shape": [7, 7, 7]}, {"shape": [-1]}, {"shape": [2**62, 4]}, {"datatype": "INT64"}, {"name": "y"},
         {"data": ["a"]}, {"data": [[1], [2, 3]]}, {"data": None}, {"shape": "all"}, {"datatype": 3}]
    )  # fmt: skip
    return Message(request_bytes(INFER, json.dumps({"inputs": [tensor | wrong]}).encode()))


def _wrong_binary(random: Random) -> Message:
    rows = _rows(random, 4, (2, 64))
    body, length = _binary(rows, size=random.choice([0, 1, rows.nbytes - 4, rows.nbytes + 1, 2**40, -1]))
    if random.random() < 0.5:
        body, length = _binary(rows)
        length += random.choice([-3, 1, 10**6])
    return Message(request_bytes(INFER, body, inference_header_content_length=length))


def _nowhere(random: Random) -> Message:
    path = random.choice(["/nowhere", "/v2/models/other/infer", f"/v2/models/{NAME}/versions/9/infer", "/%00", "/v2/x"])
    return Message(request_bytes(path, _document(_rows(random, 1, (1, 8)))))


def _wrong_method(random: Random) -> Message:
    return Message(request_bytes(INFER, method=random.choice(["GET", "PUT", "DELETE", "PATCH"])))


def _said_too_large(_random: Random) -> Message:
    return Message(request_bytes(INFER, b"{", content_length=10 * BODY_LIMIT))


def _sent_too_large(_random: Random) -> Message:
    return Message(request_bytes(INFER, b" " * (BODY_LIMIT + 2**16), chunk=2**16))


def _bomb(_random: Random) -> Message:
    return Message(request_bytes(INFER, gzip.compress(b" " * BOMB_BYTES), content_encoding="gzip"))


def _spoilt_gzip(random: Random) -> Message:
    body = gzip.compress(_document(_rows(random, 2, (1, 64))))
    spoilt = random.choice([body[:-6], body + b"x", b"\x1f\x8b" + body[9:], b"plain"])
    return Message(request_bytes(INFER, spoilt, content_encoding="gzip"))


def _unknown_coding(random: Random) -> Message:
    return Message(request_bytes(INFER, b"{}", content_encoding=random.choice(["br", "zstd", "gzip, gzip"])))


def _large_head(random: Random) -> Message:
    if random.random() < 0.5:
        return Message(request_bytes(INFER, b"{}", x_much="x" * 40_000))
    return Message(request_bytes("/" + "x" * 9000, b"{}"))


def _random_bytes(random: Random) -> Message:
    return Message(random.randbytes(random.randint(4, 3000)) + b"\r\n\r\n")


def _cut(end: End, whole: bool) -> Callable[[Random], Message]:
    """The client goes after all of its request, or after some of it."""

    def make(random: Random) -> Message:
        data = request_bytes(INFER, _document(_rows(random, 16, (1, 600))))
        kept = data if whole else data[: random.randint(1, len(data) - 1)]
        return Message(kept, answers=0, end=end)

    return make


OK = frozenset({200})
BAD = frozenset({400})


def _statuses(*codes: int) -> frozenset[int]:
    return frozenset(codes)


GOOD_KINDS = (
    Kind("JSON, one row", 30, OK, _json_of(1, 1, 64), 400),
    Kind("JSON, up to 16 rows", 13.5, OK, _json_of(16, 1, 256), 300),
    Kind("binary, up to 16 rows", 15, OK, _binary_of(16, 1, 512), 400),
    Kind("binary, up to 4 MB", 1, OK, _binary_of(64, 2000, 16_000), 12),
    Kind("binary, up to 12 MB", 0.1, OK, _binary_of(150, 10_000, 20_000), 3),
    Kind("JSON, large, through the threads", 1, OK, _json_of(100, 200, 700), 20),
    Kind("JSON, large, answer compressed", 0.4, OK, _json_of(60, 200, 500, accept_encoding="gzip"), 10),
    Kind("/predict", 12, OK, _plain, 300),
    Kind("compressed body", 7, OK, _compressed, 200),
    Kind("in chunks", 4, OK, _in_chunks),
    Kind("several ahead", 3, OK, _ahead),
    Kind("metadata, statistics, documents", 3, OK, _asking_about_it, 30),
)
BAD_KINDS = (
    Kind("spoilt JSON", 2, BAD, _spoilt_json),
    Kind("wrong tensor", 1.5, BAD, _wrong_tensor),
    Kind("wrong binary sizes", 1, BAD, _wrong_binary),
    Kind("unknown path or model", 0.5, _statuses(404), _nowhere),
    Kind("wrong method", 0.4, _statuses(405), _wrong_method, 10),
    Kind("too large by its length", 0.4, _statuses(413), _said_too_large, 1),
    Kind("too large by its bytes", 0.03, _statuses(413, 429), _sent_too_large, 1),
    Kind("compressed bomb", 0.1, _statuses(413), _bomb, 1),
    Kind("spoilt gzip", 0.5, BAD, _spoilt_gzip, 20),
    Kind("unknown coding", 0.3, _statuses(415), _unknown_coding, 5),
    Kind("large head", 0.3, _statuses(431, 414), _large_head, 10),
    Kind("garbage", 1, BAD, _random_bytes),
    Kind("cut off, then closed", 0.5, frozenset(), _cut(End.CLOSE, whole=False), 60),
    Kind("cut off, then half closed", 0.3, frozenset(), _cut(End.HALF_CLOSE, whole=False), 60),
    Kind("whole, then gone", 0.5, frozenset(), _cut(End.CLOSE, whole=True), 60),
    Kind("whole, then reset", 0.7, frozenset(), _cut(End.RESET, whole=True), 60),
)
