"""Sizes that graphs want and don't declare; requests of a self-test; and no inputs at all."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.inference.accepted_inputs import Accepted, Refused, find_accepted
from tidegate_server.inference.model import Model
from tidegate_server.inference.trial_runs import TrialBounds, TrialRuns

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def sizes(path: Path, *real: Any) -> dict[str, tuple[int, ...]]:
    """Of the inputs that were found."""
    model = Model.open(path)
    found = find_accepted(TrialRuns(model, TrialBounds(5.0, None)), model.signature, real)
    assert isinstance(found, Accepted), found
    return {name: array.shape for name, array in found.arrays.items()}


def picture(folder: Path) -> Path:
    """Three colours and a fully connected layer behind: of one size, which is declared nowhere."""
    random = np.random.default_rng(0)
    return save(
        folder / "picture.onnx",
        [
            node("Conv", ["x", "kernels"], ["seen"], strides=[4, 4]),
            node("Flatten", ["seen"], ["flat"]),
            node("MatMul", ["flat", "weights"], ["y"]),
        ],
        [tensor("x", FLOAT, ["N", "c", "h", "w"])],
        [tensor("y", FLOAT, ["N", 2])],
        {
            "kernels": random.normal(size=(2, 3, 4, 4)).astype(np.float32),
            "weights": random.normal(size=(2 * 8 * 8, 2)).astype(np.float32),
        },
    )


def test_colours_and_the_size_of_a_picture_are_found(tmp_path: Path) -> None:
    assert sizes(picture(tmp_path)) == {"x": (1, 3, 32, 32)}


def test_a_state_that_goes_with_the_samples_is_found(tmp_path: Path) -> None:
    recurrent = save(
        tmp_path / "recurrent.onnx",
        [
            node("Reshape", ["samples", "frames"], ["framed"]),
            node("GRU", ["framed", "w", "r", "", "", "state"], ["", "next"], hidden_size=4),
        ],
        [tensor("samples", FLOAT, [None, None]), tensor("state", FLOAT, [1, None, 4])],
        [tensor("next", FLOAT, [1, None, 4])],
        {
            "frames": np.array([-1, 1, 512]),
            "w": np.zeros((1, 12, 512), np.float32),
            "r": np.zeros((1, 12, 4), np.float32),
        },
    )
    assert sizes(recurrent) == {"samples": (1, 512), "state": (1, 1, 4)}


def test_a_sampling_rate_is_found(tmp_path: Path) -> None:
    rated = save(
        tmp_path / "rated.onnx",
        [
            node("Div", ["rate", "thousand"], ["kilo"]),
            node("Unsqueeze", ["kilo", "first"], ["shape"]),
            node("ConstantOfShape", ["shape"], ["window"]),
            node("Add", ["window", "bias"], ["sized"]),
            node("MatMul", ["x", "sized"], ["y"]),
        ],
        [tensor("x", FLOAT, [1, 16]), tensor("rate", INT64, [])],
        [tensor("y", FLOAT, [1])],
        {"thousand": np.array(1000), "first": np.array([0]), "bias": np.zeros(16, np.float32)},
    )
    assert sizes(rated) == {"x": (1, 16), "rate": ()}


def test_what_a_client_sends_goes_before_what_is_made_up(tmp_path: Path) -> None:
    assert sizes(picture(tmp_path), {"x": np.ones((5, 3, 35, 33), np.float32)}) == {"x": (1, 3, 35, 33)}


def test_ones_stand_in_where_zeros_have_no_answer(tmp_path: Path) -> None:
    path = save(
        tmp_path / "inverse.onnx",
        [node("Reciprocal", ["x"], ["y"])],
        [tensor("x", FLOAT, ["N", 2])],
        [tensor("y", FLOAT, ["N", 2])],
        {},
    )
    model = Model.open(path)
    found = find_accepted(TrialRuns(model, TrialBounds(5.0, None)), model.signature, ())
    assert isinstance(found, Accepted)
    assert found.outputs["y"].tolist() == [[1.0, 1.0]]


def test_where_nothing_is_taken_the_runtimes_words_are_kept(tmp_path: Path) -> None:
    path = save(
        tmp_path / "never.onnx",
        [node("Reshape", ["x", "shape"], ["y"])],
        [tensor("x", FLOAT, ["N", 3])],
        [tensor("y", FLOAT, ["M", 2])],
        {"shape": np.array([7, 11])},
    )
    model = Model.open(path)
    found = find_accepted(TrialRuns(model, TrialBounds(5.0, None)), model.signature, ())
    assert isinstance(found, Refused)
    assert "cannot be reshaped" in found.words
