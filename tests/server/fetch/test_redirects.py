"""Where an HTTP server may lead us, and what it gets to know."""

import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.server.fetch.conftest import Bring, Web
from tests.small_http import listening, say


def test_credentials_stay_with_their_host(bring: Bring, web: Web, other_web: Web, linear: Path) -> None:
    web.redirects["/m.onnx"] = other_web.uri("/real.onnx")
    other_web.files["/real.onnx"] = linear.read_bytes()
    ended = bring(web.uri("/m.onnx").replace("//", "//me:password@"))
    assert ended.reason == "brought"
    assert web.requests[0].headers["authorization"] == "Basic bWU6cGFzc3dvcmQ="
    assert "authorization" not in other_web.requests[0].headers
    assert "password" not in ended.log


@pytest.mark.parametrize("target", ["ftp://host/m.onnx", "file:///etc/passwd"])
def test_a_redirect_leads_to_no_other_scheme(bring: Bring, web: Web, target: str) -> None:
    web.redirects["/m.onnx"] = target
    ended = bring(web.uri("/m.onnx"))
    assert (ended.reason, ended.report["permanent"], ended.left) == ("UnsupportedUri", True, [])
    assert "isn't http or https" in ended.report["message"]


def test_a_circle_of_redirects_ends(bring: Bring, web: Web) -> None:
    web.redirects["/m.onnx"] = web.uri("/m.onnx")
    ended = bring(web.uri("/m.onnx"))
    assert (ended.reason, len(web.requests) <= 11) == ("Unreachable", True)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """A TLS server that redirects to what the list says: its port, its certificate, the list."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*made, "-days", "2", "-keyout", str(key), "-out", str(certificate), *names], check=True, capture_output=True
    )
    targets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            say(self, 302, Location=targets[0])

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listening(Handler, context) as port:
        yield port, certificate, targets


def test_a_redirect_never_leaves_tls(
    bring_alone: Bring, web: Web, linear: Path, secure: tuple[int, Path, list[str]]
) -> None:
    port, certificate, targets = secure
    web.files["/m.onnx"] = linear.read_bytes()
    targets.append(web.uri("/m.onnx"))
    ended = bring_alone(f"https://localhost:{port}/m.onnx", SSL_CERT_FILE=str(certificate))
    assert (ended.reason, web.requests) == ("UnsupportedUri", [])
    assert "from https to http" in ended.report["message"]


def test_a_certificate_that_nobody_signed_is_refused(bring_alone: Bring, secure: tuple[int, Path, list[str]]) -> None:
    ended = bring_alone(f"https://localhost:{secure[0]}/m.onnx")
    assert (ended.reason, "certificate verify failed" in ended.log) == ("Unreachable", True)


def test_a_proxy_is_used_where_the_environment_names_one(bring_alone: Bring, web: Web, linear: Path) -> None:
    web.files["http://models.example/m.onnx"] = linear.read_bytes()
    ended = bring_alone("http://models.example/m.onnx", HTTP_PROXY=web.uri(""), http_proxy=web.uri(""))
    assert (ended.reason, [request.path for request in web.requests]) == ("brought", ["http://models.example/m.onnx"])
