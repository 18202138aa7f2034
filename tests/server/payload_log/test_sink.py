"""The sink's client on a real socket."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import free_port
from tidegate_server.payload_log.events import HttpMessage
from tidegate_server.payload_log.sink import Sink, SinkFailed

MESSAGE = HttpMessage({"ce-id": "7", "content-type": "application/json"}, b"{}")


class Receiver(BaseHTTPRequestHandler):
    """Takes events, answers `server.status`, and ends its connection after each if told so."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((self.path, self.headers["ce-id"], body, self.client_address[1]))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()
        # Without a word: the next event meets a connection that is gone.
        self.close_connection = self.server.closes

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    server.taken, server.status, server.closes = [], 202, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def sink(receiver: Any) -> Iterator[Sink]:
    sink = Sink(f"http://127.0.0.1:{receiver.server_port}/events?a=b")
    yield sink
    sink.close()


def test_events_go_over_one_connection(receiver: Any, sink: Sink) -> None:
    for _ in range(3):
        sink.post(MESSAGE)
    assert [each[:3] for each in receiver.taken] == [("/events?a=b", "7", b"{}")] * 3
    assert len({port for *_, port in receiver.taken}) == 1


def test_a_connection_that_was_closed_meanwhile_costs_no_event(receiver: Any, sink: Sink) -> None:
    receiver.closes = True
    for _ in range(3):
        sink.post(MESSAGE)
    assert len(receiver.taken) == 3


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_no_yes_is_a_failure(receiver: Any, sink: Sink, status: int) -> None:
    receiver.status = status
    with pytest.raises(SinkFailed) as failed:
        sink.post(MESSAGE)
    assert (str(failed.value), len(receiver.taken)) == (f"it answered {status}", 1)


def test_a_sink_that_is_away_is_named_without_its_address() -> None:
    with pytest.raises(SinkFailed) as failed:
        Sink(f"http://127.0.0.1:{free_port()}/secret").post(MESSAGE)
    assert str(failed.value) == "it can't be reached (ConnectionRefusedError)"
