"""TLS at a real Envoy, with a certificate that is read where a Secret is mounted, and changes while clients ask."""

from __future__ import annotations

import contextlib
import http.client
import logging
import ssl
from typing import TYPE_CHECKING

import pytest

from benchmarks.programs import free_ports
from tests.router.conftest import OLD
from tests.server.certificates import Pair, pair, trusting
from tidegate.router.certificate import Certificate, CertificateUnusable, CertificateWatch, read_certificate
from tidegate.router.secrets import certificate_resource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.conftest import Bench, Router


class Watched:
    """A folder as the kubelet keeps it, and the certificates that were taken from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.taken: list[Certificate] = []
        self.told: list[str] = []
        self.watch = CertificateWatch(folder, self.taken.append, self.told.append)

    def mount(self, given: Pair) -> None:
        """What the Secret has from now on."""
        given.write(self.folder)
        self.watch.look()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "tls")


FIRST, SECOND = pair("first"), pair("second")


def test_a_certificate_is_taken_once_and_the_next_one_when_it_comes(watched: Watched) -> None:
    for given in (FIRST, FIRST, SECOND):
        watched.mount(given)

    assert watched.taken == [Certificate(each.cert, each.key) for each in (FIRST, SECOND)]
    assert watched.watch.problem == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(
            Pair(FIRST.cert, SECOND.key), "can't be served together: KEY_VALUES_MISMATCH", id="of another key"
        ),
        pytest.param(Pair(b"hello", FIRST.key), "can't be served together", id="no certificate"),
        pytest.param(Pair(FIRST.cert, b""), "can't be served together", id="no key"),
    ],
)
def test_what_can_not_be_served_is_told_once_and_the_one_before_goes_on(
    watched: Watched, given: Pair, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched.mount(FIRST)
    watched.mount(given)
    watched.watch.look()
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]

    assert watched.taken == [Certificate(FIRST.cert, FIRST.key)]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert errors[0].endswith("going on with the one before")
    assert FIRST.key.decode() not in caplog.text

    watched.mount(FIRST)
    assert watched.told == [errors[0].removeprefix("TLS: "), ""]


def test_a_secret_that_is_not_there_is_told(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.watch.look()

    assert "there is no tls.crt" in caplog.text
    with pytest.raises(CertificateUnusable, match="is there a Secret of type kubernetes"):
        read_certificate(watched.folder)


def test_both_files_are_of_one_state_of_the_secret(tmp_path: Path) -> None:
    for name, given in (("old", FIRST), ("new", SECOND)):
        (tmp_path / name).mkdir()
        given.write(tmp_path / name)
    (tmp_path / "..data").symlink_to(tmp_path / "old")
    SECOND.write(tmp_path)  # what is outside of the link is not looked at

    assert read_certificate(tmp_path) == Certificate(FIRST.cert, FIRST.key)


def with_tls(bench: Bench) -> tuple[Router, int]:
    router = bench.router()
    [port] = free_ports(1)
    router.listen_by_tls(port)
    return router, port


def status(port: int, context: ssl.SSLContext) -> int:
    """Of one request over a connection of its own."""
    with contextlib.closing(http.client.HTTPSConnection("localhost", port, timeout=5, context=context)) as connection:
        connection.request("GET", "/v2", headers={"Host": "sentiment.shop"})
        return connection.getresponse().status


def serve(router: Router, given: Pair) -> None:
    router.agent.control_plane.serve_certificate(certificate_resource(given.cert, given.key))


@pytest.mark.router
def test_a_certificate_changes_while_clients_ask_and_a_bad_one_changes_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    router, port = with_tls(bench)
    serve(router, FIRST)
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD)))
    bench.until(lambda: status(port, trusting(FIRST)) == 200, "the first certificate is served")
    load = bench.load(router.port)
    load.start(4, 0.005)

    serve(router, SECOND)
    bench.until(lambda: _is_served(port, SECOND), "the second certificate is served")
    with pytest.raises(ssl.SSLCertVerificationError):
        status(port, trusting(FIRST))

    serve(router, Pair(b"hello", SECOND.key))
    bench.until(lambda: "Envoy goes on with the certificate before" in caplog.text, "Envoy's refusal is told")
    assert status(port, trusting(SECOND)) == 200
    assert set(load.stop()) == {"200"}


def _is_served(port: int, given: Pair) -> bool:
    try:
        return status(port, trusting(given)) == 200
    except ssl.SSLError:
        return False


@pytest.mark.router
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_the_protocol_is_agreed_on_by_alpn(bench: Bench, protocol: str) -> None:
    router, port = with_tls(bench)
    serve(router, FIRST)
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD)))
    bench.until(lambda: _is_served(port, FIRST), "the certificate is served")
    context = trusting(FIRST)
    context.set_alpn_protocols([protocol])
    with (
        contextlib.closing(http.client.HTTPSConnection("localhost", port, context=context)) as connection,
    ):
        connection.connect()
        assert connection.sock.selected_alpn_protocol() == protocol


@pytest.mark.router
def test_without_a_certificate_the_router_goes_on_without_tls(bench: Bench) -> None:
    router, port = with_tls(bench)
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD)))

    assert router.get("/v2").status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(port, trusting(FIRST))
    serve(router, FIRST)
    bench.until(lambda: _is_served(port, FIRST), "the certificate is served once it is there")
