"""Clients of other servers through a real Envoy: the model server behind it is the real one too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.router.conftest import OLD
from tests.server.conftest import Server
from tests.server.dialects.conftest import embedding, save_embedder
from tidegate.router.objects import Endpoint, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.router.conftest import Bench, Router

pytestmark = pytest.mark.router

TEXTS = ["Anna lives", "Bonn"]
VECTORS = [embedding(3, 4), embedding(6)]
SPLIT = {"columns": ["text"], "index": [0, 1], "data": [[text] for text in TEXTS]}


@pytest.fixture
def sentences(bench: Bench, tmp_path: Path) -> Iterator[Router]:
    """A router before a server that makes vectors of texts."""
    folder = tmp_path / "model"
    folder.mkdir()
    settings = {"TIDEGATE_MODEL_NAME": "sentiment", "TIDEGATE_REVISION": OLD, "TIDEGATE_UNMARKED_TRAFFIC": "direct"}
    server = Server(save_embedder(folder), tmp_path / "server.log", **settings)
    try:
        server.wait_until_ready()
        router = bench.router()
        router.start([bench.route((OLD, 100))], {Service("shop", OLD): (Endpoint("127.0.0.1", server.port),)})
        yield router
    finally:
        server.end()


def _openai(answer: Any) -> Any:
    return [entry["embedding"] for entry in answer["data"]]


def _predictions(answer: Any) -> Any:
    return [row["embedding"] for row in answer["predictions"]]


@pytest.mark.parametrize("by", ["host", "path"])
def test_other_servers_clients_are_answered_through_the_router(sentences: Router, bench: Bench, by: str) -> None:
    host, prefix = ("sentiment.shop", "") if by == "host" else ("10.1.2.3", "/shop/sentiment")
    calls = [
        ("/v1/embeddings", {"model": "any", "input": TEXTS}, _openai),
        ("/v1/models/sentiment:predict", {"instances": TEXTS}, _predictions),
        ("/invocations", {"dataframe_split": SPLIT}, _predictions),
        ("/", {"inputs": TEXTS}, lambda answer: answer),
    ]
    found = {}
    for path, body, vectors in calls:
        headers = {"Host": host, "Content-Type": "application/json"}
        answer = bench.ask(sentences.port, "POST", prefix + path, headers, json.dumps(body).encode())
        found[path] = (answer.status, answer.headers["x-tidegate-served-by"], vectors(json.loads(answer.text)))
    expected = [pytest.approx(vector, abs=1e-6) for vector in VECTORS]
    assert found == {path: (200, OLD, expected) for path, _, _ in calls}

    ready = bench.ask(sentences.port, "GET", f"{prefix}/v1/models/sentiment", {"Host": host})
    ping = bench.ask(sentences.port, "GET", f"{prefix}/ping", {"Host": host})
    assert (json.loads(ready.text)["ready"], ping.status) == (True, 200)


def test_what_other_servers_clients_ask_counts_as_live_traffic(sentences: Router, bench: Bench) -> None:
    headers = {"Host": "sentiment.shop", "Content-Type": "application/json"}
    body = json.dumps({"model": "any", "input": TEXTS[0]}).encode()
    assert bench.ask(sentences.port, "POST", "/v1/embeddings", headers, body).status == 200
    assert sentences.count("envoy_cluster_upstream_rq_completed", f"shop/sentiment/{OLD}") == 1
