"""TLS: every bound of a plain connection holds, and a handshake is a connection with a time."""

import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from tests.server.certificates import pair, trusting
from tests.server.web.conftest import LIMITS, Listening, until_closed
from tests.server.web.test_connection import echo, head, status_and_body, until
from tests.server.web.test_greedy_clients import LONGEST_TURN_SECONDS, LongestTurn
from tidegate_server.access.certificates import Certificates
from tidegate_server.access.settings import TlsSettings
from tidegate_server.web.message import Request, Respond, Response
from tidegate_server.web.tls import TlsConnection

PAIR, NEXT = pair("first"), pair("second")
CLIENT = trusting(PAIR)
LARGE = b"a" * 8_000_000
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
LAST = head(b"GET /last HTTP/1.1", b"Connection: close")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(TlsSettings(*PAIR.write(tmp_path)))


@pytest.fixture
def secure(listen: Any, certificates: Certificates) -> Callable[..., Listening]:
    def begin(handler: Any = echo, **settings: Any) -> Listening:
        server: Listening = listen(handler, certificates=certificates, **settings)
        return server

    return begin


@pytest.fixture
def connect() -> Iterator[Callable[..., ssl.SSLSocket]]:
    """Clients to which the end of a connection without a goodbye is an error."""
    with ExitStack() as stack:

        def connected(server: Listening, context: ssl.SSLContext = CLIENT, buffer: int = 0) -> ssl.SSLSocket:
            plain = socket.socket()
            if buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            plain.settimeout(10)
            plain.connect(("127.0.0.1", server.port))
            client = context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
            return stack.enter_context(closing(client))

        yield connected


def answer(client: ssl.SSLSocket, *pieces: bytes) -> tuple[int, bytes]:
    for piece in pieces:
        client.sendall(piece)
    return status_and_body(until_closed(client))


def large(_: Request, respond: Respond) -> None:
    respond(Response(200, LARGE))


def test_requests_are_answered_and_the_connection_ends_with_a_goodbye(secure: Any, connect: Any) -> None:
    client = connect(secure())
    assert client.version() == "TLSv1.3"
    client.sendall(head(b"GET /a HTTP/1.1"))
    assert client.recv(1000).endswith(b'{"is":"GET","at":"/a","body":""}')
    post = head(b"POST /b HTTP/1.1", b"Content-Length: 5", b"Connection: close")
    assert answer(client, post, b"he", b"llo") == (200, b'{"is":"POST","at":"/b","body":"hello"}')


def test_requests_sent_ahead_are_answered_and_nobody_else_waits(secure: Any, connect: Any) -> None:
    server = secure()
    with LongestTurn(server) as turn:
        client = connect(server)
        client.sendall(head(b"GET /a HTTP/1.1") * 2000 + LAST)
        received = until_closed(client)
    assert received.count(b"HTTP/1.1 200 OK") == 2001
    assert turn.seconds < LONGEST_TURN_SECONDS


def test_records_of_one_byte_keep_nobody_waiting(secure: Any, connect: Any) -> None:
    server = secure(limits=replace(LIMITS, body_seconds=20))
    with LongestTurn(server) as turn:
        client = connect(server)
        body = b"b" * 5000
        request = head(b"POST /c HTTP/1.1", b"Content-Length: 5000", b"Connection: close")
        for piece in (request, *(body[at : at + 1] for at in range(len(body)))):
            client.sendall(piece)
        assert until_closed(client).endswith(body + b'"}')
    assert turn.seconds < LONGEST_TURN_SECONDS


def test_a_large_answer_reaches_a_slow_reader_whole_and_counts_until_then(secure: Any, connect: Any) -> None:
    server = secure(large, limits=replace(LIMITS, body_seconds=20))
    with LongestTurn(server) as turn:
        client = connect(server, buffer=32768)
        client.sendall(LAST)
        until(lambda: server.held.held > 1_000_000)
        sleep(0.2)
        status, body = status_and_body(until_closed(client))
    assert (status, body == LARGE) == (200, True)
    assert server.held.held == 0
    assert turn.seconds < LONGEST_TURN_SECONDS


def test_who_takes_in_nothing_is_ended_in_time(secure: Any, connect: Any) -> None:
    server = secure(large)
    client = connect(server, buffer=4096)
    client.sendall(head(b"GET /a HTTP/1.1"))
    until(lambda: server.held.held > 0)
    until(lambda: server.held.held == 0 and not server.server.is_busy)
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        until_closed(client)


@pytest.mark.parametrize("said", [pytest.param(b"", id="nothing"), pytest.param(HELLO, id="half a hello")])
def test_a_handshake_that_never_ends_is_ended(secure: Any, said: bytes) -> None:
    server = secure()
    with closing(server.connect()) as client:
        began = monotonic()
        client.sendall(said)
        until(lambda: server.server.is_busy)
        assert client.recv(1) == b""
        assert LIMITS.head_seconds <= monotonic() - began < LIMITS.head_seconds + 2


def test_handshakes_count_as_connections(secure: Any, connect: Any) -> None:
    server = secure(limits=replace(LIMITS, connections=4))
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(server.connect())) for _ in range(12)]
        with closing(server.connect()) as refused:
            assert refused.recv(1) == b""
        assert len(idle) == 12
    until(lambda: not server.server.is_busy)
    assert answer(connect(server), LAST)[0] == 200


def test_beyond_the_limit_a_client_is_told_so(secure: Any, connect: Any) -> None:
    server = secure(limits=replace(LIMITS, connections=1))
    first = connect(server)
    first.sendall(head(b"GET /a HTTP/1.1"))
    assert first.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert status_and_body(until_closed(connect(server)))[0] == 503


def test_who_speaks_plain_http_is_told_what_to_do(secure: Any) -> None:
    assert status_and_body(secure().raw(head(b"GET /a HTTP/1.1"))) == (
        400,
        b'{"error":"this port speaks TLS; ask it by https://"}',
    )


def test_old_versions_are_refused_and_the_log_says_so(
    secure: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = secure()
    old, least = trusting(PAIR), trusting(PAIR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such versions are old, which is the point
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    least.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        connect(server, old)
    assert [message.partition(": ")[::2] for message in caplog.messages] == [
        ("a TLS handshake failed (and 0 times before, unsaid)", "UNSUPPORTED_PROTOCOL")
    ]
    client = connect(server, least)
    assert (client.version(), answer(client, LAST)[0]) == ("TLSv1.2", 200)


def test_bytes_that_are_no_tls_end_the_connection(secure: Any, connect: Any) -> None:
    server = secure()
    client = connect(server)
    client.sendall(head(b"GET /a HTTP/1.1"))
    assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    with closing(socket.socket(fileno=client.detach())) as plain:
        plain.settimeout(10)
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert len(until_closed(plain)) < 100
    until(lambda: not server.server.is_busy)


class AsksForKeys:
    """In place of OpenSSL's: whatever the client sends asks for new keys, and is answered by as many bytes."""

    def __init__(self) -> None:
        self._incoming = self._outgoing = ssl.MemoryBIO()

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool) -> "AsksForKeys":
        assert server_side
        self._incoming, self._outgoing = incoming, outgoing
        return self

    def do_handshake(self) -> None:
        pass

    def pending(self) -> int:
        return 0

    def read(self, _size: int) -> bytes:
        self._outgoing.write(self._incoming.read())
        raise ssl.SSLWantReadError


def test_new_keys_that_a_client_asks_for_and_never_takes_in_count_and_end_its_reading() -> None:
    context, socket_side, connection = MagicMock(), MagicMock(), MagicMock()
    socket_side.is_closing.return_value = False
    tls = TlsConnection(context, connection, cast(ssl.SSLContext, AsksForKeys()))
    connection.pause_writing.side_effect = tls.pause_reading
    tls.connection_made(socket_side)
    for written in (0, 40_000, 80_000):
        assert not socket_side.pause_reading.called
        socket_side.get_write_buffer_size.return_value = written
        tls.data_received(bytes(40_000))
    connection.pause_writing.assert_called_once_with()
    socket_side.pause_reading.assert_called_once_with()
    socket_side.get_write_buffer_size.return_value = 0
    tls.resume_writing()
    connection.resume_writing.assert_called_once_with()


def test_a_client_that_ends_its_half_still_gets_what_it_asked_for(secure: Any, connect: Any) -> None:
    client = connect(secure())
    client.sendall(head(b"GET /a HTTP/1.1") * 3)
    with closing(socket.socket(fileno=client.detach())) as plain:
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(10)
        received = until_closed(plain)
    assert len(received) > 300  # three answers in records that this socket can't read


def test_a_renewed_certificate_is_shown_to_new_clients(
    secure: Any, connect: Any, certificates: Certificates, tmp_path: Path
) -> None:
    server = secure()
    before = connect(server)
    NEXT.write(tmp_path)
    for _ in range(2):
        certificates.look()
    assert answer(connect(server, trusting(NEXT)), LAST)[0] == 200
    assert answer(before, LAST)[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server)
