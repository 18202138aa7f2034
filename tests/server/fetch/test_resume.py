"""Broken downloads go on where they stopped: in the same container, in the next one, and never with another file."""

import hashlib
from pathlib import Path

import pytest

from tests.server.fetch.conftest import Bring, Web, contents
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch.parts import PIECE_BYTES
from tidegate_server.fetch.run import with_retries


def ranges(web: Web) -> list[str | None]:
    return [request.headers.get("range") for request in web.requests]


def test_a_broken_connection_is_resumed(bring: Bring, web: Web, linear: Path) -> None:
    web.files["/m.onnx"] = linear.read_bytes()
    web.breaks = [100]
    ended = bring(web.uri("/m.onnx"))
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})
    assert ranges(web) == [None, "bytes=100-"]
    assert web.requests[1].headers["if-range"] == web.etag(linear.read_bytes())


def test_the_next_container_goes_on_where_the_last_one_stopped(bring: Bring, web: Web, linear: Path) -> None:
    web.files["/m.onnx"] = linear.read_bytes()
    web.breaks = [100]
    # The query is a signature that is new for every container; it isn't kept, and says nothing of the file.
    stopped = bring(web.uri("/m.onnx?sig=first"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (stopped.reason, stopped.report["permanent"], len(stopped.left)) == ("Unreachable", False, 2)
    assert b"first" not in b"".join(path.read_bytes() for path in stopped.folder.rglob("*.json"))
    ended = bring(web.uri("/m.onnx?sig=second"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (ended.reason, ended.left) == ("brought", ["model.onnx"])
    assert ended.report["sha256"] == hashlib.sha256(linear.read_bytes()).hexdigest()
    assert ranges(web) == [None, "bytes=100-"]


def test_a_file_that_changed_meanwhile_starts_over(bring: Bring, web: Web, linear: Path, lookup: Path) -> None:
    web.files["/m.onnx"] = lookup.read_bytes()
    web.breaks = [100]
    bring(web.uri("/m.onnx"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    web.files["/m.onnx"] = linear.read_bytes()
    ended = bring(web.uri("/m.onnx"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": linear.read_bytes()})


def test_another_uris_beginning_is_not_used(bring: Bring, web: Web, linear: Path) -> None:
    web.files = {"/a.onnx": linear.read_bytes(), "/b.onnx": linear.read_bytes()}
    web.breaks = [100]
    bring(web.uri("/a.onnx"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert bring(web.uri("/b.onnx")).reason == "brought"
    assert ranges(web) == [None, None]


def test_without_a_version_nothing_is_kept(bring: Bring, web: Web, linear: Path) -> None:
    web.files["/m.onnx"] = linear.read_bytes()
    web.etags, web.breaks = False, [100]
    ended = bring(web.uri("/m.onnx"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    assert (ended.reason, ended.left) == ("Unreachable", [])


def test_files_that_are_complete_are_not_fetched_twice(bring: Bring, web: Web, whole: Path) -> None:
    web.files = {f"/m/{name}": content for name, content in contents(whole).items()}
    size = len(contents(whole)["model.onnx"])
    web.breaks = [10**6, 50]
    ended = bring(web.uri("/m/"))
    assert (ended.reason, ended.shown) == ("brought", contents(whole))
    paths = [(request.path, request.headers.get("range")) for request in web.requests]
    assert paths[:4] == [
        ("/m/model.onnx", None),
        ("/m/weights.bin", None),
        ("/m/model.onnx", f"bytes={size}-"),
        ("/m/weights.bin", "bytes=50-"),
    ]


def test_a_resumed_file_with_a_wrong_digest_starts_over(bring: Bring, web: Web, linear: Path) -> None:
    content = linear.read_bytes()
    web.files["/m.onnx"] = content
    web.breaks = [100]
    stopped = bring(web.uri("/m.onnx"), TIDEGATE_FETCH_RETRY_SECONDS="0")
    part = next(stopped.folder.rglob("*.part"))
    part.write_bytes(b"\0" * 100)
    ended = bring(web.uri("/m.onnx"), TIDEGATE_MODEL_SHA256=hashlib.sha256(content).hexdigest())
    assert (ended.reason, ended.shown) == ("brought", {"model.onnx": content})
    assert ranges(web) == [None, "bytes=100-", None]


@pytest.mark.parametrize(("step", "attempts"), [(PIECE_BYTES, 7), (PIECE_BYTES // 4, 5)], ids=["gets on", "crawls"])
def test_whoever_gets_on_is_given_the_whole_time_again(step: int, attempts: int) -> None:
    clock, received, tried = [0.0], [0], [0]

    def pause(seconds: float) -> None:
        clock[0] += seconds

    def attempt() -> str:
        tried[0] += 1
        received[0] += step if tried[0] < 4 else 0
        raise FetchFailed("Unreachable", "no", transient=True)

    with pytest.raises(FetchFailed):
        with_retries(attempt, 12, lambda: clock[0], pause, lambda: received[0])
    assert tried[0] == attempts
