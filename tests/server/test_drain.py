"""SIGTERM: not ready at once, still serving, and no request lost."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tidegate_server.drain import Drain, DrainPolicy

ROW = b"[[0,5,1,0]]"


@pytest.mark.parametrize(
    ("now", "busy", "over"),
    [
        pytest.param(104.9, False, False, id="idle but too early"),
        pytest.param(105.0, False, True, id="idle after the least time"),
        pytest.param(124.9, True, False, id="busy before the deadline"),
        pytest.param(125.0, True, True, id="busy at the deadline"),
    ],
)
def test_a_drain_ends_when_nothing_is_in_flight_or_at_the_deadline(now: float, busy: bool, over: bool) -> None:
    drain = Drain(DrainPolicy(min_seconds=5, max_seconds=25))
    drain.begin(100.0)
    drain.begin(101.0)
    assert drain.is_over(now, busy) is over


def test_a_server_that_was_told_nothing_never_ends() -> None:
    assert not Drain(DrainPolicy(5, 25)).is_over(1e9, False)


def test_sigterm_under_load_loses_no_request(start: Any, linear: Path) -> None:
    server = start(linear, TIDEGATE_DRAIN_SECONDS="3")
    running, stop = threading.Event(), threading.Event()
    loads = [_Load(server.connect, stop, running) for _ in range(6)]
    for load in loads:
        load.start()
    assert running.wait(20)
    with closing(server.connect()) as idle:
        idle.request("GET", "/v2/health/ready")
        idle.getresponse().read()
        server.terminate()
        signalled = monotonic()
        ready = _status_after_signal(server)
        # A connection kept alive from before the signal is served too, and told to go.
        idle.request("POST", "/predict", ROW)
        answer = idle.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        answer.read()
    while monotonic() < signalled + 1.5:
        assert server.ask("POST", "/predict", ROW).status == 200
    stop.set()
    for load in loads:
        load.join(20)
    assert server.exit_code() == 0
    assert monotonic() - signalled >= 2.9
    assert ready == 503
    assert [load.failures for load in loads] == [[]] * 6
    assert sum(load.answered for load in loads) > 100
    assert all(load.told_to_close > 0 for load in loads)


def _status_after_signal(server: Any) -> int:
    deadline = monotonic() + 1
    while (status := server.ask("GET", "/v2/health/ready").status) == 200 and monotonic() < deadline:
        pass
    return int(status)


class _Load(threading.Thread):
    """Asks again and again on one connection, and opens another when told to."""

    def __init__(self, connect: Callable[[], HTTPConnection], stop: threading.Event, running: threading.Event) -> None:
        super().__init__(daemon=True)
        self._connect, self._stop_asking, self._is_running = connect, stop, running
        self.answered = self.told_to_close = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self._stop_asking.is_set():
            with closing(self._connect()) as connection:
                self._use(connection)

    def _use(self, connection: HTTPConnection) -> None:
        while not self._stop_asking.is_set():
            try:
                connection.request("POST", "/predict", ROW)
                response = connection.getresponse()
                body = response.read()
            except OSError as error:
                self.failures.append(repr(error))
                return
            self._check(response.status, body)
            if response.getheader("Connection") == "close":
                self.told_to_close += 1
                return

    def _check(self, status: int, body: bytes) -> None:
        if status != 200 or json.loads(body)["outputs"]["label"] != [1]:
            self.failures.append(f"{status} {body!r}")
        self.answered += 1
        if self.answered == 20:
            self._is_running.set()


def test_a_request_in_flight_outlives_the_drains_least_time(start: Any, slow: Path) -> None:
    server = start(slow)
    with closing(server.connect()) as connection:
        began = monotonic()
        connection.request("POST", "/predict", b'{"inputs": 2000000}')
        _wait_for_in_flight(server)
        server.terminate()
        response = connection.getresponse()
        took = monotonic() - began
        answer = json.loads(response.read())
        assert (response.status, response.getheader("Connection")) == (200, "close")
        assert answer["outputs"] == {"total": [2000000.0]}
    assert took > 0.2  # else it wasn't in flight, and this test shows nothing
    assert server.exit_code() == 0


def test_the_deadline_ends_a_server_with_a_request_in_flight(start: Any, slow: Path) -> None:
    server = start(slow, TIDEGATE_DRAIN_DEADLINE_SECONDS="0.5")
    with closing(server.connect()) as connection:
        connection.request("POST", "/predict", b'{"inputs": 1000000000}')
        _wait_for_in_flight(server)
        server.terminate()
        assert server.exit_code(5) == 0
    assert "deadline" in server.log


def _wait_for_in_flight(server: Any) -> None:
    deadline = monotonic() + 5
    while 'in_flight{model_deployment="shop/digits",revision="digits-6f9c1d2e"} 1.0' not in server.metrics():
        assert monotonic() < deadline
