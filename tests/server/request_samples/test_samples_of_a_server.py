"""A real server that keeps samples of requests, and who gets them."""

import json
from base64 import b64decode
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Response, Server, send_request

KEY = "0123456789abcdef"
PATH = "/v2/request-samples"
ROW = b'{"inputs": [[0, 5, 1, 0]]}'
INFER = "/v2/models/digits/infer"
BODY = {"inputs": [{"name": "pixels", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 0, 0]}]}
CONNECTIONS = 24
"""The kernel deals them out by their ports: that one of two processes gets none has a chance of 1 in 8 million."""


def take(server: Server, query: str = "", key: str = KEY, method: str = "POST") -> Response:
    with closing(HTTPConnection("127.0.0.1", server.admin_port, timeout=20)) as connection:
        return send_request(connection, method, PATH + query, Authorization=f"Bearer {key}")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    return file


def started(start: Any, model: Path, key_file: Path, **more: str) -> Server:
    server: Server = start(
        model, TIDEGATE_REQUEST_SAMPLES="100", TIDEGATE_REQUEST_SAMPLES_KEY_FILE=str(key_file), **more
    )
    return server


def test_users_requests_are_had_once_by_whoever_has_the_key(start: Any, linear: Path, key_file: Path) -> None:
    server = started(start, linear, key_file)
    server.ask("POST", "/predict", ROW)
    server.ask("POST", INFER, BODY, content_type="application/json")
    server.ask("POST", INFER, BODY, x_tidegate_traffic="preview")
    server.ask("POST", "/predict", b"no JSON")

    assert take(server, key="another key of 16").status == 401
    found = [(each["target"], each["contentType"], b64decode(each["body"])) for each in take(server).json["samples"]]
    assert found == [(INFER, "application/json", json.dumps(BODY).encode()), ("/predict", "", ROW)]
    assert take(server).json == {"samples": []}
    assert ROW.decode() not in server.log


@pytest.mark.parametrize(
    ("key", "query", "method", "status", "sentence"),
    [
        pytest.param(
            "",
            "",
            "POST",
            401,
            "the samples of requests are for whoever sends their key as a bearer token",
            id="no key",
        ),
        pytest.param(KEY, "?most=0", "POST", 400, "most must be a whole number from 1 to 100", id="none of them"),
        pytest.param(KEY, "?most=101", "POST", 400, "most must be a whole number from 1 to 100", id="too many at once"),
        pytest.param(KEY, "", "GET", 405, "this path has another method", id="reading would take them"),
    ],
)
def test_what_is_refused(
    start: Any, linear: Path, key_file: Path, key: str, query: str, method: str, status: int, sentence: str
) -> None:
    answer = take(started(start, linear, key_file), query, key, method)

    assert (answer.status, answer.json) == (status, {"error": sentence})


def test_a_key_may_change_be_too_short_or_be_away_while_the_server_serves(
    start: Any, linear: Path, key_file: Path
) -> None:
    server = started(start, linear, key_file)
    key_file.write_text("fedcba9876543210")
    statuses = [take(server).status, take(server, key="fedcba9876543210").status]
    key_file.write_text("short")
    statuses += [take(server, key="short").status]
    key_file.unlink()
    away = take(server)

    assert statuses == [401, 200, 503]
    assert (away.status, away.json["error"]) == (
        503,
        "TIDEGATE_REQUEST_SAMPLES_KEY_FILE: it can't be read (No such file or directory), so nobody gets samples",
    )
    assert server.ask("POST", "/predict", ROW).status == 200


def test_none_are_kept_unless_asked_for(start: Any, linear: Path) -> None:
    answer = take(start(linear))

    assert (answer.status, answer.json) == (
        404,
        {"error": "this server keeps no samples of requests: TIDEGATE_REQUEST_SAMPLES isn't set"},
    )


def test_the_port_for_users_has_no_samples(start: Any, linear: Path, key_file: Path) -> None:
    server = started(start, linear, key_file)

    assert server.ask("POST", PATH, Authorization=f"Bearer {KEY}").status == 404


def test_those_of_all_processes_are_given(start: Any, linear: Path, key_file: Path) -> None:
    server = started(start, linear, key_file, TIDEGATE_PROCESSES="2")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(closing(server.connect()))
            assert send_request(connection, "POST", "/predict", ROW).status == 200

    assert len(take(server).json["samples"]) == CONNECTIONS
