"""Small and large JSON against a real server: what is large waits for nobody's memory and holds nobody up."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import Server, Start, save, tensor

INFER = "/v2/models/digits/infer"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def wide(folder: Path) -> Path:
    """x FP32 [N] -> y FP32 [N, 1000]: each number a thousand times."""
    return save(
        folder / "wide.onnx",
        [
            helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
            helper.make_node("Tile", ["column", "times"], ["y"]),
        ],
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [tensor("y", TensorProto.FLOAT, ["N", 1000])],
        {"axis": np.array([1]), "times": np.array([1, 1000])},
    )


@pytest.fixture(scope="module")
def serving(shared_start: Start, wide: Path) -> Server:
    return shared_start(wide)


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(
            INFER, {"inputs": [{"name": "x", "shape": [500], "datatype": "FP32", "data": list(range(500))}]}, id="v2"
        ),
        pytest.param("/predict", {"inputs": list(range(500))}, id="predict"),
    ],
)
def test_a_small_question_may_have_a_large_answer(serving: Server, path: str, body: object) -> None:
    response = serving.ask("POST", path, body)
    outputs = response.json["outputs"]
    found = np.array(outputs[0]["data"] if path == INFER else outputs["y"]).reshape(500, 1000)
    assert response.status == 200
    assert (found == np.arange(500)[:, None]).all()


def test_a_large_answer_is_compressed_for_who_wants_it(serving: Server) -> None:
    response = serving.ask("POST", "/predict", {"inputs": [7] * 50}, Accept_Encoding="gzip")
    assert response.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(response.body))["outputs"]["y"] == [[7.0] * 1000] * 50


def test_probes_are_answered_while_large_answers_are_written(serving: Server) -> None:
    body = {"inputs": [{"name": "x", "shape": [3000], "datatype": "FP32", "data": [0.1234567] * 3000}]}
    is_over = Event()

    def ask() -> int:
        try:
            return serving.ask("POST", INFER, body).status
        finally:
            is_over.set()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        probes = 0
        while not is_over.is_set():
            assert serving.ask("GET", "/v2/health/live").status == 200
            probes += 1
        assert asked.result() == 200
    assert probes > 10


def test_lists_without_end_are_refused_before_they_are_read(serving: Server) -> None:
    body = b"[" + b"[]," * (16 * MEBIBYTE // 3 - 10) + b"[]]"
    before = peak_bytes(serving)
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: serving.ask("POST", "/predict", body), range(4)))
    assert {response.status for response in responses} == {413}
    assert "lists and objects" in responses[0].json["error"]
    assert peak_bytes(serving) - before < 200 * MEBIBYTE
