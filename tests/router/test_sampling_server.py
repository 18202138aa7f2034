"""Whoever has the key gets counters; nobody else gets any, or keeps the port from those who do."""

import contextlib
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.router.conftest import Well, until
from tidegate.errors import NotEvidence
from tidegate.resources.sampling import (
    MOST_REQUEST_BYTES,
    PATH,
    SIGNATURE,
    SamplesAnswer,
    SamplesRequest,
    read_answer,
    request_body,
    sign_request,
)
from tidegate.router import bounded_server
from tidegate.router.bounded_server import MOST_CONNECTIONS
from tidegate.router.envoy_counters import EnvoyUnavailable, Reading
from tidegate.router.key_file import KeyFile
from tidegate.router.sampling_server import NO_KEY, NOT_SIGNED, SamplingServer

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
ROUTER, NONCE = "tidegate/tidegate-router-x", "0123456789abcdef" * 2
CLUSTERS = ("shop/sentiment/sentiment-6f9c1d2e", "shop/sentiment/sentiment-81aa0b3c")
BODY = request_body(SamplesRequest(CLUSTERS, NONCE))


class FakeCounters:
    """An Envoy that has counted one thing, or doesn't answer."""

    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []
        self.trouble = ""

    def close(self) -> None:
        """There is nothing to close."""

    def read(self, clusters: Sequence[str]) -> Reading:
        if self.trouble:
            raise EnvoyUnavailable(self.trouble)
        self.asked.append(clusters)
        return Reading(1767225600.25, 1767225661.5, "envoy_x 7\n")


@dataclass(frozen=True)
class Reply:
    status: int
    signature: str
    body: bytes


@dataclass
class Agent:
    """An agent's server on a free port."""

    server: SamplingServer
    counters: FakeCounters
    key: Path

    @property
    def port(self) -> int:
        return self.server.server_port

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def ask(
        self,
        body: bytes = BODY,
        *,
        key: bytes = KEY,
        router: str = ROUTER,
        path: str = PATH,
        on: http.client.HTTPConnection | None = None,
    ) -> Reply:
        connection = on or self.connect()
        connection.request("POST", path, body, {SIGNATURE: sign_request(key, router, body)})
        response = connection.getresponse()
        reply = Reply(response.status, response.headers.get(SIGNATURE, ""), response.read())
        if on is None:
            connection.close()
        return reply


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    (tmp_path / "key").write_bytes(KEY)
    counters = FakeCounters()
    server = SamplingServer(0, Well(), ROUTER, KeyFile(tmp_path / "key"), counters)
    server.start()
    yield Agent(server, counters, tmp_path / "key")
    server.shutdown()
    server.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers have a fifth of a second."""
    monkeypatch.setattr(bounded_server, "STRANGER_SECONDS", 0.2)


def test_a_signed_question_has_a_signed_answer(agent: Agent) -> None:
    reply = agent.ask()

    assert read_answer(KEY, reply.body, reply.signature, router=ROUTER, nonce=NONCE) == SamplesAnswer(
        NONCE, ROUTER, 1767225600.25, 1767225661.5, "envoy_x 7\n"
    )
    assert agent.counters.asked == [CLUSTERS]


def test_the_answer_to_an_earlier_question_is_refused_by_who_reads_it(agent: Agent) -> None:
    recorded = agent.ask()

    with pytest.raises(NotEvidence, match="to another request"):
        read_answer(KEY, recorded.body, recorded.signature, router=ROUTER, nonce="f" * 32)


def test_one_connection_has_many_answers(agent: Agent) -> None:
    with contextlib.closing(agent.connect()) as connection:
        assert [agent.ask(on=connection).status for _ in range(3)] == [200, 200, 200]
        assert connection.sock is not None
        assert len(agent.server._open) == 1


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"key": OTHER_KEY}, id="another key"),
        pytest.param({"router": "tidegate/tidegate-router-y"}, id="another router's name"),
        pytest.param({"body": b"{}", "key": b""}, id="an empty key"),
    ],
)
def test_without_the_key_there_is_one_sentence(
    how: dict[str, str], agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        replies = [agent.ask(**how) for _ in range(3)]  # type: ignore[arg-type] # passed through

    assert replies == [Reply(401, "", NOT_SIGNED.encode())] * 3
    assert agent.counters.asked == []
    assert [record.getMessage() for record in caplog.records] == [
        "requests for counters without a valid signature: 1, the last from 127.0.0.1"
    ]


def test_without_any_signature_there_is_none(agent: Agent) -> None:
    with contextlib.closing(agent.connect()) as connection:
        connection.request("POST", PATH, BODY)

        assert connection.getresponse().status == 401


def test_a_changed_key_is_taken_and_so_is_the_one_before_it(agent: Agent) -> None:
    agent.ask()
    agent.key.write_bytes(OTHER_KEY)
    replies = [(key, agent.ask(key=key)) for key in (OTHER_KEY, KEY)]

    for key, reply in replies:
        assert read_answer(key, reply.body, reply.signature, router=ROUTER, nonce=NONCE).metrics == "envoy_x 7\n"


def test_a_router_without_a_key_says_so(agent: Agent) -> None:
    agent.key.unlink()

    assert agent.ask() == Reply(503, "", NO_KEY.encode())


def test_an_envoy_that_does_not_answer_is_told(agent: Agent) -> None:
    agent.counters.trouble = "Envoy doesn't answer: timed out"

    assert agent.ask() == Reply(503, "", b"Envoy doesn't answer: timed out")


def test_a_question_that_makes_no_sense_is_told(agent: Agent) -> None:
    with contextlib.closing(agent.connect()) as connection:
        assert agent.ask(b"{}", on=connection).status == 400
        assert agent.ask(on=connection).status == 200


def test_other_paths_have_nothing(agent: Agent) -> None:
    assert agent.ask(path="/stats").status == 404


def test_the_probe_is_answered_on_the_same_port(agent: Agent) -> None:
    with contextlib.closing(agent.connect()) as connection:
        connection.request("GET", "/healthz")
        response = connection.getresponse()

        assert (response.status, response.read()) == (200, b"all is followed")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(f"Content-Length: {MOST_REQUEST_BYTES + 1}", 413, id="too long"),
        pytest.param(f"Content-Length: {'9' * 5000}", 413, id="too long to be a number"),
        pytest.param("X: y", 411, id="of no length"),
        pytest.param("Content-Length: -1", 411, id="shorter than nothing"),
        pytest.param("Transfer-Encoding: chunked\r\nContent-Length: 5", 411, id="in chunks"),
    ],
)
def test_a_body_is_refused_before_it_is_read(headers: str, status: int, agent: Agent) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=5) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n".encode())

        assert f" {status} ".encode() in connection.recv(1000)


def send_slowly(connection: socket.socket) -> float:
    """Sends a byte now and then, until the other side hangs up. How long that took, in seconds."""
    started = time.monotonic()
    for _ in range(100):
        try:
            connection.sendall(b"X")
        except OSError:
            break
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.parametrize(
    "head", [b"POST /v1", b"POST /v1/samples HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"], ids=["head", "body"]
)
def test_a_stranger_that_sends_slowly_is_hung_up_on(head: bytes, agent: Agent, quick: None) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=5) as connection:
        connection.sendall(head)

        assert send_slowly(connection) < 2
    until(lambda: not agent.server._open, "nothing is left of it")


def test_who_has_shown_the_key_is_not_hung_up_on(agent: Agent, quick: None) -> None:
    with contextlib.closing(agent.connect()) as connection:
        agent.ask(on=connection)
        time.sleep(0.6)

        assert agent.ask(on=connection).status == 200


def test_who_holds_all_places_keeps_nobody_out(agent: Agent) -> None:
    with contextlib.ExitStack() as stack:
        operator = stack.enter_context(contextlib.closing(agent.connect()))
        assert agent.ask(on=operator).status == 200
        for _ in range(2 * MOST_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", agent.port), timeout=5))
        until(lambda: len(agent.server._open) == MOST_CONNECTIONS, "all places are taken")

        assert agent.ask().status == 200  # whoever comes new
        assert agent.ask(on=operator).status == 200  # and who was there
        assert len(agent.server._open) <= MOST_CONNECTIONS


def test_fifty_that_ask_at_once_are_all_answered(agent: Agent) -> None:
    statuses = at_once(50, lambda: agent.ask().status)

    assert statuses == [200] * 50


def at_once(number: int, ask: Callable[[], int]) -> list[int]:
    """The statuses of questions that are asked at the same moment."""
    found: list[int] = []
    barrier = threading.Barrier(number)

    def go() -> None:
        barrier.wait()
        found.append(ask())

    threads = [threading.Thread(target=go) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
