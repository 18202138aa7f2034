"""warmup.json: requests that a model answers once before it is ready."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.errors import ModelRefused
from tidegate_server.inference.model import Model
from tidegate_server.inference.warm_up import MAX_SAMPLES_SECONDS, WarmUpOptions, run_samples, warm_up
from tidegate_server.predict.package import Package, open_package
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, TensorSpec

X = Signature((TensorSpec("x", "FP32", ("N", "M")),), (TensorSpec("y", "FP32", ("N", "M")),))
LIMITS = Limits()


def package(folder: Path, document: Any) -> Package:
    (folder / "warmup.json").write_bytes(orjson.dumps(document))
    return open_package(folder, X)


def of_seven_columns(folder: Path) -> Model:
    """x FP32 [N, M] -> y, for seven columns and no other number."""
    return Model.open(
        save(
            folder / "model.onnx",
            [helper.make_node("Add", ["x", "seven"], ["y"])],
            [tensor("x", TensorProto.FLOAT, ["N", "M"])],
            [tensor("y", TensorProto.FLOAT, ["N", "M"])],
            {"seven": np.ones(7, np.float32)},
        )
    )


def test_samples_are_the_first_inputs_that_are_tried(tmp_path: Path) -> None:
    model = of_seven_columns(tmp_path)
    row = [3, 1, 4, 1, 5, 9, 2]
    given = package(tmp_path, {"requests": [{"inputs": [row]}]})
    real = given.real_requests(model.signature, LIMITS)
    assert [request["x"].tolist() for request in real] == [[row]]
    accepted = warm_up(model, WarmUpOptions(cpus=1, max_rows=1), real)[1].accepted
    assert accepted is not None
    assert accepted["x"].tolist() == [row]


def test_each_sample_runs_once_and_one_that_fails_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = of_seven_columns(tmp_path)
    given = package(tmp_path, {"requests": [{"inputs": [[0] * 7] * 3}, {"inputs": [[1, 2]]}, [[1] * 7]]})
    run_samples(model, given.sample_requests(model.signature, LIMITS))
    assert caplog.messages[0].startswith("warm-up: the model fails on request 2 of its samples: ")
    assert caplog.messages[1:] == ["warm-up: 2 samples have run"]


def test_samples_have_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate_server.inference.warm_up.MAX_SAMPLES_SECONDS", 0.0)
    run_samples(of_seven_columns(tmp_path), [{"x": np.zeros((1, 7), np.float32)}] * 2)
    assert caplog.messages == ["warm-up: only 0 of 2 samples have run in 0 s"]
    assert MAX_SAMPLES_SECONDS <= 3


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], 'it must be {"requests": [...]} with 1 to 100 bodies of /predict'),
        ({"requests": []}, 'it must be {"requests": [...]} with 1 to 100 bodies of /predict'),
        ({"requests": [1], "cases": []}, 'it must be {"requests": [...]} with 1 to 100 bodies of /predict'),
        ({"requests": [[[1.0]]] * 101}, 'it must be {"requests": [...]} with 1 to 100 bodies of /predict'),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, document: Any, sentence: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        package(tmp_path, document)
    assert str(refused.value) == f"warmup.json: {sentence}"


def test_a_sample_that_the_model_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    given = package(tmp_path, {"requests": [[[1.0]], {"inputs": {"z": [1]}}]})
    with pytest.raises(ModelRefused) as refused:
        given.sample_requests(X, LIMITS)
    assert str(refused.value) == "warmup.json: request 2: the model has no input 'z'; it has x"
