"""What the registry client does with tokens, redirects and lies, against a registry in this process; and references."""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.server.fetch.conftest import Bring, Web
from tests.small_http import listening, say
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.sources.oci_login import Account, find_account
from tidegate_server.fetch.sources.oci_reference import Reference, is_plain, parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TOKEN = "tests-only-token"  # noqa: S105 - given out by the registry below


@dataclass
class Registry:
    """Gives out tokens, and redirects blobs to `store`. `runs_out`: after how many requests a token is void."""

    content: bytes = b""
    realm: str = ""
    store: str = ""
    runs_out: int = 100
    lie: bytes = b""
    manifest_is: bytes = b""
    """What is there in its place."""
    token_is: bytes = json.dumps({"token": TOKEN}).encode()
    token_headers: dict[str, str] = field(default_factory=dict)
    half_published: bool = False
    """Whether the manifest is there before the files."""
    scopes: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)
    used: int = 0
    port: int = 0

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def manifest(self) -> bytes:
        layer = {
            "mediaType": "application/octet-stream",
            "digest": self.digest,
            "size": len(self.content),
            "annotations": {"org.opencontainers.image.title": "model.onnx"},
        }
        return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}).encode()


@pytest.fixture
def registry(linear: Path) -> Iterator[Registry]:
    state = Registry(content=linear.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/token":
                state.scopes += parse_qs(url.query)["scope"]
                state.logins.append(self.headers["Authorization"])
                state.used = 0
                say(self, 200, state.token_is, **state.token_headers)
            elif self.headers["Authorization"] != f"Bearer {TOKEN}" or state.used >= state.runs_out:
                realm = state.realm or f"http://127.0.0.1:{state.port}/token"
                challenge = f'Bearer realm="{realm}",service="tests",scope="repository:shop/digits:pull"'
                say(self, 401, b"{}", **{"WWW-Authenticate": challenge})
            else:
                state.used += 1
                self._serve(url.path)

        def _serve(self, path: str) -> None:
            if path.startswith("/v2/shop/digits/manifests/"):
                say(self, 200, state.manifest_is or state.manifest)
            elif state.half_published:
                say(self, 404, b"{}")
            elif state.store:
                say(self, 307, b"", Location=state.store)
            else:
                say(self, 200, state.lie or state.content)

    with listening(Handler) as state.port:
        yield state


def uri(registry: Registry, version: str = ":1") -> str:
    return f"oci://127.0.0.1:{registry.port}/shop/digits{version}"


def test_a_token_is_fetched_for_the_repository(bring: Bring, registry: Registry, tmp_path: Path) -> None:
    auth = base64.b64encode(b"robot:password").decode()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {f"127.0.0.1:{registry.port}": {"auth": auth}}}))
    ended = bring(uri(registry), TIDEGATE_REGISTRY_AUTH=str(config))
    assert ended.reason == "brought"
    assert (registry.scopes, registry.logins) == (["repository:shop/digits:pull"], [f"Basic {auth}"])
    assert TOKEN not in ended.log


def test_a_token_that_runs_out_is_fetched_again(bring: Bring, registry: Registry) -> None:
    registry.runs_out = 1
    assert (bring(uri(registry)).reason, registry.logins) == ("brought", [None, None])


def test_a_token_is_not_given_to_where_blobs_are(bring: Bring, registry: Registry, web: Web) -> None:
    web.files["/blob"] = registry.content
    registry.store = web.uri("/blob?signature=x")
    ended = bring(uri(registry))
    assert (ended.reason, "authorization" in web.requests[0].headers) == ("brought", False)


def test_a_login_is_not_sent_to_another_scheme(bring: Bring, registry: Registry) -> None:
    registry.realm = "file:///etc/passwd"
    ended = bring(uri(registry))
    assert (ended.reason, "no TLS" in ended.report["message"]) == ("Unreachable", True)


def test_a_blob_has_to_be_what_the_manifest_says(bring: Bring, registry: Registry) -> None:
    registry.lie = bytes(len(registry.content))
    ended = bring(uri(registry))
    assert (ended.reason, ended.left) == ("WrongDigest", [])


def test_an_artifact_that_is_half_published_is_refused_in_one_sentence(bring: Bring, registry: Registry) -> None:
    registry.half_published = True
    ended = bring(uri(registry))
    assert (ended.reason, ended.left) == ("NotFound", [])
    said = "the model's server has no such file (404); check model.uri"
    assert (ended.report["message"], ended.report["permanent"]) == (said, False)


def test_a_manifest_has_to_be_what_the_uri_says(bring: Bring, registry: Registry) -> None:
    ended = bring(uri(registry, f"@sha256:{'0' * 64}"))
    assert (ended.reason, "manifest has the digest" in ended.report["message"]) == ("WrongDigest", True)


NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(NESTED, id="nested without end"),
        pytest.param(b'{"manifests": 5}', id="an index of no list"),
        pytest.param(b'{"layers": {}}', id="layers that are no list"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(bring: Bring, registry: Registry, manifest: bytes) -> None:
    registry.manifest_is = manifest
    ended = bring(uri(registry))
    assert (ended.reason, ended.report["permanent"], ended.left) == ("UnsupportedUri", True, [])
    assert ended.report["message"].startswith(("what the registry has under", "the registry has nothing under"))


def test_a_token_that_is_none_is_told(bring: Bring, registry: Registry) -> None:
    registry.token_is = NESTED
    assert "gave out no token" in bring(uri(registry)).report["message"]


def test_a_token_whose_answer_breaks_off_may_come_later(bring: Bring, registry: Registry) -> None:
    registry.token_is, registry.token_headers = b'fff\r\n{"token"', {"Transfer-Encoding": "chunked"}
    ended = bring(uri(registry), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (ended.reason, ended.report["permanent"]) == ("Unreachable", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oci://reg.example/a/b:1", Reference("reg.example", "a/b", "1")),
        ("oci://reg.example:5000/a", Reference("reg.example:5000", "a", "latest")),
        ("oci://reg.example/a:1/models/7", Reference("reg.example", "a", "1", "models/7")),
        (f"oci://r/a@sha256:{'0' * 64}/m/", Reference("r", "a", f"sha256:{'0' * 64}", "m")),
        ("oci://docker.io/busybox:1", Reference("docker.io", "library/busybox", "1")),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["oci://", "oci://reg.example", "oci://me:pw@reg/a:1", "oci://r/A:1", "oci://r/a:b:c"])
def test_what_is_no_reference_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(FetchFailed) as failure:
        parse(text)
    assert (failure.value.reason, "pw" in str(failure.value)) == ("UnsupportedUri", False)


@pytest.mark.parametrize(
    ("host", "insecure", "plain"),
    [
        ("reg.example", "", False),
        ("localhost:5000", "", True),
        ("127.9.9.9", "", True),
        ("[::1]:5000", "", True),
        ("127.0.0.1.example:5000", "", False),
        ("reg.example:5000", "other, reg.example:5000", True),
        ("reg.example:5000", "reg.example", True),
        ("reg.example", "reg.example:5000", False),
    ],
)
def test_who_may_be_spoken_to_without_tls(host: str, insecure: str, plain: bool) -> None:
    assert is_plain(host, insecure) is plain


@pytest.mark.parametrize(
    ("auths", "account"),
    [
        pytest.param({"reg.example": {"username": "a", "password": "b"}}, Account("a", "b"), id="in clear"),
        pytest.param({"https://reg.example/v1/": {"auth": "YTpiOmM="}}, Account("a", "b:c"), id="a URL of old"),
        pytest.param({"reg.example/shop": {"registrytoken": "t"}}, Account("", "", "t"), id="a token"),
        pytest.param(
            {"reg.example": {"auth": "eDp5"}, "reg.example/shop": {"auth": "YTpi"}}, Account("a", "b"), id="the nearest"
        ),
        pytest.param({"reg.example/sho": {"auth": "YTpi"}}, None, id="another repository"),
        pytest.param({"eg.example": {"auth": "YTpi"}}, None, id="another host"),
    ],
)
def test_the_account_for_a_repository(tmp_path: Path, auths: dict[str, Any], account: Account | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    reference = parse("oci://reg.example/shop/digits:1")
    assert find_account(reference, {"DOCKER_CONFIG": str(tmp_path)}) == account


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "isn't a docker config.json"),
        ('{"auths": {"reg.example": {"auth": "secret!"}}}', "has neither"),
        ('{"auths": {"reg.example": {}}}', "has neither"),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FetchFailed, match=words) as failure:
        find_account(parse("oci://reg.example/a:1"), {"TIDEGATE_REGISTRY_AUTH": str(tmp_path / "config.json")})
    assert "secret" not in str(failure.value)
