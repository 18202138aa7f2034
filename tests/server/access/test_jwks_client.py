"""Keys by address: a provider that answers, that lies, and that is away."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from time import monotonic, sleep

import pytest

from tests.server.access.conftest import AUDIENCE, ISSUER, MakeToken, jwks
from tests.small_http import listening
from tidegate_server.access import jwks_client
from tidegate_server.access.authenticator import Authenticator
from tidegate_server.access.jwks_client import JwksClient, JwksUnavailable, fetch
from tidegate_server.access.settings import AccessSettings, JwtSettings
from tidegate_server.errors import NotAllowed

ALL = ("RS256", "ES256", "EdDSA")


@dataclass
class Provider:
    address: str
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0


@pytest.fixture
def provider() -> Iterator[Provider]:
    here = Provider("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked += 1
            self.send_response(here.status)
            for name, value in here.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(here.body)

    with listening(Handler) as port:
        here.address = f"http://127.0.0.1:{port}/keys?secret=hush"
        yield here


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def test_tokens_are_checked_with_keys_by_address(provider: Provider, make_token: MakeToken) -> None:
    provider.body = jwks(("k1", "ES256", 0))
    wanted = JwtSettings(ISSUER, AUDIENCE, ALL, keys_url=provider.address)
    authenticator = Authenticator.from_settings(AccessSettings(jwt=wanted))
    assert authenticator.check({"authorization": f"Bearer {make_token(kid='k1')}"}).name == "robot"
    authenticator.close()


def test_an_unknown_key_id_brings_the_new_keys_but_not_often(
    provider: Provider, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks_client, "MIN_REFRESH_SECONDS", 0.2)
    provider.body = jwks(("k1", "ES256", 0))
    authenticator = Authenticator.from_settings(
        AccessSettings(jwt=JwtSettings(ISSUER, AUDIENCE, ALL, keys_url=provider.address))
    )
    provider.body = jwks(("k2", "ES256", 1))
    headers = {"authorization": f"Bearer {make_token(number=1, kid='k2')}"}

    def is_let_in() -> bool:
        try:
            return authenticator.check(headers).name == "robot"
        except NotAllowed:
            return False

    assert not is_let_in()
    until(is_let_in)
    before, started = provider.asked, monotonic()
    while monotonic() < started + 0.5:
        with pytest.raises(NotAllowed):
            authenticator.check({"authorization": f"Bearer {make_token(number=1, kid='k3')}"})
    assert provider.asked - before <= 4
    authenticator.close()


def test_a_provider_that_is_away_does_not_keep_the_server_from_starting(
    provider: Provider, make_token: MakeToken, caplog: pytest.LogCaptureFixture
) -> None:
    provider.status = 503
    started = monotonic()
    authenticator = Authenticator.from_settings(
        AccessSettings(jwt=JwtSettings(ISSUER, AUDIENCE, ALL, keys_url=provider.address))
    )
    assert monotonic() - started < jwks_client.START_TIMEOUT_SECONDS
    headers = {"authorization": f"Bearer {make_token(kid='k1')}"}
    with pytest.raises(NotAllowed, match="aren't there yet"):
        authenticator.check(headers)
    provider.status, provider.body = 200, jwks(("k1", "ES256", 0))

    def is_let_in() -> bool:
        try:
            return authenticator.check(headers).name == "robot"
        except NotAllowed:
            return False

    until(is_let_in)
    authenticator.close()
    assert "the keys for tokens can't be fetched: TIDEGATE_JWT_KEYS_URL answered 503" in caplog.messages
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    ("status", "headers", "body", "sentence"),
    [
        pytest.param(302, {"Location": "http://127.0.0.1:1/"}, b"", "answered 302", id="a redirect"),
        pytest.param(404, {}, b"hush", "answered 404", id="not there"),
        pytest.param(200, {}, b"x" * (2**20 + 1), "larger than 1 MiB", id="a large document"),
    ],
)
def test_other_answers_are_refused(
    provider: Provider, status: int, headers: dict[str, str], body: bytes, sentence: str
) -> None:
    provider.status, provider.headers, provider.body = status, headers, body
    with pytest.raises(JwksUnavailable, match=sentence) as caught:
        fetch(provider.address)
    assert "hush" not in str(caught.value)


def test_a_closed_port_is_said_without_the_address() -> None:
    with pytest.raises(JwksUnavailable) as caught:
        fetch("http://127.0.0.1:1/keys?secret=hush")
    assert str(caught.value) == "TIDEGATE_JWT_KEYS_URL can't be reached (ConnectionRefusedError)"


def test_a_document_without_good_keys_changes_nothing(
    provider: Provider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(jwks_client, "MIN_REFRESH_SECONDS", 0.1)
    provider.body = jwks(("k1", "ES256", 0))
    keys = JwksClient(provider.address, ALL, monotonic)
    keys.start()
    before = keys.content()
    provider.body = json.dumps({"keys": []}).encode()
    keys.refresh()
    until(lambda: "can't be fetched" in caplog.text)
    keys.stop()
    assert keys.content() == before
    assert "the document at TIDEGATE_JWT_KEYS_URL holds no public key for RS256, ES256, EdDSA" in caplog.text


def test_keys_that_nobody_has_confirmed_for_a_day_are_good_no_more(provider: Provider) -> None:
    now = 0.0
    provider.body = jwks(("k1", "ES256", 0))
    keys = JwksClient(provider.address, ALL, lambda: now)
    keys.start()
    keys.stop()
    now = 86_399.0
    assert len(keys.content()) == 1
    now = 86_401.0
    assert keys.content() == ()
