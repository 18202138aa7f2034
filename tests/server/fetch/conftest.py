"""Runs `fetch` the way a pod does, and what it can be given: a folder with everything, and a server for it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tests.small_http import listening, say
from tidegate_server.fetch.report import MAX_BYTES
from tidegate_server.fetch.run import fetch

COMPANION_FILES = {"tokenizer.json": b'{"version": "1.0"}', "labels.json": b'["no", "yes"]', "selftest.json": b"{}"}


@dataclass(frozen=True)
class Ended:
    code: int
    report: dict[str, Any]
    log: str
    folder: Path

    @property
    def reason(self) -> str:
        """Of a failure; for a success `brought`."""
        return str(self.report.get("reason", "brought"))

    @property
    def left(self) -> list[str]:
        """All files beside the model, hidden ones too."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    @property
    def shown(self) -> dict[str, bytes]:
        """The files that the server will see, and what is in them."""
        return {name: (self.folder / name).read_bytes() for name in self.left if not name.startswith(".")}


Bring = Callable[..., Ended]


@pytest.fixture
def bring(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Bring:
    """`fetch` in this process: `bring(uri, TIDEGATE_...=value)`. Every call has the same place for the model."""

    def run(uri: str, **environment: str) -> Ended:
        environ = _environ(tmp_path, uri, environment)
        caplog.clear()
        with caplog.at_level("INFO"):
            code = fetch(environ)
        return Ended(code, _read_report(tmp_path), caplog.text, tmp_path / "models")

    return run


@pytest.fixture
def bring_alone(tmp_path: Path) -> Bring:
    """The same in a process of its own, for libraries that read the environment and start threads."""

    def run(uri: str, **environment: str) -> Ended:
        environ = _environ(tmp_path, uri, environment)
        command = [sys.executable, "-m", "tidegate_server", "fetch"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, _read_report(tmp_path), done.stderr, tmp_path / "models")

    return run


def _environ(folder: Path, uri: str, environment: dict[str, str]) -> dict[str, str]:
    (folder / "models").mkdir(exist_ok=True)
    settings = {
        "TIDEGATE_MODEL_URI": uri,
        "TIDEGATE_MODEL_PATH": str(folder / "models" / "model.onnx"),
        "TIDEGATE_TERMINATION_LOG": str(folder / "termination-log"),
        "TIDEGATE_FETCH_RETRY_SECONDS": "1",
        # Asking it takes half a second; the tests that are about it ask for it.
        "TIDEGATE_CHECK_MODEL": "off",
    }
    return {**os.environ, **settings, **environment}


def _read_report(folder: Path) -> dict[str, Any]:
    text = (folder / "termination-log").read_bytes()
    assert len(text) <= MAX_BYTES
    report: dict[str, Any] = json.loads(text)
    return report


@pytest.fixture
def whole(external: Path, tmp_path: Path) -> Path:
    """A folder with a graph, its weights in a file of their own, and everything else that a server reads."""
    folder = tmp_path / "whole"
    folder.mkdir()
    shutil.copy(external, folder / "model.onnx")
    shutil.copy(external.with_name("weights.bin"), folder / "weights.bin")
    for name, content in COMPANION_FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 40 MB, all of it weights that nothing packs."""
    size = 10**7
    return save(
        tmp_path_factory.mktemp("big") / "big.onnx",
        [helper.make_node("Add", ["pixels", "weights"], ["sum"])],
        [tensor("pixels", TensorProto.FLOAT, [size])],
        [tensor("sum", TensorProto.FLOAT, [size])],
        {"weights": np.random.default_rng(7).random(size, np.float32)},
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_sha256(files: dict[str, bytes]) -> str:
    """What `sha256sum $(ls | sort) | sort | sha256sum` says."""
    lines = sorted(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass
class GetRequest:
    path: str
    headers: dict[str, str]


@dataclass
class Web:
    """A file server with ranges and ETags. `breaks`: after how many bytes it drops the connection, once each."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    requests: list[GetRequest] = field(default_factory=list)
    port: int = 0

    def uri(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def etag(self, content: bytes) -> str:
        return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


@pytest.fixture
def web() -> Iterator[Web]:
    yield from serve_web()


@pytest.fixture
def other_web() -> Iterator[Web]:
    """Another host, as far as credentials go: another port."""
    yield from serve_web()


def serve_web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(GetRequest(self.path, {name.lower(): value for name, value in self.headers.items()}))
            path = self.path.partition("?")[0]
            if path in state.redirects:
                say(self, 302, Location=state.redirects[path])
            elif path not in state.files:
                self.send_error(404)
            else:
                self._file(state.files[path])

        def _file(self, content: bytes) -> None:
            tag, span = state.etag(content), self.headers.get("Range")
            fits = not state.etags or self.headers.get("If-Range", tag) == tag
            start = int(span.removeprefix("bytes=").rstrip("-")) if span and fits else 0
            if start and start >= len(content):
                say(self, 416, b"", **{"Content-Range": f"bytes */{len(content)}"})
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if state.etags:
                self.send_header("ETag", tag)
            rest = content[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: state.breaks.pop(0)] if state.breaks else rest)

    with listening(Handler) as state.port:
        yield state


_MODULES = Path(__file__).parent / "programs"
_PACKAGES = {
    "registry": ("v3.1.2", "github.com/distribution/distribution/v3/cmd/registry"),
    "cosign": ("v3.1.3", "github.com/sigstore/cosign/v3/cmd/cosign"),
    "versitygw": ("v1.8.0", "github.com/versity/versitygw/cmd/versitygw"),
    "fake-gcs-server": ("v1.56.1", "github.com/fsouza/fake-gcs-server"),
}


@pytest.fixture(scope="session")
def store_program() -> Callable[[str], Path]:
    """A registry or an object store from the cache, or built from the Go modules that this folder names: a minute.

    Skips the test where it can't be had.
    """
    programs = pytest.importorskip("tidegate_demo.cluster.programs")
    locks = pytest.importorskip("tidegate_demo.cluster.locks")
    errors = pytest.importorskip("tidegate_demo.cluster.errors")

    def find(name: str) -> Path:
        version, package = _PACKAGES[name]
        wanted = programs.Program(name, version, "", "", "", str(_MODULES / name), package)
        place: Path | None = programs.in_cache(wanted)
        if place is not None:
            return place
        try:
            with locks.alone(programs.cache_folder() / "programs" / ".lock", "getting programs"):
                place = programs.find(wanted, (programs.in_cache, programs.built))
        except errors.ClusterError as error:
            pytest.skip(str(error))
        return place

    return find
