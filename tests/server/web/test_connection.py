"""HTTP/1.1 on the wire: what goes in, and what comes out whatever goes in."""

import gc
import socket
import struct
import threading
import weakref
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import pytest

from tests.server.web.conftest import LIMITS, until_closed
from tidegate_server.web.message import Request, Respond, Response, json_response

CLOSE = b"Connection: close\r\n"


def echo(request: Request, respond: Respond) -> None:
    headers = {name.decode(): value.decode() for name, value in request.headers.items() if name.startswith(b"x-")}
    document = {"is": request.method.decode(), "at": request.target.decode(), "body": request.body.decode(), **headers}
    respond(json_response(200, document))


def head(line: bytes = b"POST /echo HTTP/1.1", *headers: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: tests", *headers, b"", b""])


def status_and_body(received: bytes) -> tuple[int, bytes]:
    top, _, body = received.partition(b"\r\n\r\n")
    return int(top.split()[1]), body


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        pytest.param(
            [head(b"GET /a?b=c HTTP/1.1", b"Connection: close")], b'{"is":"GET","at":"/a?b=c","body":""}', id="a GET"
        ),
        pytest.param(
            [head(b"POST /e HTTP/1.1", b"Content-Length: 5", b"Connection: close"), b"hel", b"lo"],
            b'{"is":"POST","at":"/e","body":"hello"}',
            id="a body in two packets",
        ),
        pytest.param(
            [
                head(b"POST /e HTTP/1.1", b"Transfer-Encoding: chunked", b"Connection: close"),
                b"3\r\nhel\r\n",
                b"2\r\nlo\r\n0\r\nx-trailer: no\r\n\r\n",
            ],
            b'{"is":"POST","at":"/e","body":"hello"}',
            id="chunks and a trailer that counts for nothing",
        ),
        pytest.param(
            [b"POS", b"T /e HT", b"TP/1.1\r\nHo", b"st: t\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n"],
            b'{"is":"POST","at":"/e","body":"","x-a":"1, 2"}',
            id="a head in crumbs, with a header twice",
        ),
        pytest.param(
            [b"GET /old HTTP/1.0\r\n\r\n"], b'{"is":"GET","at":"/old","body":""}', id="HTTP/1.0 closes by itself"
        ),
        pytest.param(
            [
                head(
                    b"POST /e HTTP/1.1",
                    b"Upgrade: h2c",
                    b"HTTP2-Settings: AAMAAABkAAQ",
                    b"Connection: Upgrade, HTTP2-Settings",
                    b"Content-Length: 5",
                ),
                b"hello",
                head(b"GET /then HTTP/1.1", b"Connection: close"),
            ],
            b'{"is":"POST","at":"/e","body":"hello"}',
            id="an offer of HTTP/2 is ignored and nothing of the request is lost",
        ),
    ],
)
def test_a_request_arrives_whole(listen: Any, pieces: list[bytes], body: bytes) -> None:
    received = listen(echo).raw(*pieces)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body in received


def test_requests_sent_ahead_are_answered_in_their_order(listen: Any) -> None:
    respondents: list[tuple[Request, Respond]] = []

    def hold(request: Request, respond: Respond) -> None:
        respondents.append((request, respond))
        if request.target == b"/0":
            threading.Timer(0.1, server.loop.call_soon_threadsafe, (respond, Response(200, b"zero"))).start()
        else:
            respond(Response(200, request.target))

    server = listen(hold)
    requests = [head(b"GET /%d HTTP/1.1" % number) for number in range(40)]
    received = server.raw(*requests, head(b"GET /last HTTP/1.1", b"Connection: close"))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"zero", *(b"/%d" % number for number in range(1, 40)), b"/last"]


def test_an_answered_request_is_gone_without_a_search_for_garbage(listen: Any) -> None:
    """What would be cancelled holds the request, and the request what would be cancelled."""
    kept: list[weakref.ref[Any]] = []

    def handler(request: Request, respond: Respond) -> None:
        work = partial(respond, json_response(200, {}))
        request.caller.when_left(partial(work, request))
        kept.append(weakref.ref(work))
        respond(json_response(200, {}))

    gc.disable()
    try:
        assert listen(handler).raw(head(b"GET / HTTP/1.1", b"Connection: close")).startswith(b"HTTP/1.1 200")
        until(lambda: kept[0]() is None)
    finally:
        gc.enable()


def test_a_client_that_wants_to_be_asked_for_its_body_is_asked(listen: Any) -> None:
    server = listen(echo)
    with closing(server.connect()) as client:
        client.sendall(head(b"POST /e HTTP/1.1", b"Content-Length: 2", b"Expect: 100-continue", b"Connection: close"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert b'"body":"ok"' in until_closed(client)


def test_head_gets_the_length_and_no_body(listen: Any) -> None:
    received = listen(echo).raw(head(b"HEAD /a HTTP/1.1", b"Connection: close"))
    assert b"content-length: 33\r\n" in received
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00", 400, "isn't valid HTTP", id="TLS to a plain port"),
        pytest.param(b"GET /a HTTP/1.1\nHost: a\n\n", 400, "isn't valid HTTP", id="bare line feeds"),
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", 400, "exactly one Host", id="no host"),
        pytest.param(head(b"GET /a HTTP/1.1", b"Host: other"), 400, "exactly one Host", id="two hosts"),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Content-Length: 1", b"Content-Length: 2"), 400, "valid", id="two lengths"
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked"),
            400,
            "valid",
            id="a length and chunks",
        ),
        pytest.param(head(b"POST /a HTTP/1.1", b"Content-Length: -1"), 400, "valid", id="a negative length"),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Content-Length: 99999999999999999999999"), 400, "valid", id="an absurd length"
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Content-Length: 100001"), 413, "larger than 100000 bytes", id="too large"
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + b"186a1\r\n" + b"x" * 100_001,
            413,
            "larger than 100000 bytes",
            id="too large in chunks",
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + b"xyz\r\n", 400, "valid", id="malformed chunks"
        ),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), 501, "transfer coding", id="another coding"
        ),
        pytest.param(head(b"POST /a HTTP/1.1", b"Expect: miracles"), 417, "expectation", id="another expectation"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "no proxy", id="a proxy's method"),
        pytest.param(
            head(b"GET /a HTTP/1.1", b"X-A: " + b"a" * 5000), 431, "larger than 4096 bytes", id="a long header"
        ),
        pytest.param(b"GET /" + b"a" * 5000, 431, "larger than 4096 bytes", id="a long line without an end"),
        pytest.param(
            head(b"GET /a HTTP/1.1", *[b"X-%d: a" % number for number in range(101)]), 431, "head", id="many headers"
        ),
        pytest.param(head(b"GET /a HTTP/1.1", b"X-A"), 400, "valid", id="a header without a colon"),
    ],
)
def test_what_is_not_a_proper_request_is_told_so(listen: Any, sent: bytes, status: int, error: str) -> None:
    received = listen(echo).raw(sent)
    assert status_and_body(received)[0] == status
    assert error in status_and_body(received)[1].decode()
    assert b"connection: close\r\n" in received


def test_a_refusal_is_read_even_by_a_client_that_goes_on_sending(listen: Any) -> None:
    server = listen(echo)
    with closing(server.connect()) as client:
        client.sendall(head(b"POST /a HTTP/1.1", b"Content-Length: 5000000"))
        for _ in range(50):
            client.sendall(b"x" * 10_000)
        assert status_and_body(until_closed(client))[0] == 413


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        pytest.param(b"GET /a HTTP/1.1\r\nHo", 408, "head took too long", id="a head that stops"),
        pytest.param(
            head(b"POST /a HTTP/1.1", b"Content-Length: 9") + b"x", 408, "body took too long", id="a body that stops"
        ),
    ],
)
def test_a_client_that_stops_sending_costs_no_thread_and_little_time(
    listen: Any, sent: bytes, status: int, error: str
) -> None:
    server = listen(echo)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect())) for _ in range(30)]
        for client in clients:
            client.sendall(sent)
        began = monotonic()
        assert b'"is":"GET"' in server.raw(head(b"GET /a HTTP/1.1", b"Connection: close"))
        assert monotonic() - began < 0.5
        for client in clients:
            answered, body = status_and_body(until_closed(client))
            assert (answered, error in body.decode()) == (status, True)


def test_a_silent_connection_is_closed(listen: Any) -> None:
    with closing(listen(echo).connect()) as client:
        assert until_closed(client) == b""


def test_a_client_that_does_not_read_its_answer_is_let_go(listen: Any) -> None:
    server = listen(lambda _, respond: respond(Response(200, b"x" * 50_000_000)))
    with closing(server.connect()) as client:
        client.sendall(head(b"GET /a HTTP/1.1"))
        until(lambda: server.server._connections)
        began = monotonic()
        until(lambda: not server.server._connections)
        assert monotonic() - began > 0.5


def test_one_connection_too_many_is_told_to_come_back(listen: Any) -> None:
    server = listen(echo, replace(LIMITS, connections=3))
    with ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(closing(server.connect()))
            client.sendall(head(b"GET /a HTTP/1.1"))
            client.recv(1000)
        assert status_and_body(server.raw())[0] == 503


def test_while_ending_every_answer_tells_the_client_to_close(listen: Any) -> None:
    server = listen(echo)
    with closing(server.connect()) as client:
        client.sendall(head(b"GET /a HTTP/1.1"))
        assert b"connection: close" not in client.recv(1000)
        server.server.is_draining = True
        client.sendall(head(b"GET /b HTTP/1.1"))
        assert b"connection: close\r\n" in until_closed(client)


def test_a_failing_handler_is_a_500(listen: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request, _respond: Respond) -> None:
        raise LookupError("secret")

    received = listen(fail).raw(head(b"GET /a HTTP/1.1", b"Connection: close"))
    assert status_and_body(received) == (500, b'{"error":"the server failed on this request"}')


def test_a_timeout_that_fails_ends_its_own_connection_and_all_others_have_theirs(listen: Any) -> None:
    def fail(_now: float) -> None:
        raise LookupError

    server = listen(echo)
    with closing(server.connect()) as failing:
        until(lambda: server.server._connections)
        (connection,) = server.server._connections
        connection.check_timeouts = fail
        with closing(server.connect()) as silent:
            assert until_closed(silent) == b""
        assert failing.recv(1) == b""


def test_clients_that_vanish_leave_nothing_behind(listen: Any) -> None:
    def later(request: Request, respond: Respond) -> None:
        server.loop.call_later(0.05, respond, Response(200, request.body))

    server: Any = listen(later)
    for _ in range(20):
        client = server.connect()
        client.sendall(head(b"POST /a HTTP/1.1", b"Content-Length: 10") + b"0123456789")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    until(lambda: not server.server._connections and not server.held.held)
    assert not server.server.is_busy


def until(true: Any) -> None:
    deadline = monotonic() + 5
    while not true():
        assert monotonic() < deadline
