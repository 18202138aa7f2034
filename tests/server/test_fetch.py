"""`tidegate-server fetch` against a real HTTP server, and what it leaves for Kubernetes to read."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.server.inference.exported import dictionary
from tests.small_http import listening
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.report import MAX_BYTES, failure_report, success_report
from tidegate_server.fetch.run import with_retries
from tidegate_server.fetch.sources import printable
from tidegate_server.protocol.signature import Signature, TensorSpec


@dataclass
class ResolvedUri:
    """A little file server. `failing` first answers are 503."""

    files: dict[str, bytes] = field(default_factory=dict)
    failing: int = 0
    cut: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    def uri(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def origin() -> Iterator[ResolvedUri]:
    state = ResolvedUri()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers["Authorization"]))
            content = state.files.get(self.path.partition("?")[0])
            state.failing, failing = max(0, state.failing - 1), state.failing > 0
            self.send_response(503 if failing else 404 if content is None else 200)
            content = b"" if failing or content is None else content
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if state.cut else content)

    with listening(Handler) as state.port:
        yield state


@dataclass(frozen=True)
class Ended:
    code: int
    report: dict[str, Any]
    log: str
    folder: Path

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def fetch(folder: Path, uri: str, **environment: str) -> Ended:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    log = folder / "termination-log"
    settings = {
        "TIDEGATE_MODEL_URI": uri,
        "TIDEGATE_MODEL_PATH": str(models / "model.onnx"),
        "TIDEGATE_TERMINATION_LOG": str(log),
        "TIDEGATE_FETCH_RETRY_SECONDS": "1",
        **environment,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tidegate_server", "fetch"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr
    report = log.read_text()
    assert len(report.encode()) <= MAX_BYTES
    return Ended(ended.returncode, json.loads(report), ended.stderr, models)


def test_a_model_is_fetched_checked_and_described(origin: ResolvedUri, linear: Path, tmp_path: Path) -> None:
    content = linear.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    origin.files["/m.onnx"] = content
    uri = origin.uri("/m.onnx?token=secret").replace("//", "//me:password@")
    ended = fetch(tmp_path, uri, TIDEGATE_MODEL_SHA256=digest.upper())
    assert (ended.code, ended.report, ended.left) == (
        0,
        {
            "sha256": digest,
            "bytes": len(content),
            "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
            ],
            "labels": {"count": 0},
        },
        ["model.onnx"],
    )
    assert origin.asked == [("/m.onnx?token=secret", "Basic bWU6cGFzc3dvcmQ=")]
    assert "secret" not in ended.log
    assert "password" not in ended.log
    again = fetch(tmp_path, uri, TIDEGATE_MODEL_SHA256=digest)
    assert (again.report, len(origin.asked)) == (ended.report, 1)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            b'["a", "b", "c"]',
            {"count": 3, "sha256": hashlib.sha256(b"a\0b\0c\0").hexdigest(), "first": ["a", "b", "c"]},
            id="names",
        ),
        pytest.param(
            b'{"labels": ["a", "b"], "output": "scores"}', None, id="names that fit no output, as the server will say"
        ),
        pytest.param(b"[", None, id="a broken file, as the server will say"),
    ],
)
def test_the_names_of_the_classes_are_reported(
    labels: bytes, expected: dict[str, Any] | None, linear: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(linear.read_bytes())
    (package / "labels.json").write_bytes(labels)
    ended = fetch(tmp_path, package.as_uri())
    assert (ended.code, ended.report.get("labels")) == (0, expected)


def test_a_file_uri_is_copied(linear: Path, tmp_path: Path) -> None:
    ended = fetch(tmp_path, linear.as_uri())
    assert (ended.code, ended.left) == (0, ["model.onnx"])
    assert ended.report["sha256"] == hashlib.sha256(linear.read_bytes()).hexdigest()


def test_a_passing_failure_is_tried_again(origin: ResolvedUri, linear: Path, tmp_path: Path) -> None:
    origin.files["/m.onnx"] = linear.read_bytes()
    origin.failing = 1
    assert (fetch(tmp_path, origin.uri("/m.onnx")).code, len(origin.asked)) == (0, 2)


@pytest.mark.parametrize(
    ("uri", "environment", "reason", "words"),
    [
        pytest.param("{origin}/none", {}, "NotFound", "no such file (404)", id="404"),
        pytest.param("{origin}/cut", {}, "Unreachable", "cut short", id="truncated"),
        pytest.param("http://127.0.0.1:1/m", {}, "Unreachable", "can't reach", id="connection refused"),
        pytest.param("{origin}/junk", {}, "NotOnnx", "isn't an ONNX model", id="a web page"),
        pytest.param("{origin}/empty", {}, "NotOnnx", "isn't an ONNX model", id="an empty file"),
        pytest.param("{origin}/half", {}, "NotOnnx", "in the middle of", id="half a model that says it is whole"),
        pytest.param("{origin}/map", {}, "UnsupportedModel", "is a map(string,tensor(float))", id="a map as input"),
        pytest.param("{origin}/external", {}, "UnsupportedModel", "in other files", id="weights elsewhere"),
        pytest.param(
            "{origin}/m", {"TIDEGATE_MODEL_SHA256": "0" * 64}, "WrongDigest", "not 000000", id="another digest"
        ),
        pytest.param("{origin}/m", {"TIDEGATE_MODEL_SHA256": "abc"}, "WrongDigest", "64 hex digits", id="no digest"),
        pytest.param("{origin}/m", {"TIDEGATE_MAX_MODEL_BYTES": "50"}, "TooLarge", "the limit is 50", id="too large"),
        pytest.param("ftp://host/m", {}, "UnsupportedUri", "hf://, http://, https://", id="unknown scheme"),
        pytest.param("/m.onnx", {}, "UnsupportedUri", "hf://, http://, https://", id="no scheme"),
        pytest.param("", {}, "UnsupportedUri", "TIDEGATE_MODEL_URI is missing", id="no URI"),
        pytest.param("file:///no/such/file", {}, "NotFound", "No such file", id="no such file"),
        pytest.param("file://{folder}", {}, "NotFound", "has no .onnx file", id="a folder without a model"),
    ],
)
def test_a_failure_says_why_and_whether_waiting_helps(
    origin: ResolvedUri,
    linear: Path,
    external: Path,
    tmp_path: Path,
    uri: str,
    environment: dict[str, str],
    reason: str,
    words: str,
) -> None:
    model = linear.read_bytes()
    origin.files |= {"/m": model, "/cut": model, "/half": model[: len(model) // 2], "/empty": b""}
    origin.files |= {"/junk": b"<html>log in first</html>"}
    mapping = dictionary(tmp_path / "map.onnx")
    origin.files |= {"/map": mapping.read_bytes(), "/external": external.read_bytes()}
    origin.cut = uri.endswith("/cut")
    (tmp_path / "empty").mkdir()
    ended = fetch(tmp_path, uri.format(origin=origin.uri(""), folder=tmp_path / "empty"), **environment)
    permanent = reason not in ("NotFound", "Unreachable")
    assert (ended.code, ended.report["reason"], ended.report["permanent"]) == (1, reason, permanent)
    assert words in ended.report["message"]
    assert ended.left == []


def test_an_old_model_survives_a_failed_fetch(origin: ResolvedUri, linear: Path, tmp_path: Path) -> None:
    fetch(tmp_path, linear.as_uri())
    ended = fetch(tmp_path, origin.uri("/none"))
    assert (ended.code, (ended.folder / "model.onnx").read_bytes()) == (1, linear.read_bytes())


def test_retries_end_with_the_time_for_them() -> None:
    clock, pauses = [0.0], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    def attempt() -> None:
        raise FetchFailed("Unreachable", "no", transient=True)

    with pytest.raises(FetchFailed):
        with_retries(attempt, 20, lambda: clock[0], pause)
    assert len(pauses) == 5
    assert 10 < clock[0] <= 20


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:pw@host:1/a/b.onnx?sig=x#y", "https://host:1/a/b.onnx"),
        ("http://[::1", "the model's URI"),
    ],
)
def test_a_uri_is_shown_without_what_may_be_secret(uri: str, shown: str) -> None:
    assert printable(uri) == shown


def test_reports_fit_into_the_termination_log() -> None:
    many = tuple(TensorSpec(f"input_{number}", "FP32", ("N", 3, 224, 224)) for number in range(200))
    report = success_report("0" * 64, 1, Signature(many, many), labels=["ü" * 200] * 100_000)
    assert len(json.dumps(report)) <= MAX_BYTES
    assert (report["sha256"], report["outputs"]) == ("0" * 64, [])
    assert (report["labels"]["count"], report["labels"]["first"]) == (100_000, [])
    assert len(json.dumps(failure_report(FetchFailed("NotOnnx", "ü" * 9000)), ensure_ascii=False).encode()) <= MAX_BYTES
