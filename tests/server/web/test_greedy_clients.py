"""Clients that send ahead, send slowly or take in slowly: what they cost the others, and what they get themselves."""

import socket
import threading
import tracemalloc
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from time import monotonic, sleep, thread_time
from typing import Any

import pytest

from tests.server.web.conftest import LIMITS, Listening, until_closed
from tests.server.web.test_connection import CLOSE, echo, head, status_and_body, until
from tidegate_server.access.principal import Principal
from tidegate_server.held_bytes import SMALL_BYTES, HeldBytes, most_held_bytes
from tidegate_server.web.known_heads import KnownHeads
from tidegate_server.web.message import Request, Respond, Response, error_response
from tidegate_server.web.request_parser import CheckHead, RequestParser

MEBIBYTE = 2**20
LONGEST_TURN_SECONDS = 0.1
OFFER = b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"


class LongestTurn:
    """CPU seconds of the event loop's longest turn: what everybody else waits at least."""

    def __init__(self, server: Listening) -> None:
        self.seconds = 0.0
        self._loop, self._began, self._ended = server.loop, 0.0, False

    def __enter__(self) -> "LongestTurn":
        self._loop.call_soon_threadsafe(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True

    def _begin(self) -> None:
        self._began = thread_time()
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = thread_time()
        self.seconds, self._began = max(self.seconds, now - self._began), now
        if not self._ended:
            self._loop.call_soon(self._turn)


def send(client: socket.socket, *pieces: bytes) -> None:
    """In a thread, as the server may not read before it has been read from."""

    def run() -> None:
        with suppress(OSError):
            for piece in pieces:
                client.sendall(piece)

    threading.Thread(target=run, daemon=True).start()


@pytest.mark.parametrize(
    ("request_sent", "count"),
    [
        pytest.param(head(b"GET /a HTTP/1.1"), 2000, id="requests"),
        pytest.param(OFFER, 2500, id="offers to upgrade"),
    ],
)
def test_two_thousand_requests_sent_ahead_are_answered_and_nobody_else_waits(
    listen: Any, caplog: pytest.LogCaptureFixture, request_sent: bytes, count: int
) -> None:
    server = listen(echo)
    with LongestTurn(server) as turn, ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect())) for _ in range(5)]
        for client in clients:
            send(client, request_sent * count + head(b"GET /last HTTP/1.1", b"Connection: close"))
        for client in clients:
            received = until_closed(client)
            assert received.count(b"HTTP/1.1 200 OK") == count + 1
            assert received.endswith(b'"at":"/last","body":""}')
    assert turn.seconds < LONGEST_TURN_SECONDS
    assert caplog.records == []


def test_of_requests_sent_ahead_sixteen_are_parsed_and_the_rest_is_not_read(listen: Any) -> None:
    held: list[tuple[Request, Respond]] = []
    server = listen(lambda request, respond: held.append((request, respond)))
    with closing(server.connect()) as client:
        send(client, head(b"GET /a HTTP/1.1") * 200_000)
        until(lambda: held)
        (connection,) = server.server._connections
        until(lambda: not connection._is_reading)
        assert 16 <= len(connection._pipelined) < 80
        assert len(connection._unparsed) < MEBIBYTE


def test_failures_of_requests_sent_ahead_fill_no_disk(listen: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request, _respond: Respond) -> None:
        raise LookupError

    received = listen(fail).raw(head(b"GET /a HTTP/1.1") * 500 + head(b"GET /a HTTP/1.1", b"Connection: close"))
    assert received.count(b"HTTP/1.1 500") == 501
    assert len(caplog.records) <= 2


def test_what_cannot_be_read_is_told_after_the_answers_that_are_owed(listen: Any) -> None:
    def later(request: Request, respond: Respond) -> None:
        server.loop.call_later(0.05, respond, Response(200, request.target))

    server = listen(later)
    received = server.raw(head(b"GET /a HTTP/1.1") + head(b"GET /b HTTP/1.1") + b"no request\r\n\r\n")
    statuses = [part.split(b" ")[1] for part in received.split(b"HTTP/1.1")[1:]]
    assert statuses == [b"200", b"200", b"400"]


def test_a_client_that_has_closed_its_half_gets_all_its_answers(listen: Any) -> None:
    def later(request: Request, respond: Respond) -> None:
        server.loop.call_later(0.01, respond, Response(200, request.target))

    server = listen(later)
    with closing(server.connect()) as client:
        client.sendall(head(b"GET /a HTTP/1.1") * 100)
        client.shutdown(socket.SHUT_WR)
        assert until_closed(client).count(b"HTTP/1.1 200 OK") == 100


def test_of_a_client_that_closes_its_connection_it_is_known_that_it_has_left(listen: Any) -> None:
    asked: list[Request] = []
    server = listen(lambda request, _: asked.append(request))
    with closing(server.connect()) as client:
        client.sendall(head(b"GET /a HTTP/1.1"))
        until(lambda: asked)
        assert not asked[0].caller.has_left
    until(lambda: asked[0].caller.has_left)


def test_while_ending_what_was_sent_ahead_is_answered_before_the_client_is_told_to_close(listen: Any) -> None:
    server = listen(echo)
    server.server.is_draining = True
    received = server.raw(head(b"GET /a HTTP/1.1") * 100)
    assert received.count(b"HTTP/1.1 200 OK") == 100
    assert received.count(b"connection: close") == 1


# --- slow readers


@pytest.mark.parametrize("draining", [False, True])
def test_an_answer_reaches_a_slow_reader_whole(listen: Any, draining: bool) -> None:
    size, pace = 12_000_000, 6_000_000
    limits = replace(LIMITS, body_seconds=10.0, linger_seconds=0.2)
    server = listen(lambda _, respond: respond(Response(200, b"x" * size)), limits)
    server.server.is_draining = draining
    with closing(server.connect()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(head(b"GET /a HTTP/1.1", b"Connection: close"))
        received, began = 0, monotonic()
        while piece := client.recv(65536):
            received += len(piece)
            assert server.server.is_busy or received >= size - 4 * MEBIBYTE
            sleep(max(0.0, began + received / pace - monotonic()))
        assert received > size
        assert monotonic() - began > 1.5
    until(lambda: not server.held.held)


def test_answers_that_nobody_takes_are_bounded(listen: Any) -> None:
    limits = replace(LIMITS, body_seconds=10.0)
    server = listen(lambda _, respond: respond(Response(200, b"x" * 8_000_000)), limits, held_bytes=20_000_000)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect())) for _ in range(30)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(head(b"GET /a HTTP/1.1"))
        until(lambda: server.held.held > 8_000_000)
        assert server.held.held <= 20_000_000
        statuses = [client.recv(12)[-3:] for client in clients]
        assert statuses.count(b"429") >= 20
        sleep(1.1)  # from now on those that take nothing in make room
        assert len(server.raw(head(b"GET /a HTTP/1.1", b"Connection: close"))) > 8_000_000
    until(lambda: not server.held.held)


def test_an_answer_that_can_never_be_held_says_so(listen: Any) -> None:
    server = listen(lambda _, respond: respond(Response(200, b"x" * 300_000)), held_bytes=200_000)
    status, body = status_and_body(server.raw(head(b"GET /a HTTP/1.1", b"Connection: close")))
    assert (status, b"300000 bytes, and this server holds 200000" in body) == (413, True)


# --- bodies


class _Context:
    limits = replace(LIMITS, body_bytes=100 * MEBIBYTE)
    check_head: CheckHead | None = None

    def __init__(self) -> None:
        self.held = HeldBytes(2**40)
        self.known_heads = KnownHeads()

    def make_room(self, _size: int) -> bool:
        return False


def test_a_body_in_tiny_chunks_takes_little_more_than_its_bytes() -> None:
    taken: list[Request] = []
    context = _Context()
    parser = RequestParser(context, taken.append, lambda: None)
    parser.feed(head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked"))
    tracemalloc.start()
    try:
        for _ in range(20):
            parser.feed(b"2\r\nab\r\n" * 2500)
        parser.feed(b"0\r\n\r\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken[0].body == b"ab" * 50_000
    assert context.held.held == 100_000
    assert peak < 4 * 100_000


def test_a_body_in_tiny_chunks_keeps_nobody_waiting(listen: Any) -> None:
    server = listen(echo, replace(LIMITS, body_bytes=4 * MEBIBYTE, body_seconds=30.0))
    with LongestTurn(server) as turn, ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect())) for _ in range(4)]
        for client in clients:
            start = head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", b"Connection: close")
            send(client, start, b"2\r\nab\r\n" * 300_000 + b"0\r\n\r\n")
        for client in clients:
            assert len(until_closed(client)) > 600_000
    assert turn.seconds < LONGEST_TURN_SECONDS


def test_bodies_count_until_they_are_answered(listen: Any) -> None:
    held: list[Respond] = []
    server = listen(lambda _, respond: held.append(respond))
    with closing(server.connect()) as client:
        client.sendall(head(b"POST /a HTTP/1.1", b"Content-Length: 90000") + b"x" * 90_000)
        until(lambda: held)
        assert server.held.held == 90_000
        server.loop.call_soon_threadsafe(held[0], Response(200, b""))
        until(lambda: server.held.held == 0)


def test_bodies_of_all_connections_together_are_bounded(listen: Any) -> None:
    server = listen(echo, held_bytes=250_000)
    with ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(closing(server.connect()))
            client.sendall(head(b"POST /a HTTP/1.1", b"Content-Length: 100000") + b"x" * 99_000)
        until(lambda: server.held.held == 198_000)
        large = head(b"POST /a HTTP/1.1", CLOSE[:-2], b"Content-Length: 90000") + b"x" * 80_000
        status, body = status_and_body(server.raw(large))
        assert (status, b"at once" in body) == (429, True)
    until(lambda: server.held.held == 0)


def test_slow_bodies_make_room_for_others_and_small_ones_need_none(listen: Any) -> None:
    limits = replace(LIMITS, body_bytes=1_000_000, body_seconds=20.0)
    server = listen(lambda _, respond: respond(Response(200, b"")), limits, held_bytes=2_000_000)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(server.connect())) for _ in range(16)]
        for client in slow:
            client.sendall(head(b"POST /slow HTTP/1.1", b"Content-Length: 200000") + b"x" * 124_000)
        until(lambda: server.held.held == 16 * 124_000)
        small, large = (
            head(b"POST /a HTTP/1.1", b"Connection: close", b"Content-Length: %d" % size) + b"x" * size
            for size in (SMALL_BYTES, 900_000)
        )
        assert server.raw(small).startswith(b"HTTP/1.1 200")
        assert server.raw(large).startswith(b"HTTP/1.1 429")
        sleep(1.1)
        assert server.raw(large).startswith(b"HTTP/1.1 200")
        assert server.raw(small).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("memory", "processes", "expected"),
    [
        pytest.param(2**30, 1, 2**28, id="a quarter of the limit"),
        pytest.param(2**30, 2, 2**27, id="shared by two processes"),
        pytest.param(2**26, 1, 2**25, id="two bodies fit always"),
        pytest.param(None, 1, 2**30, id="no limit"),
    ],
)
def test_what_may_be_held_follows_from_the_containers_memory(memory: int | None, processes: int, expected: int) -> None:
    assert most_held_bytes(memory, processes, 2**24) == expected


def test_a_thread_waits_for_room_for_a_while() -> None:
    held = HeldBytes(200_000)
    assert held.take(150_000)
    threading.Timer(0.05, held.give_back, (150_000,)).start()
    assert held.take_soon(150_000, 5.0)
    assert not held.take_soon(150_000, 0.05)
    assert (held.held, held.wanted) == (150_000, 0)


# --- strangers


def only_jane(_target: bytes, headers: dict[bytes, bytes]) -> Principal | Response:
    return Principal("jane", "key") if headers.get(b"x-api-key") == b"jane" else error_response(401, "who are you?")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([b"Content-Length: 90000"], id="a body"),
        pytest.param([b"Transfer-Encoding: chunked"], id="chunks"),
        pytest.param([b"Content-Length: 90000", b"Expect: 100-continue"], id="a body that waits to be asked for"),
        pytest.param([b"Content-Length: 999999999"], id="a body that is too large"),
    ],
)
def test_a_stranger_is_refused_before_its_body_is_read(listen: Any, headers: list[bytes]) -> None:
    server = listen(echo, check_head=only_jane)
    with closing(server.connect()) as client:
        client.sendall(head(b"POST /a HTTP/1.1", *headers))
        status, body = status_and_body(until_closed(client))
    assert (status, body) == (401, b'{"error":"who are you?"}')


def test_who_is_known_sends_a_body_and_is_known_to_the_handler(listen: Any) -> None:
    known: list[Principal | None] = []

    def note(request: Request, respond: Respond) -> None:
        known.append(request.principal)
        respond(Response(200, request.body))

    server = listen(note, check_head=only_jane)
    received = server.raw(
        head(b"POST /a HTTP/1.1", b"X-API-Key: jane", b"Content-Length: 2", b"Connection: close"), b"ok"
    )
    assert (status_and_body(received), known) == ((200, b"ok"), [Principal("jane", "key")])


# --- HTTP/1.0


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        pytest.param(b"Connection: keep-alive\r\n", b"connection: keep-alive", id="a wish to keep it"),
        pytest.param(b"", b"connection: close", id="no wish"),
    ],
)
def test_an_old_client_is_told_what_becomes_of_its_connection(listen: Any, headers: bytes, said: bytes) -> None:
    with closing(listen(echo).connect()) as client:
        client.sendall(b"GET /a HTTP/1.0\r\n" + headers + b"\r\n")
        assert said in client.recv(1000)
