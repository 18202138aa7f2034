"""Keys over every protocol of a real server, and how it counts whom it rejects."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.server.conftest import Server
from tidegate_server.access.api_keys import new_key
from tidegate_server.rpc import open_inference_pb2 as pb

INPUT = {"inputs": [{"name": "pixels", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 0, 0]}]}
INFER = "/v2/models/digits/infer"
KEY, OLD_KEY = new_key("shop"), new_key("old")


@pytest.fixture(scope="module")
def guarded(shared_start: Any, linear: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"# callers\n{KEY.line}\n")
    server: Server = shared_start(linear, TIDEGATE_API_KEYS_FILE=str(keys), TIDEGATE_ACCESS_LOG="all")
    return server


def call(server: Server, method: str, request: Any, answer: Any, *metadata: tuple[str, str]) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        ask = channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return ask(request, timeout=10, metadata=metadata)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", INFER, INPUT, id="infer"),
        pytest.param("POST", "/predict", {"instances": [[0, 1, 0, 0]]}, id="predict"),
        pytest.param("POST", INFER, b"x" * 200_000, id="a body too large for the event loop"),
        pytest.param("POST", "/v1/embeddings", {"input": "a"}, id="embeddings"),
        pytest.param("POST", "/v1/models/digits:predict", {"instances": [[0, 1, 0, 0]]}, id="instances"),
        pytest.param("POST", "/invocations", {"inputs": [[0, 1, 0, 0]]}, id="invocations"),
        pytest.param("POST", "/api/v1.0/predictions", {"data": {"ndarray": [[0, 1, 0, 0]]}}, id="ndarray"),
        pytest.param("POST", "/", {"inputs": "a"}, id="a pipeline"),
        pytest.param("GET", "/v1/models", None, id="names of models"),
        pytest.param("GET", "/version", None, id="the version"),
        pytest.param("GET", "/v2/models/digits", None, id="metadata"),
        pytest.param("GET", "/v2/models/digits/stats", None, id="statistics"),
        pytest.param("GET", "/nothing/here", None, id="a path that isn't there"),
    ],
)
def test_without_a_key_there_is_401(guarded: Server, method: str, path: str, body: Any) -> None:
    for headers in ({}, {"Authorization": f"Bearer {OLD_KEY.key}"}, {"X_API_Key": OLD_KEY.key}):
        answer = guarded.ask(method, path, body, **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="inference"')
        assert list(answer.json) == ["error"]


@pytest.mark.parametrize("header", ["Authorization", "authorization", "X_API_Key"])
def test_with_a_key_there_is_an_answer(guarded: Server, header: str) -> None:
    value = KEY.key if header == "X_API_Key" else f"Bearer {KEY.key}"
    assert guarded.ask("POST", INFER, INPUT, **{header: value}).status == 200
    assert guarded.ask("GET", "/v2/models/digits", **{header: value}).status == 200


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"])
def test_a_kubelet_needs_no_key(guarded: Server, path: str) -> None:
    assert guarded.ask("GET", path).status == 200


def test_grpc_asks_for_the_same_keys(guarded: Server) -> None:
    request = pb.ServerMetadataRequest()
    for metadata in ((), (("authorization", f"Bearer {OLD_KEY.key}"),)):
        with pytest.raises(grpc.RpcError) as caught:
            call(guarded, "ServerMetadata", request, pb.ServerMetadataResponse, *metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    for pair in (("authorization", f"Bearer {KEY.key}"), ("x-api-key", KEY.key)):
        assert call(guarded, "ServerMetadata", request, pb.ServerMetadataResponse, pair).name
    assert call(guarded, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse).ready


def test_refused_callers_are_counted_and_metrics_need_no_key(guarded: Server) -> None:
    def refused() -> float:
        lines = guarded.metrics().splitlines()
        (line,) = [line for line in lines if line.startswith('tidegate_server_requests_total{code="401"')]
        return float(line.split()[-1])

    before = refused()
    guarded.ask("POST", INFER, INPUT)
    guarded.ask("GET", "/v2/models/digits")
    assert refused() == before + 1


def test_no_key_is_in_the_log(guarded: Server) -> None:
    guarded.ask("POST", f"{INFER}?key={KEY.key}", INPUT, Authorization=f"Bearer {KEY.key}")
    guarded.ask("POST", INFER, INPUT, Authorization=f"Bearer {OLD_KEY.key}")
    assert "inference is for callers with API keys (1 of them)" in guarded.log
    for secret in (KEY.key, KEY.line.partition(":")[2], OLD_KEY.key):
        assert secret not in guarded.log
        assert secret not in guarded.metrics()
