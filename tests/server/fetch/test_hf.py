"""hf:// against a server in this process that answers what the Hub's library and its file addresses ask for."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.server.fetch.conftest import COMPANION_FILES, Bring, Web, contents
from tests.small_http import listening, say
from tidegate_server.fetch.sources.hf import HubPath, parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_tests-only"  # noqa: S105 - for the server below


@dataclass
class Hub:
    """`large`: where files of Git LFS are redirected to. `lie`: what a large file has instead of its content."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    large: Web | None = None
    requests: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": f"http://127.0.0.1:{self.port}", "HF_HUB_DISABLE_TELEMETRY": "1"}

    def info(self) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}  # noqa: S324 - as Git
            | ({"lfs": {"sha256": self.sha256(name), "size": len(content), "pointerSize": 128}} if self.large else {})
            for name, content in self.files.items()
        ]
        return json.dumps({"id": "shop/digits", "modelId": "shop/digits", "sha": COMMIT, "siblings": siblings}).encode()

    def sha256(self, name: str) -> str:
        return hashlib.sha256(self.files[name]).hexdigest()


@pytest.fixture
def hub(web: Web) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            state.requests.append(path)
            known = path in (
                "/api/models/shop/digits/revision/main",
                "/api/models/shop/digits/revision/v7",
                f"/api/models/shop/digits/revision/{COMMIT}",
            )
            resolve = f"/shop/digits/resolve/{COMMIT}/"
            if state.private and self.headers["Authorization"] != f"Bearer {TOKEN}":
                say(self, 401, b"{}", **{"X-Error-Code": "RepoNotFound"})
            elif known:
                say(self, 200, state.info(), **{"Content-Type": "application/json"})
            elif path.startswith("/api/models/shop/digits/revision/"):
                say(self, 404, b"{}", **{"X-Error-Code": "RevisionNotFound"})
            elif path.startswith("/api/"):
                say(self, 404, b"{}", **{"X-Error-Code": "RepoNotFound"})
            elif path.startswith(resolve):
                self._file(path.removeprefix(resolve))
            else:
                say(self, 404, b"")

        def _file(self, name: str) -> None:
            if state.large is None:
                say(self, 200, state.files[name], ETag='"x"')
            else:
                say(self, 302, b"", Location=state.large.uri(f"/{state.sha256(name)}"))

    with listening(Handler) as state.port:
        yield state


def test_a_revision_is_pinned_to_its_commit(bring_alone: Bring, hub: Hub, whole: Path) -> None:
    hub.files = {"pytorch_model.bin": b"x", **{f"m/{name}": content for name, content in contents(whole).items()}}
    ended = bring_alone("hf://shop/digits@v7/m", **hub.environment)
    assert (ended.reason, ended.shown) == ("brought", contents(whole))
    assert ended.report["resolved"] == f"hf://shop/digits@{COMMIT}/m"
    assert "/api/models/shop/digits/revision/v7" in hub.requests
    assert all(f"/resolve/{COMMIT}/" in path for path in hub.requests if "/resolve/" in path)
    assert not [path for path in hub.requests if "pytorch" in path]


def test_what_exporters_put_elsewhere_comes_along(bring_alone: Bring, hub: Hub, whole: Path) -> None:
    files = contents(whole)
    hub.files = {name if name in COMPANION_FILES else f"onnx/{name}": content for name, content in files.items()}
    assert bring_alone("hf://shop/digits", **hub.environment).shown == files
    assert bring_alone("hf://shop/digits/onnx/", **hub.environment).shown == files


def test_one_file_is_a_model(bring_alone: Bring, hub: Hub, linear: Path) -> None:
    hub.files = {"onnx/model.onnx": linear.read_bytes(), "tokenizer.json": b"{}"}
    ended = bring_alone("hf://shop/digits/onnx/model.onnx", **hub.environment)
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})


def test_large_files_are_resumed_and_have_their_digest(bring_alone: Bring, hub: Hub, web: Web, linear: Path) -> None:
    hub.files, hub.large, hub.private = {"model.onnx": linear.read_bytes()}, web, True
    hub_path = f"/{hub.sha256('model.onnx')}"
    web.files[hub_path] = linear.read_bytes()
    web.breaks = [100]
    ended = bring_alone("hf://shop/digits", **hub.environment, HF_TOKEN=TOKEN)
    assert (ended.reason, [request.headers.get("range") for request in web.requests]) == (
        "brought",
        [None, "bytes=100-"],
    )
    # The Hub's token is no business of where the files are.
    assert not [request for request in web.requests if "authorization" in request.headers]
    web.files[hub_path] = bytes(len(linear.read_bytes()))
    assert bring_alone("hf://shop/digits", **hub.environment, HF_TOKEN=TOKEN).reason == "WrongDigest"


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        pytest.param("hf://shop/none", "NotFound", "there is no shop/none", id="no such repository"),
        pytest.param("hf://shop/digits@v8", "NotFound", "at revision v8", id="no such revision"),
        pytest.param("hf://shop/digits/none", "NotFound", "has no 'none'", id="no such folder"),
        pytest.param("hf://shop", "UnsupportedUri", "names no repository", id="no repository"),
        pytest.param("hf://shop/a--b..c", "UnsupportedUri", "can't be a repository's name", id="no such name"),
    ],
)
def test_a_failure_says_why(bring_alone: Bring, hub: Hub, linear: Path, uri: str, reason: str, words: str) -> None:
    hub.files = {"model.onnx": linear.read_bytes()}
    ended = bring_alone(uri, **hub.environment)
    assert (ended.reason, ended.left) == (reason, [])
    assert words in ended.report["message"]


def test_a_private_repository_needs_the_token(bring_alone: Bring, hub: Hub, linear: Path) -> None:
    hub.files, hub.private = {"model.onnx": linear.read_bytes()}, True
    refused = bring_alone("hf://shop/digits", **hub.environment, HF_TOKEN="hf_wrong")  # noqa: S106 - that is the point
    assert (refused.reason, "HF_TOKEN mustn't read it" in refused.report["message"]) == ("NotFound", True)
    assert "hf_wrong" not in refused.log
    assert bring_alone("hf://shop/digits", **hub.environment, HF_TOKEN=TOKEN).reason == "brought"


@pytest.mark.parametrize(
    ("uri", "hub_path"),
    [
        ("hf://a/b", HubPath("a/b", "main", "")),
        ("hf://a/b@refs%2Fpr%2F1/c/d.onnx", HubPath("a/b", "refs/pr/1", "c/d.onnx")),
    ],
)
def test_what_a_uri_names(uri: str, hub_path: HubPath) -> None:
    assert parse(uri) == hub_path
