"""Large files come over several connections at once: all of them, in less time, resumed, and never of two versions."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.server.fetch.conftest import Bring
from tests.small_http import listening
from tidegate_server.fetch import parts
from tidegate_server.fetch.partial_downloads import PartRecord
from tidegate_server.fetch.parts import PIECE_BYTES, Parts

PART = 4 * PIECE_BYTES
PROBE = "bytes=0-0"


@dataclass
class Origin:
    """A server with ranges. `rate`: bytes a second of each connection; None is as fast as it goes.

    `breaks`: after how many bytes the next answers end, once each. `most_at_once`: connections; others get a 503.
    """

    content: bytes = b""
    tag: str = '"1"'
    rate: float | None = None
    breaks: list[int] = field(default_factory=list)
    gathers: threading.Barrier | None = None
    """Where the answers about parts that break wait for each other: none takes over what another left."""
    most_at_once: int = 99
    honours_ranges: bool = True
    changes_at: int | None = None
    """Of the answers, from which on there is another file."""
    ranges: list[str | None] = field(default_factory=list)
    at_once: int = 0
    peak: int = 0
    uri: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def origin(big: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    monkeypatch.setattr(parts, "LEAST_PART_BYTES", PART)
    state = Origin(big.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with state.lock:
                state.ranges.append(self.headers["Range"])
                state.at_once += 1
                state.peak = max(state.peak, state.at_once)
                refused = state.at_once > state.most_at_once
                # Here, as a client with the head of this answer may be asking for more already.
                broken = state.breaks.pop(0) if state.breaks and not refused else None
                if state.changes_at is not None and len(state.ranges) > state.changes_at:
                    state.tag, state.content = '"2"', state.content[::-1]
                    state.changes_at = None
            try:
                if broken is not None and state.gathers and self.headers["Range"]:
                    state.gathers.wait(30)
                if refused:
                    self.send_error(503)
                else:
                    self._answer(broken)
            except OSError:
                pass  # the client has what it wanted
            finally:
                with state.lock:
                    state.at_once -= 1

        def _answer(self, broken: int | None) -> None:
            span, size = self.headers["Range"], len(state.content)
            fits = state.honours_ranges and self.headers.get("If-Range", state.tag) == state.tag
            begin, end = 0, size
            if span and fits:
                first, last = span.removeprefix("bytes=").split("-")
                begin, end = int(first), int(last or size - 1) + 1
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", state.tag)
            self.send_header("Content-Length", str(end - begin))
            self.end_headers()
            self._write(state.content[begin:end][:broken])

        def _write(self, body: bytes) -> None:
            step = len(body) if state.rate is None else 2**16
            for at in range(0, len(body), step or 1):
                self.wfile.write(body[at : at + step])
                if state.rate is not None:
                    sleep(step / state.rate)

    with listening(Handler) as port:
        state.uri = f"http://127.0.0.1:{port}/m.onnx"
        yield state


def brought(bring: Bring, origin: Origin, **environment: str) -> tuple[str, bool]:
    """The reason, and whether what is there is what the server has."""
    ended = bring(origin.uri, **environment)
    path = ended.folder / "model.onnx"
    if ended.reason != "brought":
        return ended.reason, False
    assert ended.left == ["model.onnx"]
    assert ended.report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    return ended.reason, path.read_bytes() == origin.content


def test_parts_come_at_once_and_make_the_file(bring: Bring, origin: Origin) -> None:
    assert brought(bring, origin) == ("brought", True)
    assert (origin.ranges[0], 2 <= origin.peak <= 5) == (None, True)
    wanted = [f"bytes={at}-{min(at + PART, len(origin.content)) - 1}" for at in range(0, len(origin.content), PART)]
    assert sorted(origin.ranges[1:], key=str) == sorted(wanted)


def test_four_connections_are_faster_where_each_is_slow(bring: Bring, origin: Origin, tmp_path: Path) -> None:
    origin.rate = 20e6
    seconds = {}
    for connections in ("1", "4"):
        (tmp_path / "models" / "model.onnx").unlink(missing_ok=True)
        began = monotonic()
        assert brought(bring, origin, TIDEGATE_FETCH_CONNECTIONS=connections) == ("brought", True)
        seconds[connections] = monotonic() - began
    assert seconds["1"] > 1.5 * seconds["4"], seconds


def test_a_small_file_and_one_connection_are_one_stream(bring: Bring, origin: Origin, linear: Path) -> None:
    assert brought(bring, origin, TIDEGATE_FETCH_CONNECTIONS="1") == ("brought", True)
    origin.content, origin.tag = linear.read_bytes(), '"small"'
    assert brought(bring, origin) == ("brought", True)
    assert origin.ranges == [None, None]


def test_a_broken_connection_gives_its_part_back_to_the_others(bring: Bring, origin: Origin) -> None:
    origin.breaks = [len(origin.content), PIECE_BYTES + 7]
    assert brought(bring, origin, TIDEGATE_FETCH_RETRY_SECONDS="0") == ("brought", True)
    assert any(
        span and int(span.removeprefix("bytes=").split("-")[0]) % PART == PIECE_BYTES + 7 for span in origin.ranges
    )


def test_a_server_that_takes_fewer_connections_gets_fewer(bring: Bring, origin: Origin) -> None:
    origin.most_at_once, origin.rate = 2, 40e6
    assert brought(bring, origin, TIDEGATE_FETCH_RETRY_SECONDS="5") == ("brought", True)


def test_the_next_container_brings_only_what_is_missing(bring: Bring, origin: Origin) -> None:
    origin.breaks, origin.gathers = [len(origin.content), *[3 * PIECE_BYTES] * 4], threading.Barrier(4)
    assert brought(bring, origin, TIDEGATE_FETCH_RETRY_SECONDS="0") == ("Unreachable", False)
    asked = len(origin.ranges)
    assert brought(bring, origin, TIDEGATE_FETCH_RETRY_SECONDS="0") == ("brought", True)
    assert origin.ranges[asked] == PROBE
    spans = [span.removeprefix("bytes=").split("-") for span in origin.ranges[asked + 1 :] if span]
    assert sum(int(last) + 1 - int(first) for first, last in spans) == len(origin.content) - 4 * 3 * PIECE_BYTES


def test_a_file_that_changes_meanwhile_starts_over_and_is_never_of_two(bring: Bring, origin: Origin) -> None:
    old = origin.content
    origin.changes_at = 4
    ended = bring(origin.uri)
    # Reversed it is no model any more; but it is all of one version that was looked at.
    assert (ended.reason, origin.content) == ("NotOnnx", old[::-1])
    assert (origin.ranges.count(None), PROBE in origin.ranges) == (1, True)


def test_a_server_that_says_ranges_and_gives_none_is_one_stream(bring: Bring, origin: Origin) -> None:
    origin.honours_ranges = False
    assert brought(bring, origin) == ("brought", True)
    assert origin.ranges[-1] is None


def test_a_part_that_is_cut_short_is_told(bring: Bring, origin: Origin) -> None:
    origin.breaks = [len(origin.content), *[5] * 40]
    ended = bring(origin.uri, TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (ended.reason, ended.report["permanent"]) == ("Unreachable", False)
    assert "cut short" in ended.report["message"] or "connection broke" in ended.report["message"]


def test_a_wrong_digest_is_told_and_nothing_is_left(bring: Bring, origin: Origin) -> None:
    ended = bring(origin.uri, TIDEGATE_MODEL_SHA256="0" * 64)
    assert (ended.reason, ended.left) == ("WrongDigest", [])


@pytest.mark.parametrize(
    ("part_bytes", "reached", "expected"),
    [
        pytest.param(10, [5, 10, 25], Parts(25, 10, [5, 10, 25]), id="as it was"),
        pytest.param(10, [5, 10], None, id="of another size"),
        pytest.param(10, [5, 21, 25], None, id="beyond its end"),
        pytest.param(10, [5, 9, 25], None, id="before its begin"),
        pytest.param(0, [5], None, id="nonsense"),
        pytest.param(None, None, None, id="one stream"),
    ],
)
def test_a_record_is_believed_only_where_it_fits(
    part_bytes: int | None, reached: list[int] | None, expected: Parts | None
) -> None:
    record = PartRecord("https://x", '"1"', None, part_bytes, reached)
    assert Parts.recorded(PartRecord(**json.loads(json.dumps(record.__dict__))), 25) == expected
