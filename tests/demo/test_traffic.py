"""The load keeps its schedule whatever the server does, and calls every end by its name."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from tests.demo.servers import http_answer, http_server
from tidegate_demo import files, load
from tidegate_demo.records import Outcome, Request, outcome
from tidegate_demo.traffic import Orders
from tidegate_demo.wire import BrokenAnswerError, parse_answer

REVISION = "digits-00000001"
FIVE = json.dumps({"outputs": {"label": [5]}})
ANSWERS = {REVISION: (5, 5, 5)}


def orders(folder: Path, port: int, rate: float = 100, seconds: float = 1.0, timeout: float = 5.0) -> Orders:
    return Orders(
        address="127.0.0.1",
        port=port,
        host="digits.demo",
        path="/predict",
        images_file=str(_three_images(folder / "images.json")),
        records_file=str(folder / "requests.jsonl"),
        rate=rate,
        max_seconds=seconds,
        timeout=timeout,
    )


def _three_images(path: Path) -> Path:
    path.write_text(json.dumps([[ink] * 64 for ink in (1, 2, 3)]))
    return path


def run_to_its_end(given: Orders) -> list[Request]:
    running = load.start(given)
    running.process.wait(timeout=30)
    running.stop()
    return sorted(running.requests, key=lambda request: request.scheduled)


def test_every_request_is_scheduled_at_its_time_and_counted_once(tmp_path: Path) -> None:
    with http_server(lambda number, path: http_answer(200, FIVE, REVISION)) as port:
        seen = run_to_its_end(orders(tmp_path, port))
    offsets = [request.scheduled - seen[0].scheduled for request in seen]
    assert offsets == pytest.approx([number / 100 for number in range(100)], abs=1e-4)
    assert [request.image for request in seen[:4]] == [0, 1, 2, 0]
    assert {outcome(request, ANSWERS) for request in seen} == {Outcome.OK}


def test_every_third_request_has_a_connection_of_its_own_where_that_is_ordered(tmp_path: Path) -> None:
    of_connection: dict[int, list[str]] = {}

    class Model(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            of_connection.setdefault(self.client_address[1], []).append(self.headers["Connection"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(http_answer(200, FIVE, REVISION))

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server, files.running(server) as address:
        port = int(address.rpartition(":")[2])
        seen = run_to_its_end(replace(orders(tmp_path, port, rate=60), fresh_every=3))
    asked = Counter(map(tuple, of_connection.values()))
    assert asked.pop(("close",)) == 20
    assert {each for connection in asked for each in connection} == {"keep-alive"}
    assert {outcome(request, ANSWERS) for request in seen} == {Outcome.OK}


def test_a_server_that_stalls_delays_no_send_and_its_latency_shows_in_full(tmp_path: Path) -> None:
    with http_server(lambda number, path: http_answer(200, FIVE, REVISION), stall=0.7) as port:
        seen = run_to_its_end(orders(tmp_path, port))
    assert len(seen) == 100
    assert max(request.sent_after for request in seen) < 0.35
    assert min(request.answered_after for request in seen) > 0.69


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(http_answer(200, FIVE, REVISION), Outcome.OK, id="the digit that the model gives is ok"),
        pytest.param(http_answer(200, FIVE.replace("5", "7"), REVISION), Outcome.WRONG, id="another digit is wrong"),
        pytest.param(http_answer(200, "{}", REVISION), Outcome.WRONG, id="an answer without a digit is wrong"),
        pytest.param(http_answer(500, "{}", REVISION), Outcome.MODEL_ERROR, id="500 from a revision is its own error"),
        pytest.param(http_answer(500, "{}"), Outcome.LOST, id="500 from nobody is lost"),
        pytest.param(http_answer(502, "{}", REVISION), Outcome.LOST, id="502 is lost"),
        pytest.param(http_answer(503, "{}", REVISION), Outcome.LOST, id="503 is lost"),
        pytest.param(http_answer(504, "{}", REVISION), Outcome.LOST, id="504 is lost"),
        pytest.param(http_answer(404, "{}"), Outcome.LOST, id="404 is lost"),
        pytest.param(None, Outcome.LOST, id="a connection that is closed is lost"),
        pytest.param(b"HELLO\r\n\r\n", Outcome.LOST, id="no HTTP is lost"),
    ],
)
def test_an_end_has_its_name(tmp_path: Path, answer: bytes | None, expected: Outcome) -> None:
    with http_server(lambda number, path: answer) as port:
        seen = run_to_its_end(orders(tmp_path, port, rate=20, seconds=0.5))
    assert [outcome(request, ANSWERS) for request in seen] == [expected] * 10


def test_a_server_that_never_answers_is_a_timeout_and_lost(tmp_path: Path) -> None:
    with http_server(lambda number, path: None, stall=60) as port:
        seen = run_to_its_end(orders(tmp_path, port, rate=20, seconds=0.5, timeout=0.5))
    assert {(request.status, request.fault) for request in seen} == {(0, "timeout")}
    assert all(0.4 < request.answered_after < 2 for request in seen)


def test_a_port_where_nobody_listens_loses_every_request_and_ends(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        seen = run_to_its_end(orders(tmp_path, unused.getsockname()[1], rate=20, seconds=0.5))
    assert [request.fault for request in seen] == ["refused"] * 10


def test_the_load_ends_when_its_parent_closes_its_stdin_and_what_was_sent_is_told(tmp_path: Path) -> None:
    with http_server(lambda number, path: http_answer(200, FIVE, REVISION), stall=0.2) as port:
        running = load.start(orders(tmp_path, port, seconds=600))
        deadline = time.monotonic() + 20
        while not running.requests and time.monotonic() < deadline:
            running.read_more()
            time.sleep(0.02)
        running.stop()
    assert running.process.returncode == 0
    images = [request.image for request in sorted(running.requests, key=lambda request: request.scheduled)]
    assert images == [number % 3 for number in range(len(images))]
    assert {request.status for request in running.requests} == {200}


@pytest.mark.parametrize(
    ("received", "body"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"{}", id="a length that is there in full"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", None, id="a length that isn't there yet"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", None, id="half a head"),
        pytest.param(b"HTTP/1.1 204 None\r\n\r\n", b"", id="no length is no body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n",
            b"{}",
            id="chunks",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\r\n", None, id="half a chunk"),
    ],
)
def test_answers_are_read_whole_or_not_yet(received: bytes, body: bytes | None) -> None:
    answer = parse_answer(received)
    assert (answer.body if answer else None) == body


def test_bytes_that_are_no_answer_are_refused() -> None:
    with pytest.raises(BrokenAnswerError, match="not an HTTP answer"):
        parse_answer(b"SSH-2.0-OpenSSH\r\n\r\n")
