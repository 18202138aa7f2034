"""A real server process that is asked as other servers are: by HTTP, with keys, limits, counts and errors as on /v2."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import REVISION, Server, Start
from tests.server.dialects.conftest import embedding
from tidegate_server import __version__

ROW = [0, 0, 5, 1]
FIVE = {"label": 2, "scores": [0.0, 0.0, 5.0]}


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory, embedder: Path) -> Iterator[Server]:
    server = Server(embedder, tmp_path_factory.mktemp("log") / "log", TIDEGATE_MODEL_NAME="words")
    server.wait_until_ready()
    yield server
    server.end()


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/models/digits:predict", {"instances": [ROW]}, {"predictions": [FIVE]}),
        ("/invocations", {"dataframe_split": {"columns": [0, 1, 2, 3], "data": [ROW]}}, {"predictions": [FIVE]}),
        ("/invocations", {"inputs": []}, {"predictions": []}),
        (
            "/api/v1.0/predictions",
            {"data": {"ndarray": [ROW]}},
            {
                "data": {"names": ["t:0", "t:1", "t:2"], "ndarray": [[0.0, 0.0, 5.0]]},
                "meta": {"requestPath": {"digits": REVISION}},
            },
        ),
    ],
)
@pytest.mark.parametrize("way", ["on the loop", "in a thread"])
def test_a_body_of_another_servers_is_answered_in_its_form(
    server: Server, path: str, body: Any, expected: Any, way: str
) -> None:
    given, headers = (
        (body, {}) if way == "on the loop" else (gzip.compress(json.dumps(body).encode()), {"content_encoding": "gzip"})
    )
    answer = server.ask("POST", path, given, content_type="application/json", **headers)
    assert (answer.status, answer.json) == (200, expected)
    assert answer.headers["x-tidegate-served-by"] == REVISION


def test_texts_are_answered_as_openai_and_hugging_face_do(embeddings: Server) -> None:
    answer = embeddings.ask("POST", "/v1/embeddings?x=1", {"model": "m", "input": ["Anna lives", "Bonn"]})
    expected = [pytest.approx(embedding(3, 4), abs=1e-7), pytest.approx(embedding(6), abs=1e-7)]
    assert [entry["embedding"] for entry in answer.json["data"]] == expected
    assert embeddings.ask("POST", "/", {"inputs": "Bonn"}).json == expected[1:]
    assert embeddings.ask("POST", "/predict", {"text": "Bonn"}).json["embedding"] == expected[1]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "/v1/models/digits:predict",
            {"instances": 3},
            {"error": "instances must be a list with an entry for each row"},
        ),
        (
            "/v1/embeddings",
            {"input": []},
            {
                "error": {
                    "message": "input must be a text or a list of texts, and not empty",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                }
            },
        ),
        (
            "/invocations",
            {"inputs": [[1]]},
            {"error_code": "BAD_REQUEST", "message": "input pixels: shape [1, 1] doesn't fit [-1, 4] (-1 is any size)"},
        ),
        (
            "/api/v1.0/predictions",
            {"data": {"ndarray": [[1]]}},
            {
                "status": {
                    "code": 400,
                    "info": "input pixels: shape [1, 1] doesn't fit [-1, 4] (-1 is any size)",
                    "reason": "",
                    "status": "FAILURE",
                }
            },
        ),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_dialect(server: Server, path: str, body: Any, expected: Any) -> None:
    answer = server.ask("POST", path, body)
    assert (answer.status, answer.json) == (400, expected)


def test_a_body_that_is_too_large_or_of_another_kind_has_the_same_status_as_anywhere(server: Server) -> None:
    assert server.ask("POST", "/invocations", b" " * 70_000).status == 413
    assert server.ask("POST", "/invocations", b"<a/>", content_type="application/xml").status == 415
    assert server.ask("POST", "/v1/models/other:predict", {"instances": [ROW]}).status == 404
    assert server.ask("GET", "/invocations").status == 405


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ping", {"ready": True}),
        ("/health", {"ready": True}),
        ("/health?x", {"ready": True}),
        (
            "/v1/models",
            {
                "object": "list",
                "data": [{"id": "digits", "object": "model", "created": 0, "owned_by": "tidegate"}],
                "models": ["digits"],
            },
        ),
        (
            "/v1/models/digits",
            {
                "id": "digits",
                "object": "model",
                "created": 0,
                "owned_by": "tidegate",
                "name": "digits",
                "ready": True,
            },
        ),
    ],
)
def test_others_questions_about_the_server_are_answered(server: Server, path: str, expected: Any) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.json) == (200, expected)


def test_the_version_is_text_and_another_model_is_not_there(server: Server) -> None:
    assert server.ask("GET", "/version").body.decode() == __version__
    assert server.ask("GET", "/v1/models/other").status == 404


def test_what_comes_by_a_dialect_is_counted(server: Server) -> None:
    def count(word: str) -> float:
        lines = [line for line in server.metrics().splitlines() if line.startswith("tidegate_server_") and word in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    words = 'protocol="dialect"', 'requests_total{code="400"'
    before = [count(word) for word in words]
    server.ask("POST", "/invocations", {"inputs": [ROW]})
    server.ask("POST", "/invocations", {})
    assert [count(word) - was for word, was in zip(words, before, strict=True)] == [2, 1]


def test_vertex_ai_says_by_its_own_variables_where_it_asks(start: Start, linear: Path) -> None:
    server = start(linear, AIP_PREDICT_ROUTE="/predict", AIP_HEALTH_ROUTE="/isalive")
    assert server.ask("GET", "/isalive").status == 200
    for path in ("/predict", "/predict?x=1"):
        answer = server.ask("POST", path, {"instances": [ROW], "parameters": {}})
        assert (answer.status, answer.json) == (200, {"predictions": [FIVE]})
