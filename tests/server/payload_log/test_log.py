"""The log never waits: what doesn't fit or isn't taken is dropped, counted and told."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Event as Flag
from time import monotonic, sleep
from typing import Any

import pytest

from tidegate_server.payload_log.events import HttpMessage, Origin
from tidegate_server.payload_log.log import MAX_EVENTS, Exchange, Payload, PayloadLog
from tidegate_server.payload_log.settings import LogSettings
from tidegate_server.payload_log.sink import Sink, SinkFailed

SETTINGS = LogSettings("http://sink")
ORIGIN = Origin("shop", "digits", "r1")
EXCHANGE = Exchange(
    0.5,
    200,
    Payload(b'{"inputs": 1}', "application/json"),
    Payload(b'{"outputs": 2}', "application/json"),
    id="mine",
)


class FakeSink(Sink):
    """Takes events while it is open; fails on its first ones if told so."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__("http://sink")
        self.taken: list[HttpMessage] = []
        self.open, self.met = Flag(), Flag()
        self.open.set()
        self._failures = failures

    def post(self, message: HttpMessage) -> None:
        self.met.set()
        self.open.wait(10)
        if self._failures:
            self._failures -= 1
            raise SinkFailed("it answered 500")
        self.taken.append(message)


@pytest.fixture
def opened() -> Iterator[Any]:
    """Logs that end with the test, at second 100."""
    logs = []

    def begin(sink: FakeSink, settings: LogSettings = SETTINGS, max_bytes: int = 10**6, drawn: float = 0) -> PayloadLog:
        logs.append((PayloadLog(settings, ORIGIN, max_bytes, sink, lambda: drawn, lambda: 100.0), sink))
        return logs[-1][0]

    yield begin
    for log, sink in logs:
        sink.open.set()
        log.close()


def until(true: Any) -> None:
    deadline = monotonic() + 5
    while not true():
        assert monotonic() < deadline
        sleep(0.005)


def test_a_request_and_its_answer_are_two_events_of_one_id(opened: Any) -> None:
    sink = FakeSink()
    log = opened(sink)
    log.write(EXCHANGE)
    until(lambda: log.sent == 2)
    said = [
        (each.headers["ce-type"].rpartition(".")[2], each.headers["ce-id"], each.headers["ce-time"], each.body)
        for each in sink.taken
    ]
    assert said == [
        ("request", "mine", "1970-01-01T00:01:39.500000+00:00", b'{"inputs": 1}'),
        ("response", "mine", "1970-01-01T00:01:40.000000+00:00", b'{"outputs": 2}'),
    ]


@pytest.mark.parametrize(
    ("mode", "status", "kinds"),
    [
        ("all", 200, ["request", "response"]),
        ("all", 400, ["request"]),
        ("request", 200, ["request"]),
        ("response", 200, ["response"]),
        ("response", 500, []),
    ],
)
def test_only_what_the_mode_says_and_only_good_answers_are_logged(
    opened: Any, mode: Any, status: int, kinds: list[str]
) -> None:
    sink = FakeSink()
    log = opened(sink, replace(SETTINGS, mode=mode))
    log.write(replace(EXCHANGE, status=status))
    log.close()
    assert [each.headers["ce-type"].rpartition(".")[2] for each in sink.taken] == kinds


def test_what_strangers_send_is_never_drawn(opened: Any) -> None:
    log = opened(FakeSink(), replace(SETTINGS, ratio=0.5), drawn=0.49)
    assert [log.wants(status) for status in (200, 400, 401, 403)] == [True, True, False, False]
    assert not opened(FakeSink(), replace(SETTINGS, ratio=0.5), drawn=0.5).wants(200)
    assert not opened(FakeSink(), replace(SETTINGS, ratio=0.0)).wants(200)


def test_ids_of_clients_that_cannot_be_told_are_replaced(opened: Any) -> None:
    sink = FakeSink()
    log = opened(sink, replace(SETTINGS, mode="request"))
    for name in (None, "", "a\r\nb: c", "é", "x" * 129):
        log.write(replace(EXCHANGE, id=name))
    until(lambda: log.sent == 5)
    assert len({each.headers["ce-id"] for each in sink.taken}) == 5
    assert all(len(each.headers["ce-id"]) == 36 for each in sink.taken)


def test_a_large_body_is_left_out_and_its_size_told(opened: Any) -> None:
    sink = FakeSink()
    log = opened(sink, replace(SETTINGS, mode="request", max_body_bytes=12))
    log.write(EXCHANGE)
    until(lambda: log.sent == 1)
    assert (sink.taken[0].body, sink.taken[0].headers["ce-omittedbytes"]) == (b"", "13")


def test_a_sink_that_hangs_keeps_nobody_waiting_and_a_bounded_number_of_events(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink = FakeSink()
    sink.open.clear()
    log = opened(sink)
    log.write(EXCHANGE)
    assert sink.met.wait(5)
    for _ in range(2000):
        log.write(EXCHANGE)  # the sink takes nothing before all are written
    assert log.dropped == 2 * 2001 - 1 - (MAX_EVENTS - 1)
    sink.open.set()
    until(lambda: log.sent == MAX_EVENTS)
    assert caplog.messages == [
        "3002 bodies of requests and answers weren't logged; they came faster than the sink takes them"
    ]


def test_bodies_that_wait_are_bounded_in_bytes(opened: Any) -> None:
    sink = FakeSink()
    sink.open.clear()
    log = opened(sink, max_bytes=100)
    log.write(EXCHANGE)
    assert sink.met.wait(5)
    for _ in range(10):
        log.write(EXCHANGE)
    assert log.dropped == 2 * 7


def test_a_sink_that_fails_is_tried_again_and_said_once(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    sink = FakeSink(failures=1)
    log = opened(sink)
    log.write(EXCHANGE)
    until(lambda: log.sent == 1)
    assert (log.sent, log.dropped) == (1, 1)
    assert caplog.messages == ["1 bodies of requests and answers weren't logged; TIDEGATE_LOG_SINK: it answered 500"]


def test_events_that_wait_share_a_batch(opened: Any) -> None:
    sink = FakeSink()
    sink.open.clear()
    log = opened(sink, replace(SETTINGS, format="batch"))
    log.write(EXCHANGE)
    assert sink.met.wait(5)
    for _ in range(60):
        log.write(EXCHANGE)
    sink.open.set()
    until(lambda: log.sent == 122)
    assert len(sink.taken) == 3
