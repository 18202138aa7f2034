"""Graphs that read a mask, and ones that read padding like words; and texts of several lengths in one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tests.server.inference.test_row_independence import quantized
from tidegate_server.inference.batch_run import run_batch
from tidegate_server.inference.model import Model
from tidegate_server.inference.queue import QueuedRequest
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, warm_up
from tidegate_server.protocol.padding import Padding, bucket
from tidegate_server.protocol.request import InferRequest, RequestedOutput
from tidegate_server.protocol.tensors import Array

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node
TABLE = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)


def ids(*lengths: int) -> list[dict[str, Array]]:
    random = np.random.default_rng(1)
    return [{"ids": random.integers(1, 50, (1, length))} for length in lengths]


def masked(folder: Path) -> Path:
    """ids INT64 [N, L] -> mean FLOAT [N, 6] over those that aren't 0, and each FLOAT [N, L, 6]."""
    return save(
        folder / "masked.onnx",
        [
            node("Gather", ["table", "ids"], ["each"]),
            node("Cast", ["ids"], ["number"], to=FLOAT),
            node("Greater", ["number", "zero"], ["is_word"]),
            node("Cast", ["is_word"], ["words"], to=FLOAT),
            node("Unsqueeze", ["words", "last"], ["weights"]),
            node("Mul", ["each", "weights"], ["weighted"]),
            node("ReduceSum", ["weighted", "along"], ["sum"], keepdims=0),
            node("ReduceSum", ["words", "along"], ["count"]),
            node("Div", ["sum", "count"], ["mean"]),
        ],
        [tensor("ids", INT64, ["N", "L"])],
        [tensor("mean", FLOAT, ["N", 6]), tensor("each", FLOAT, ["N", "L", 6])],
        {"table": TABLE, "zero": np.float32(0), "last": np.array([2]), "along": np.array([1])},
    )


def unmasked(folder: Path) -> Path:
    """The same without a mask: padding is a word among words."""
    return save(
        folder / "unmasked.onnx",
        [node("Gather", ["table", "ids"], ["each"]), node("ReduceMean", ["each", "along"], ["mean"], keepdims=0)],
        [tensor("ids", INT64, ["N", "L"])],
        [tensor("mean", FLOAT, ["N", 6])],
        {"table": TABLE, "along": np.array([1])},
    )


def found(path: Path, fill: int = 0, *, on_left: bool = False, name: str = "ids") -> Findings:
    real = [{name: row["ids"]} for row in ids(3, 5, 9, 20)]
    return warm_up(Model.open(path), WarmUpOptions(cpus=1, max_rows=8), real, Padding({name: fill}, on_left))[1]


@pytest.mark.parametrize("on_left", [False, True])
def test_padding_is_shown_to_change_nothing_and_which_outputs_go_by_tokens(tmp_path: Path, on_left: bool) -> None:
    padding = found(masked(tmp_path), on_left=on_left).padding
    assert padding == Padding({"ids": 0}, on_left, frozenset({"each"}))


@pytest.mark.parametrize(
    "path_and_fill", [pytest.param((unmasked, 0), id="no mask"), pytest.param((masked, 7), id="a word as padding")]
)
def test_padding_that_changes_an_answer_is_not_used(tmp_path: Path, path_and_fill: tuple[Any, int]) -> None:
    make, fill = path_and_fill
    findings = found(make(tmp_path), fill)
    assert (findings.padding, findings.plan.rows_are_independent, findings.plan.inline_width) == (None, True, 0)


def test_where_rows_change_one_another_padding_is_out_of_the_question(tmp_path: Path) -> None:
    assert found(quantized(tmp_path), name="x").padding is None


def queued(arrays: Mapping[str, Array], padding: Padding) -> QueuedRequest:
    request = InferRequest(dict(arrays), (RequestedOutput("mean"), RequestedOutput("each")), padding=padding)
    return QueuedRequest(request, ("mean", "each"), 1, 32, 0, 0.0, 1.0, lambda *_: None)


@pytest.mark.parametrize("on_left", [False, True])
def test_texts_of_different_lengths_in_one_run_are_answered_as_alone(tmp_path: Path, on_left: bool) -> None:
    model, names = Model.open(masked(tmp_path)), ("mean", "each")
    padding = Padding({"ids": 0}, on_left, frozenset({"each"}))
    texts = ids(3, 1, 17, 8)
    result = run_batch(model, [queued(text, padding) for text in texts], names, None)
    assert result.whole is not None
    for text, outputs in zip(texts, result.parts, strict=True):
        assert not isinstance(outputs, Exception)
        for name, alone in zip(names, model.run(text, names), strict=True):
            np.testing.assert_allclose(outputs[name], alone, rtol=1e-5)


@pytest.mark.parametrize("on_left", [False, True])
def test_texts_are_joined_as_each_would_be_lengthened(on_left: bool) -> None:
    padding = Padding({"ids": 7}, on_left)
    arrays = [np.array([[1, 2]]), np.array([[3, 4, 5], [6, 8, 9]]), np.array([[10]])]
    lengthened = [padding.padded("ids", array, 3) for array in arrays]
    assert padding.joined("ids", arrays).tolist() == np.concatenate(lengthened).tolist()


def test_short_runs_of_texts_of_one_length_are_done_in_the_event_loop(tmp_path: Path) -> None:
    plan = found(unmasked(tmp_path)).plan
    assert (plan.inline, plan.runs_inline, plan.inline_tokens >= 32) == (False, True, True)


def test_values_that_can_make_a_run_long_keep_it_out_of_the_event_loop(tmp_path: Path) -> None:
    """The number of a word says how often its value is repeated."""
    path = save(
        tmp_path / "repeated.onnx",
        [
            node("ReduceMax", ["ids"], ["most"], keepdims=0),
            node("Reshape", ["most", "one"], ["times"]),
            node("ConstantOfShape", ["times"], ["many"]),
            node("ReduceMean", ["many"], ["zero"], keepdims=0),
            node("Gather", ["table", "ids"], ["each"]),
            node("ReduceMean", ["each", "along"], ["mean"], keepdims=0),
            node("Add", ["mean", "zero"], ["shifted"]),
        ],
        [tensor("ids", INT64, ["N", "L"])],
        [tensor("shifted", FLOAT, ["N", 6])],
        {"table": TABLE, "along": np.array([1]), "one": np.array([1])},
    )
    assert not found(path).plan.runs_inline


def test_lengths_are_told_apart_by_powers_of_two() -> None:
    assert [bucket(width) for width in (1, 32, 33, 64, 65, 512)] == [32, 32, 64, 64, 128, 512]
