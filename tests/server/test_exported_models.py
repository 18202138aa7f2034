"""Models as converters export them, asked through every door of a running server."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import TensorProto, helper

from tests.server.conftest import Server, Start, tensor
from tests.server.inference.exported import SCORES, classifier, decoder, write

CLASSES = ["ham", "spam", "grüße"]
ROWS = np.eye(4, dtype=np.float32)[[0, 2, 3]]


@pytest.fixture(scope="module")
def spam(shared_start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return shared_start(classifier(tmp_path_factory.mktemp("spam") / "m.onnx", CLASSES))


@pytest.fixture(scope="module")
def steps(shared_start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return shared_start(decoder(tmp_path_factory.mktemp("steps") / "m.onnx"))


def by_client(module: Any, address: str, binary: bool | None, **arrays: Any) -> Any:
    """An answer by Triton's own client; `binary` where the protocol leaves a choice."""
    choice = {} if binary is None else {"binary_data": binary}
    inputs = []
    for name, array in arrays.items():
        one = module.InferInput(name, list(array.shape), "FP32")
        one.set_data_from_numpy(array, **choice)
        inputs.append(one)
    with module.InferenceServerClient(address) as client:
        return client.infer("digits", inputs)


def every_protocol(server: Server, **arrays: Any) -> list[Any]:
    http, grpc = f"127.0.0.1:{server.port}", f"127.0.0.1:{server.grpc_port}"
    return [
        by_client(tritonclient.http, http, False, **arrays),
        by_client(tritonclient.http, http, True, **arrays),
        by_client(tritonclient.grpc, grpc, None, **arrays),
    ]


def test_a_classifiers_maps_are_scores_by_every_protocol(spam: Server) -> None:
    for answer in every_protocol(spam, features=ROWS):
        assert answer.as_numpy("probabilities").tolist() == (ROWS @ SCORES).tolist()
        labels = [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label").tolist()]
        assert labels == ["ham", "grüße", "ham"]


def test_predict_gives_a_classifiers_scores_by_the_classes_names(spam: Server) -> None:
    named = {"ham": 0.5, "spam": 0.25, "grüße": 0.25}
    asked = spam.ask("POST", "/predict", {"inputs": ROWS[2:].tolist()}).json
    assert asked["outputs"] == {"label": ["ham"], "probabilities": [named]}
    rows = spam.ask("POST", "/predict", {"rows": [{"features": ROWS[2].tolist()}]}).json["rows"]
    assert rows == [{"label": "ham", "probabilities": named}]


def test_a_classifiers_classes_are_in_its_metadata_and_its_classification(spam: Server) -> None:
    metadata = spam.ask("GET", "/v2/models/digits").json
    assert json.loads(metadata["properties"]["classes.probabilities"]) == CLASSES
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
    ]
    body = {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": ROWS[2].tolist()}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
    }
    assert spam.ask("POST", "/v2/models/digits/infer", body).json["outputs"][0]["data"] == ["0.5:0:ham", "0.25:1:spam"]


def test_a_classifiers_classes_are_counted_by_name(spam: Server) -> None:
    spam.ask("POST", "/predict", {"inputs": ROWS.tolist()})
    assert 'class="grüße"' in spam.metrics()


def test_a_decoders_first_step_is_answered_by_every_protocol(steps: Server) -> None:
    new = np.ones((2, 1, 4), np.float32)
    for answer in every_protocol(steps, past=np.empty((2, 0, 4), np.float32), new=new):
        assert answer.as_numpy("present").tolist() == new.tolist()
    body = {"inputs": {"past": [[], []], "new": new.tolist()}}
    assert steps.ask("POST", "/predict", body).json["outputs"] == {"present": new.tolist()}


def test_an_empty_batch_has_an_empty_answer(spam: Server) -> None:
    for answer in every_protocol(spam, features=np.empty((0, 4), np.float32)):
        assert answer.as_numpy("probabilities").shape == (0, 3)
    assert spam.ask("POST", "/predict", {"inputs": []}).json["outputs"] == {"label": [], "probabilities": []}


def test_bfloat16_travels_in_two_bytes(start: Start, tmp_path: Path) -> None:
    kind = TensorProto.BFLOAT16
    node = helper.make_node("Identity", ["x"], ["y"])
    server = start(write(tmp_path / "m.onnx", [node], [tensor("x", kind, ["N"])], [tensor("y", kind, ["N"])], {}))
    values = np.array([1.5, -2.25, 3e38], ml_dtypes.bfloat16)
    for module, port in ((tritonclient.http, server.port), (tritonclient.grpc, server.grpc_port)):
        one = module.InferInput("x", [3], "BF16")
        one.set_data_from_numpy(values)
        with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
            found = client.infer("digits", [one]).as_numpy("y")
        assert (found.dtype, found.tolist()) == (values.dtype, values.tolist())
    assert server.ask("POST", "/predict", [1.5, -2.25]).json["outputs"] == {"y": [1.5, -2.25]}


def test_missing_values_go_in_and_out_of_a_model_that_takes_them(start: Start, tmp_path: Path) -> None:
    nodes = [helper.make_node("IsNaN", ["x"], ["missing"]), helper.make_node("Mul", ["x", "x"], ["squares"])]
    outputs = [tensor("missing", TensorProto.BOOL, ["N", 2]), tensor("squares", TensorProto.FLOAT, ["N", 2])]
    server = start(write(tmp_path / "m.onnx", nodes, [tensor("x", TensorProto.FLOAT, ["N", 2])], outputs, {}))
    for body in (b'{"inputs": [[null, 3]]}', b'{"inputs": [[NaN, 3]]}'):
        answer = server.ask("POST", "/predict", body).json["outputs"]
        assert answer == {"missing": [[True, False]], "squares": [[None, 9.0]]}


@pytest.mark.parametrize(
    ("setting", "status", "outputs"),
    [
        ("Auto", 200, {"y": [None, 1.0]}),
        ("string", 200, {"y": ["Infinity", 1.0]}),
        ("refuse", 500, None),
    ],
)
def test_infinity_in_an_answer_is_as_the_setting_says(
    start: Start, tmp_path: Path, setting: str, status: int, outputs: Any
) -> None:
    nodes = [helper.make_node("Reciprocal", ["x"], ["y"])]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [tensor("y", TensorProto.FLOAT, ["N"])],
        {},
    )
    server = start(path, TIDEGATE_NOT_FINITE=setting)
    answer = server.ask("POST", "/predict", [0.0, 1.0])
    assert (answer.status, answer.json.get("outputs")) == (status, outputs)
    data = {"name": "x", "datatype": "FP32", "shape": [2], "data": [0.0, 1.0]}
    answer = server.ask("POST", "/v2/models/digits/infer", {"inputs": [data]})
    assert (answer.status, (answer.json.get("outputs") or [{}])[0].get("data")) == (status, outputs and outputs["y"])


def test_rows_that_come_out_as_others_are_told(start: Start, tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Squeeze", ["x", "axis"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["N", "T"])],
        [tensor("y", TensorProto.FLOAT, ["T"])],
        {"axis": np.array([0])},
    )
    answer = start(path).ask("POST", "/predict", {"rows": [{"x": [1, 2, 3]}]})
    assert (answer.status, answer.json["error"]) == (
        400,
        "the model's outputs aren't one per row: 1 row gave output y the shape [3]; ask with {\"inputs\": ...}",
    )
