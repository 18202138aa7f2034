"""The server over real HTTP: what a client, a probe and a scraper see."""

import socket
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import Server, save, tensor, until
from tidegate_server import __version__

ROW = [0.0, 5.0, 1.0, 0.0]
INFER = "/v2/models/digits/infer"


def infer_body(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "pixels", "shape": [1, 4], "datatype": "FP32", "data": ROW, **changes}]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"inputs": [ROW]}, id="a list under inputs"),
        pytest.param([ROW], id="a bare list"),
        pytest.param({"inputs": {"pixels": [ROW]}}, id="inputs by name"),
    ],
)
def test_predict_answers_plainly(server: Any, body: Any) -> None:
    answer = server.ask("POST", "/predict", body)
    assert (answer.status, answer.json, answer.headers["x-tidegate-served-by"]) == (
        200,
        {"model": "digits", "revision": "digits-6f9c1d2e", "outputs": {"label": [1], "scores": [[0.0, 5.0, 1.0]]}},
        "digits-6f9c1d2e",
    )


@pytest.mark.parametrize(
    "path", [INFER, "/v2/models/digits/versions/digits-6f9c1d2e/infer", "/v2/models/digits/versions/1/infer"]
)
@pytest.mark.parametrize("data", [pytest.param(ROW, id="flat"), pytest.param([ROW], id="nested")])
def test_infer_answers_as_the_protocol_says(server: Any, path: str, data: Any) -> None:
    body = {"id": "42", **infer_body(data=data), "outputs": [{"name": "scores"}]}
    assert server.ask("POST", path, body).json == {
        "model_name": "digits",
        "model_version": "digits-6f9c1d2e",
        "id": "42",
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": [0.0, 5.0, 1.0]}],
    }


METADATA = {
    "name": "digits",
    "versions": ["digits-6f9c1d2e"],
    "platform": "onnx_onnxv1",
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
    ],
    "properties": {"sha256": ANY, "model_deployment": "shop/digits", "batching": ANY, "runtime": ANY},
}
SERVER = {
    "name": "tidegate-server",
    "version": __version__,
    "extensions": ["binary_tensor_data", "classification", "statistics"],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", SERVER),
        ("/v2/", SERVER),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/digits", METADATA),
        ("/v2/models/digits/versions/digits-6f9c1d2e", METADATA),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/digits-6f9c1d2e/ready", {"name": "digits", "ready": True}),
    ],
)
def test_the_protocols_questions_have_answers(server: Any, path: str, expected: Any) -> None:
    answer = server.ask("GET", path)
    assert (answer.status, answer.json) == (200, expected)


def test_the_whole_body_is_rejected_once_it_is_too_large_even_without_a_declared_length(server: Any) -> None:
    with closing(server.connect()) as connection:
        connection.request("POST", "/predict", iter([b" " * 10_000] * 10), encode_chunked=True)
        response = connection.getresponse()
        sentence = (
            "the body is larger than 65536 bytes (TIDEGATE_MAX_BODY_BYTES); binary tensors take a fraction of what"
        )
        assert (response.status, sentence in response.read().decode()) == (413, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        pytest.param("GET", "/nowhere", None, 404, "there is nothing at this path", id="unknown path"),
        pytest.param("GET", "/predict", None, 405, "this path has another method", id="wrong method"),
        pytest.param("POST", "/predict", b"", 400, "JSON", id="no body"),
        pytest.param("POST", "/predict", b"{", 400, "JSON", id="cut JSON"),
        pytest.param("POST", "/predict", b"\xff\xfe\xfd", 400, "JSON", id="not text"),
        pytest.param("POST", "/predict", b"[" * 60_000, 400, "depth limit", id="deeper than any tensor goes"),
        pytest.param("POST", "/predict", b"[" * 40 + b"1" + b"]" * 40, 400, "deeper", id="deeper than a tensor goes"),
        pytest.param("POST", "/predict", b" " * 70_000, 413, "larger than 65536", id="too large"),
        pytest.param("POST", "/predict", b"[[NaN,0,0,0]]", 400, "found null or NaN; set TIDEGATE_MISSING", id="NaN"),
        pytest.param("POST", "/predict", b"[[1e999,0,0,0]]", 400, "number is infinity", id="infinite"),
        pytest.param("POST", "/predict", b"[[1e99,0,0,0]]", 400, "out of the range of FP32", id="beyond FP32"),
        pytest.param(
            "POST", "/predict", b"[[" + b"9" * 5000 + b",0,0,0]]", 400, "JSON", id="a number with 5000 digits"
        ),
        pytest.param("POST", "/predict", {"instances": []}, 400, '"inputs"', id="another server's dialect"),
        pytest.param("POST", "/predict", {"inputs": {"x": 1}}, 400, "no input 'x'; it has pixels", id="unknown input"),
        pytest.param("POST", "/predict", {"inputs": {}}, 400, "input pixels is missing", id="missing input"),
        pytest.param("POST", "/v2/models/other/infer", {}, 404, "no other", id="another model"),
        pytest.param("POST", "/v2/models/digits/versions/2/infer", {}, 404, "no other", id="another version"),
        pytest.param("GET", "/v2/models/other", None, 404, "no other", id="another model's metadata"),
        pytest.param("GET", "/v2/models/other/ready", None, 404, "no other", id="another model's readiness"),
        pytest.param("POST", INFER, infer_body(datatype="FP64"), 400, "must be FP32", id="another datatype"),
        pytest.param("POST", INFER, infer_body(shape=[1, 5]), 400, "doesn't fit", id="another shape"),
        pytest.param("POST", INFER, infer_body(shape=[0, 4], data=[1]), 400, "neither", id="values without rows"),
        pytest.param("POST", INFER, infer_body(shape=[1e9]), 400, '"shape"', id="a shape that isn't sizes"),
        pytest.param("POST", INFER, infer_body(data=[1]), 400, "neither", id="too few values"),
        pytest.param("POST", INFER, {"inputs": infer_body()["inputs"] * 2}, 400, "twice", id="an input twice"),
        pytest.param(
            "POST", INFER, {**infer_body(), "outputs": [{"name": "x"}]}, 400, "no output", id="unknown output"
        ),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    server: Any, method: str, path: str, body: Any, status: int, error: str
) -> None:
    answer = server.ask(method, path, body)
    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert error in answer.json["error"]
    assert answer.headers["x-tidegate-served-by"] == "digits-6f9c1d2e"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GARBAGE\r\n\r\n", 400, id="not HTTP"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, id="a line without end"),
        pytest.param(b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n", 431, id="a header without end"),
        pytest.param(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, id="broken chunks"
        ),
        pytest.param(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[", 408, id="a stalled body"),
    ],
)
def test_what_is_hardly_http_gets_one_json_answer(server: Any, sent: bytes, status: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert received.count(b"HTTP/1.1") == 1
    assert b'{"error":' in received


def test_silent_connections_take_no_thread(server: Any) -> None:
    with ExitStack() as silent:
        for _ in range(50):
            silent.enter_context(closing(socket.create_connection(("127.0.0.1", server.port), timeout=20)))
        assert server.ask("POST", "/predict", [ROW]).status == 200


def test_the_log_has_no_stack_trace_and_no_line_per_request(server: Any) -> None:
    before = server.log.count("\n")
    for _ in range(20):
        server.ask("POST", "/predict", [ROW])
    assert (server.log.count("\n"), "Traceback" in server.log) == (before, False)


def test_an_index_beyond_the_models_table_is_the_clients_mistake(start: Any, lookup: Path) -> None:
    server = start(lookup)
    words = "indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]"
    answer = server.ask("POST", "/predict", [1, 7])
    assert (answer.status, answer.json) == (
        400,
        {"error": f"input index holds 7, which is in no table of the model: {words}"},
    )
    assert server.ask("POST", "/predict", [2, 0]).json["outputs"] == {"value": [30.0, 10.0]}


def test_a_model_that_fails_on_one_input_answers_the_others(start: Any, folder: Path) -> None:
    fours = save(
        folder / "fours.onnx",
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [tensor("y", TensorProto.FLOAT, ["M", 4])],
        {"shape": np.array([-1, 4])},
    )
    server = start(fours)
    failing = [server.ask("POST", "/predict", [7]) for _ in range(5)]
    assert [(answer.status, answer.json) for answer in failing] == [
        (500, {"error": "the model failed on this input"})
    ] * 5
    assert server.ask("POST", "/predict", [1, 2, 3, 4]).json["outputs"] == {"y": [[1.0, 2.0, 3.0, 4.0]]}
    assert 1 <= server.log.count("the model failed") < 5
    assert "cannot be reshaped to the requested shape" in server.log


def test_integers_are_taken_exactly_or_not_at_all(start: Any, lookup: Path) -> None:
    server = start(lookup)
    errors = {value: server.ask("POST", "/predict", f"[{value}]".encode()) for value in ("1.5", str(2**63), "true")}
    assert [(answer.status, answer.json["error"]) for answer in errors.values()] == [
        (400, "input index: needs whole numbers (INT64), found a fraction"),
        (400, "input index: a number is out of the range of INT64"),
        (400, "input index: needs numbers (INT64), found true or false"),
    ]
    assert server.ask("POST", "/predict", [1.0]).json["outputs"] == {"value": [20.0]}


def test_several_inputs_go_by_name_and_must_agree(start: Any, pair: Path) -> None:
    server = start(pair)

    def ask(left: Any, right: Any) -> tuple[int, Any]:
        answer = server.ask("POST", "/predict", {"inputs": {"left": left, "right": right, "words": ["ab", "ü"]}})
        return answer.status, answer.json.get("outputs", answer.json)

    assert ask([3], [2]) == (200, {"ratio": [1.5], "same": ["ab", "ü"]})
    assert ask([1], [0]) == (200, {"ratio": [None], "same": ["ab", "ü"]})
    assert ask([0], [0]) == (500, {"error": "the model answered NaN or infinity in output ratio"})
    assert ask([1, 2], [1, 2, 3]) == (400, {"error": "dimension 'N' is 2 in input left and 3 in input right"})
    assert server.ask("POST", "/predict", [1]).status == 400


def test_metrics_begin_at_zero_and_count_inference_only(start: Any, linear: Path) -> None:
    server = start(linear)
    label = 'model_deployment="shop/digits",revision="digits-6f9c1d2e"'
    first = server.metrics()
    for code in (200, 400, 500):
        assert f'tidegate_server_requests_total{{code="{code}",{label}}} 0.0' in first
    assert f'tidegate_server_request_duration_seconds_bucket{{le="+Inf",{label}}} 0.0' in first
    assert f"tidegate_server_request_duration_seconds_count{{{label}}} 0.0" in first
    assert "_created" not in first
    server.ask("POST", "/predict", [ROW])
    server.ask("POST", INFER, {})
    server.ask("GET", "/nowhere")
    second = server.metrics()
    assert f'tidegate_server_requests_total{{code="200",{label}}} 1.0' in second
    assert f'tidegate_server_requests_total{{code="400",{label}}} 1.0' in second
    assert f"tidegate_server_request_duration_seconds_count{{{label}}} 2.0" in second
    assert f"tidegate_server_requests_in_flight{{{label}}} 0.0" in second
    assert f"tidegate_server_model_info{{{label},sha256=" in second


def test_with_seventy_descriptors_and_a_hundred_and_twenty_clients_probes_are_answered(
    linear: Path, tmp_path: Path
) -> None:
    server = Server(linear, tmp_path / "log", wrapper=("prlimit", "--nofile=70:70"))
    try:
        server.wait_until_ready()
        with ExitStack() as stack:
            for _ in range(120):
                client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.port))))
                with suppress(OSError):
                    client.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(10):
                assert server.ask_admin("GET", "/v2/health/live").status == 200
        until(lambda: server.ask("GET", "/v2").status == 200, 10, lambda: server.log)
        assert "the limit of open files is 70" in server.log
    finally:
        server.end()
