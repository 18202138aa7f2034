"""Every way into the server over HTTP: small and large, plain and compressed, JSON and binary, allowed and not."""

import gzip
import hashlib
import json
import re
import struct
import threading
import zlib
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import send_request

ROW = [0.0, 5.0, 1.0, 0.0]
INFER = "/v2/models/digits/infer"
KEY = "a-key-of-the-tests-0123456789abcdef"


def infer_body(rows: int = 1, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "pixels", "shape": [rows, 4], "datatype": "FP32", "data": ROW * rows}], **more}


def binary_body(rows: int = 1, **more: Any) -> tuple[bytes, dict[str, str]]:
    values = struct.pack(f"<{4 * rows}f", *ROW * rows)
    tensor = {"name": "pixels", "shape": [rows, 4], "datatype": "FP32", "parameters": {"binary_data_size": len(values)}}
    head = json.dumps({"inputs": [tensor], **more}).encode()
    return head + values, {"Inference_Header_Content_Length": str(len(head))}


@pytest.fixture(scope="module")
def large(shared_start: Any, linear: Path) -> Any:
    """A server that takes bodies of some megabytes."""
    return shared_start(linear, TIDEGATE_MAX_BODY_BYTES="4000000")


@pytest.mark.parametrize("rows", [pytest.param(2, id="in the event loop"), pytest.param(20_000, id="in a thread")])
def test_json_is_answered_alike_wherever_it_is_read(large: Any, rows: int) -> None:
    answer = large.ask("POST", INFER, infer_body(rows, outputs=[{"name": "label"}]))
    (output,) = answer.json["outputs"]
    assert (answer.status, output["shape"], set(output["data"])) == (200, [rows], {1})
    assert answer.headers["x-tidegate-served-by"] == "digits-6f9c1d2e"


@pytest.mark.parametrize("rows", [pytest.param(2, id="small"), pytest.param(20_000, id="large")])
def test_binary_goes_in_and_out(large: Any, rows: int) -> None:
    body, headers = binary_body(rows, parameters={"binary_data_output": True}, outputs=[{"name": "scores"}])
    answer = large.ask("POST", INFER, body, **headers)
    cut = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:cut])["outputs"]
    assert (output["shape"], output["parameters"]) == ([rows, 3], {"binary_data_size": 12 * rows})
    assert struct.unpack_from("<3f", answer.body, len(answer.body) - 12) == (0.0, 5.0, 1.0)
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_compressed_bodies_are_read(large: Any, encoding: str, compress: Any) -> None:
    body = compress(json.dumps(infer_body()).encode())
    assert large.ask("POST", INFER, body, Content_Encoding=encoding).status == 200


@pytest.mark.parametrize(
    ("body", "encoding", "status", "error"),
    [
        pytest.param(gzip.compress(b" " * 4_000_001), "gzip", 413, "larger than 4000000", id="a bomb"),
        pytest.param(b"plain", "gzip", 400, "isn't valid gzip", id="not compressed at all"),
        pytest.param(gzip.compress(b"{}")[:-4], "gzip", 400, "cut short", id="cut short"),
        pytest.param(gzip.compress(b"{}") + b"more", "gzip", 400, "after the end", id="something behind it"),
        pytest.param(b"{}", "br", 415, "send gzip, deflate or none", id="another encoding"),
        pytest.param(b"{}", "gzip, gzip", 415, "send gzip, deflate or none", id="twice"),
    ],
)
def test_compressed_bodies_that_are_not_what_they_say_are_refused(
    large: Any, body: bytes, encoding: str, status: int, error: str
) -> None:
    answer = large.ask("POST", INFER, body, Content_Encoding=encoding)
    assert (answer.status, error in answer.json["error"]) == (status, True)


@pytest.mark.parametrize(
    ("accepted", "unpack"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("gzip;q=0", bytes), ("br", bytes)],
)
def test_large_answers_are_compressed_for_who_wants_it(large: Any, accepted: str, unpack: Any) -> None:
    answer = large.ask("POST", INFER, infer_body(20_000), Accept_Encoding=accepted)
    assert answer.headers.get("content-encoding", "none") == (accepted if unpack is not bytes else "none")
    assert json.loads(unpack(answer.body))["outputs"][0]["shape"] == [20_000]


@pytest.fixture(scope="module")
def guarded(shared_start: Any, linear: Path, folder: Path) -> Any:
    """A server that asks for a key."""
    (folder / "keys").write_text(f"tests:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    return shared_start(linear, TIDEGATE_API_KEYS_FILE=str(folder / "keys"))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", INFER, infer_body(), id="inference in the event loop"),
        pytest.param("POST", INFER, infer_body(20_000), id="inference in a thread"),
        pytest.param("POST", "/predict", [ROW], id="predict"),
        pytest.param("GET", "/v2/models/digits", None, id="metadata"),
        pytest.param("GET", "/openapi.json", None, id="the document"),
        pytest.param("POST", "/v2/selftest", b"", id="the self-test"),
    ],
)
def test_without_a_key_nothing_is_told_and_with_one_everything(guarded: Any, method: str, path: str, body: Any) -> None:
    refused = guarded.ask(method, path, body)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="inference"')
    assert guarded.ask(method, path, body, Authorization="Bearer wrong").status == 401
    assert guarded.ask(method, path, body, Authorization=f"Bearer {KEY}").status == 200
    assert guarded.ask(method, path, body, X_API_Key=KEY).status == 200
    assert KEY not in guarded.log


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"])
def test_health_needs_no_key(guarded: Any, path: str) -> None:
    assert guarded.ask("GET", path).status == 200


def test_how_a_request_came_is_counted_as_the_router_marked_it(start: Any, linear: Path) -> None:
    server = start(linear, TIDEGATE_UNMARKED_TRAFFIC="direct")
    for marks in ({"X-Tidegate-Traffic": "live"}, {"X-Tidegate-Traffic": "preview"}, {}):
        for path, body in ((INFER, infer_body()), ("/predict", [ROW]), (INFER, infer_body(20_000))):
            assert server.ask("POST", path, body, **marks).status == 200
    told = [line for line in server.metrics().splitlines() if line.startswith("tidegate_server_requests_total{")]
    well = [line for line in told if 'code="200"' in line]

    assert [line.rpartition(" ")[2] for line in well] == ["3.0"] * 3
    assert [re.findall(r'traffic="(\w+)"', line) for line in well] == [[], ["preview"], ["direct"]]


def test_a_request_that_is_refused_before_its_body_is_counted_as_it_came(start: Any, linear: Path) -> None:
    server = start(linear, TIDEGATE_MAX_BODY_BYTES="1000")
    assert server.ask("POST", INFER, b"x" * 1001, X_Tidegate_Traffic="preview").status == 413
    told = [line for line in server.metrics().splitlines() if line.startswith("tidegate_server_requests_total{")]
    refused = [line for line in told if 'code="413"' in line and not line.endswith(" 0.0")]
    assert [re.findall(r'traffic="(\w+)"', line) for line in refused] == [["preview"]]


def test_metrics_are_on_their_own_port_and_inference_is_not(server: Any) -> None:
    assert server.ask("GET", "/metrics").status == 404
    assert "tidegate_server_requests_total" in server.metrics()
    connection = HTTPConnection("127.0.0.1", server.admin_port, timeout=10)
    assert send_request(connection, "GET", "/v2/health/ready").json == {"ready": True}
    assert send_request(connection, "POST", "/predict", [ROW]).status == 404
    connection.close()


def test_an_overloaded_server_says_when_to_come_back(start: Any, slow: Path) -> None:
    server = start(slow, TIDEGATE_MAX_QUEUE="1", TIDEGATE_CPUS="1", TIDEGATE_REQUEST_SECONDS="2")
    answers: list[Any] = []

    def ask() -> None:
        answers.append(server.ask("POST", "/predict", b'{"inputs": 1000000000000}'))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [429] * 3 + [504] * 3
    assert {answer.headers.get("retry-after") for answer in answers if answer.status == 429} == {"1"}
    assert server.ask("POST", "/predict", b'{"inputs": 1}').status == 200


def test_probes_are_answered_while_the_model_is_busy(start: Any, slow: Path) -> None:
    server = start(slow, TIDEGATE_CPUS="1", TIDEGATE_REQUEST_SECONDS="3")
    busy = threading.Thread(target=server.ask, args=("POST", "/predict", b'{"inputs": 1000000000000}'))
    busy.start()
    for _ in range(20):
        assert server.ask("GET", "/v2/health/live").status == 200
        assert "tidegate_server_requests_in_flight" in server.metrics()
    busy.join()


def test_statistics_have_the_shape_that_load_generators_read(start: Any, linear: Path) -> None:
    server = start(linear)
    for _ in range(3):
        server.ask("POST", INFER, infer_body(2))
    (stats,) = server.ask("GET", "/v2/models/digits/stats").json["model_stats"]
    assert (stats["name"], stats["version"], stats["inference_count"]) == ("digits", "1", 6)
    assert stats["inference_stats"]["success"]["count"] == 3


def test_a_failing_self_test_keeps_the_server_from_starting(tmp_path: Path, linear: Path) -> None:
    from tests.server.test_start import run

    (tmp_path / "model.onnx").write_bytes(linear.read_bytes())
    case = {"inputs": {"pixels": [ROW]}, "outputs": {"label": [2]}}
    (tmp_path / "selftest.json").write_text(json.dumps({"cases": [case]}))
    told = tmp_path / "told"
    ended = run("serve", "--model", str(tmp_path / "model.onnx"), TIDEGATE_TERMINATION_LOG=str(told))
    assert ended.returncode == 1
    report = json.loads(told.read_text())
    assert (report["reason"], report["permanent"]) == ("SelftestFailed", True)
    assert "self-test case 1" in report["message"]


def test_the_self_test_runs_again_on_the_admin_port_and_is_nobodys_traffic(
    start: Any, tmp_path: Path, linear: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(linear.read_bytes())
    case = {"inputs": {"pixels": [ROW]}, "outputs": {"label": [1]}}
    (tmp_path / "selftest.json").write_text(json.dumps({"cases": [case] * 100}))
    server = start(tmp_path / "model.onnx")
    answer = server.ask_admin("POST", "/v2/selftest")
    assert (answer.status, answer.json) == (200, {"passed": True, "cases": 100, "failed": 0, "failures": []})
    seen = [line for line in server.metrics().splitlines() if line.startswith("tidegate_server_predictions_total{")]
    live = [line for line in seen if 'traffic="' not in line]
    assert live
    assert all(line.endswith(" 0.0") for line in live)


def test_a_stranger_cannot_have_the_self_test_run(server: Any) -> None:
    answer = server.ask("POST", "/v2/selftest")
    assert (answer.status, "admin port" in answer.json["error"]) == (403, True)
