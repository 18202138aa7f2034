"""One call, whatever the other side does."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from time import monotonic, sleep

import pytest

from tests.operator.webhooks.loopback import receiver, says
from tests.operator.world import SETTINGS
from tests.server.certificates import pair
from tidegate.errors import CallFailed
from tidegate.webhooks.addresses import AddressRules, Proxy
from tidegate.webhooks.client import MOST_BYTES, HttpResponse, WebhookClient

ANYWHERE, USUAL = WebhookClient(AddressRules(())), WebhookClient(AddressRules(SETTINGS.refused_networks))


def failure(url: str, *, seconds: float = 5.0, authority: str | None = None, client: WebhookClient = ANYWHERE) -> str:
    """The sentence that a call ends with. Nothing of the address but its host may be in it."""
    with pytest.raises(CallFailed) as failed:
        client.post(url, b"{}", {}, seconds=seconds, authority=authority)
    assert "sesame" not in str(failed.value)
    return str(failed.value)


@contextmanager
def listening(*sent: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that sends this, whatever it is asked, then holds the connection."""
    stopped = threading.Event()

    def serve() -> None:
        with server.accept()[0] as connection:
            connection.recv(65536)
            for part in sent:
                try:
                    connection.sendall(part)
                except OSError:
                    return
                if stopped.wait(pause):
                    return
            stopped.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/sesame"
        stopped.set()
        thread.join()


def test_a_body_is_sent_and_the_whole_answer_comes_back() -> None:
    with receiver(says('{"allowed": true}')) as server:
        answer = ANYWHERE.post(server.url, b'{"a": 1}', {"Content-Type": "application/json"}, seconds=5)

    (call,) = server.calls
    assert answer == HttpResponse(200, "application/json", b'{"allowed": true}')
    assert (call.path, call.body) == ("/hook?token=sesame", b'{"a": 1}')
    assert call.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "tidegate",
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "content-length": "8",
    }


def test_a_receiver_that_hangs_is_given_up_in_time() -> None:
    began = monotonic()
    with listening() as url:
        assert failure(url, seconds=0.3) == "it gave no whole answer within 0.3 s"
    assert monotonic() - began < 3


def test_one_that_sends_its_answer_byte_by_byte_is_given_up_in_time() -> None:
    began = monotonic()
    with listening(*[b"H"] * 100, pause=0.05) as url:
        assert failure(url, seconds=0.4) == "it gave no whole answer within 0.4 s"
    assert monotonic() - began < 3


def test_a_body_that_never_ends_is_no_whole_answer() -> None:
    with listening(b"HTTP/1.1 200 OK\r\n\r\n", *[b"{"] * 100, pause=0.05) as url:
        assert failure(url, seconds=0.4) == "it gave no whole answer within 0.4 s"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (302, "it redirects (HTTP 302), and redirects aren't followed: give the address they lead to"),
        (308, "it redirects (HTTP 308), and redirects aren't followed: give the address they lead to"),
        (404, "it answers HTTP 404"),
        (500, "it answers HTTP 500"),
    ],
)
def test_other_statuses_are_said_in_one_sentence_and_nothing_is_followed(status: int, message: str) -> None:
    with receiver(says("{}", status, Location="http://127.0.0.1:1/sesame")) as server:
        assert failure(server.url) == message
        assert len(server.calls) == 1


@pytest.mark.parametrize(("status", "final"), [(404, True), (401, True), (429, False), (503, False)])
def test_only_what_may_pass_is_worth_another_try(status: int, final: bool) -> None:
    with receiver(says("{}", status, Retry_After="7")) as server, pytest.raises(CallFailed) as failed:
        ANYWHERE.post(server.url, b"{}", {}, seconds=5)

    assert (failed.value.final, failed.value.retry_after) == (final, 7.0)


def test_an_answer_that_is_too_long_is_cut_off() -> None:
    with receiver(says(b" " * (MOST_BYTES + 1))) as server:
        assert failure(server.url) == "its answer is longer than 64 KiB"


def test_what_speaks_no_http_is_told() -> None:
    with listening(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        assert failure(url) == "what it answers isn't HTTP, or breaks off"


def test_an_address_where_nobody_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert failure(f"http://127.0.0.1:{port}/sesame") == "it can't be reached: Connection refused"


def test_a_name_that_leads_nowhere_is_told() -> None:
    assert failure("https://receiver.invalid/sesame") == "the name receiver.invalid can't be resolved"


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "[::1]", "127.1", "0x7f000001", "2130706433"])
def test_addresses_that_may_not_be_called_are_not_whatever_they_are_called(host: str) -> None:
    assert "which the operator doesn't call" in failure(f"http://{host}:9/sesame", client=USUAL)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's certificate, which is its own authority."""
    made = pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.write(tmp_path_factory.mktemp("certificates")))
    return context, made.cert.decode()


def test_a_receiver_is_known_by_the_authority_that_is_named(trusted: tuple[ssl.SSLContext, str]) -> None:
    context, authority = trusted
    with receiver(says("{}"), tls=context) as server:
        assert ANYWHERE.post(server.url, b"{}", {}, seconds=5, authority=authority).status == 200


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(trusted: tuple[ssl.SSLContext, str]) -> None:
    context, _ = trusted
    with receiver(says("{}"), tls=context) as server:
        assert failure(server.url).startswith("its certificate isn't trusted: self")
        assert failure(server.url, authority=pair().cert.decode()).startswith("its certificate isn't trusted")
        assert server.calls == []


def test_a_certificate_for_another_name_is_not_trusted(trusted: tuple[ssl.SSLContext, str]) -> None:
    context, authority = trusted
    with receiver(says("{}"), tls=context, host="127.0.0.2") as server:
        assert failure(server.url, authority=authority).startswith("its certificate isn't trusted: IP address mismatch")


def test_a_handshake_that_hangs_is_given_up_in_time() -> None:
    began = monotonic()
    with listening() as url:
        assert failure(url.replace("http://", "https://"), seconds=0.3) == "it gave no whole answer within 0.3 s"
    assert monotonic() - began < 3


def test_what_speaks_no_tls_is_told() -> None:
    with receiver(says("{}")) as server:
        assert failure(server.url.replace("http://", "https://")).startswith("TLS fails: ")


def test_an_authority_that_is_no_certificate_is_told() -> None:
    assert failure("https://127.0.0.1:9/", authority="sesame") == (
        "the certificates that it is to be known by aren't PEM"
    )


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with receiver(says("{}")) as server:
        assert ANYWHERE.post(server.url, b"{}", {}, seconds=5).status == 200


def slowly(handler: BaseHTTPRequestHandler) -> None:
    sleep(0.2)
    says("{}")(handler)


def test_a_slow_answer_within_its_time_is_an_answer() -> None:
    with receiver(slowly) as server:
        assert ANYWHERE.post(server.url, b"{}", {}, seconds=5).body == b"{}"


@contextmanager
def proxying(to: int, status: bytes = b"200 Connection established") -> Iterator[tuple[WebhookClient, list[bytes]]]:
    """A client whose proxy leads every CONNECT to a port of 127.0.0.1, and what the proxy was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection, socket.create_connection(("127.0.0.1", to)) as beyond:
            asked.append(connection.recv(65536))
            if asked[0].startswith(b"CONNECT"):
                connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
            else:
                beyond.sendall(asked[0])
            back = threading.Thread(target=copied, args=(beyond, connection), daemon=True)
            back.start()
            copied(connection, beyond)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield WebhookClient(AddressRules(SETTINGS.refused_networks), Proxy("127.0.0.1", server.getsockname()[1])), asked
        thread.join()


def copied(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of both has hung up


def test_through_a_proxy_tls_is_spoken_with_the_host_itself(trusted: tuple[ssl.SSLContext, str]) -> None:
    context, authority = trusted
    with receiver(says("{}"), tls=context) as server, proxying(server.port) as (client, asked):
        message = failure("https://hooks.example.com/sesame", authority=authority, client=client)

    assert message.startswith("its certificate isn't trusted: Hostname mismatch")
    assert asked == [b"CONNECT hooks.example.com:443 HTTP/1.1\r\nHost: hooks.example.com:443\r\n\r\n"]


def test_through_a_proxy_plain_http_is_asked_for_by_its_whole_address() -> None:
    with receiver(says("{}")) as server, proxying(server.port) as (client, asked):
        assert client.post("http://hooks.example.com/a?b=c", b"{}", {}, seconds=5).body == b"{}"

    assert asked[0].startswith(b"POST http://hooks.example.com/a?b=c HTTP/1.1\r\n")


def test_a_proxy_that_refuses_is_told() -> None:
    with receiver(says("{}")) as server, proxying(server.port, b"403 Forbidden") as (client, _):
        assert failure("https://hooks.example.com/sesame", client=client) == "the proxy answers HTTP 403"


def test_addresses_that_may_not_be_called_are_not_through_a_proxy_either() -> None:
    client = WebhookClient(AddressRules(SETTINGS.refused_networks), Proxy("127.0.0.1", 9))

    assert "which the operator doesn't call" in failure("http://168.63.129.16/sesame", client=client)
    assert "which the operator doesn't call" in failure("http://169.254.169.254/sesame", client=client)
