"""Measured on real models."""

import logging
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import tidegate_server.inference.warm_up as warm_up_module
from tests.server.conftest import save, tensor
from tidegate_server.inference import measuring
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import has_data_dependent_time, operators
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, warm_up
from tidegate_server.memory import resident_bytes, tune_malloc

OPTIONS = WarmUpOptions(cpus=2, max_rows=16)


def found(path: Path, options: WarmUpOptions = OPTIONS) -> Findings:
    return warm_up(Model.open(path), options)[1]


def test_a_tiny_model_is_batched_in_the_event_loop(linear: Path) -> None:
    plan = found(linear).plan
    assert (plan.inline, plan.max_rows > 1, plan.run_seconds < 1e-3) == (True, True, True)


def test_rows_that_look_at_each_other_are_never_batched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mixing = save(
        tmp_path / "mixing.onnx",
        [helper.make_node("Softmax", ["x"], ["y"], axis=0)],
        [tensor("x", TensorProto.FLOAT, ["N", 4])],
        [tensor("y", TensorProto.FLOAT, ["N", 4])],
        {},
    )
    assert found(mixing).plan.max_rows == 1
    assert "depends on the rows beside it" in caplog.text


@pytest.mark.parametrize(
    ("options", "max_rows"),
    [(WarmUpOptions(cpus=1, max_rows=1), 1), (WarmUpOptions(cpus=1, max_rows=4, threads_per_run=1), 4)],
)
def test_settings_overrule_what_is_measured(linear: Path, options: WarmUpOptions, max_rows: int) -> None:
    assert found(linear, options).plan.max_rows <= max_rows


def test_a_model_whose_inputs_nobody_finds_gets_the_plain_plan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    never = save(
        tmp_path / "never.onnx",
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["N", 3])],
        [tensor("y", TensorProto.FLOAT, ["M", 2])],
        {"shape": np.array([7, 11])},
    )
    findings = found(never)
    assert (findings.plan.max_rows, findings.plan.inline, findings.plan.run_seconds) == (1, False, 0.0)
    assert findings.batching == "off: no inputs were found that the model takes; a selftest.json would have some"
    assert "starts without a warm-up" in caplog.text


def test_loops_are_seen_even_inside_of_graphs(slow: Path, linear: Path) -> None:
    assert {name for _, name in operators(slow)} == {"Loop", "Identity", "Add"}
    assert [has_data_dependent_time(operators(path)) for path in (slow, linear)] == [True, False]


def test_the_plan_is_told(linear: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    warm_up(Model.open(linear), OPTIONS)
    assert "2 runs at once with 1 threads each" in caplog.text


def convolutions(folder: Path, channels: int = 32, size: int = 256) -> Path:
    """x FP32 [N, 1, size, size] -> y FP32 [N]: some dozens of megabytes for each row on the way."""
    random = np.random.default_rng(0)
    wide = random.normal(size=(channels, channels, 3, 3)).astype(np.float32) / channels
    return save(
        folder / "convolutions.onnx",
        [
            helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["a", "wide"], ["b"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalMaxPool", ["b"], ["most"]),
            helper.make_node("Flatten", ["most"], ["flat"]),
            helper.make_node("ReduceSum", ["flat", "along"], ["y"], keepdims=0),
        ],
        [tensor("x", TensorProto.FLOAT, ["N", 1, size, size])],
        [tensor("y", TensorProto.FLOAT, ["N"])],
        {"first": random.normal(size=(channels, 1, 3, 3)).astype(np.float32), "wide": wide, "along": np.array([1])},
    )


FRESH_PROCESS = """
import sys
from pathlib import Path
from tidegate_server.inference.model import Model
from tidegate_server.inference.warm_up import WarmUpOptions, warm_up
from tidegate_server.memory import resident_bytes, tune_malloc

Model.give_memory_back = lambda *_: None  # so that the most of all trials is seen
tune_malloc()
model = Model.open(Path(sys.argv[1]))
held = resident_bytes()
limit = 2 * (held + 2**26)
findings = warm_up(model, WarmUpOptions(cpus=2, max_rows=64, memory_limit=limit))[1]
print(findings.plan.max_rows <= 2, resident_bytes() <= 0.75 * limit)
"""


def test_rows_that_do_not_fit_into_half_of_the_memory_are_never_tried_together(tmp_path: Path) -> None:
    # Of its own, since a process that has freed memory before doesn't grow by all that a run takes.
    command = [sys.executable, "-c", FRESH_PROCESS, str(convolutions(tmp_path))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True True\n"


def test_a_run_longer_than_a_request_should_wait_is_not_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MAX_BATCH_SECONDS", 0.0)
    monkeypatch.setattr(warm_up_module, "MAX_BATCH_SECONDS", 0.0)
    findings = found(convolutions(tmp_path, 4, 64))
    assert (findings.plan.max_rows, findings.plan.rows_are_independent) == (1, True)
    assert findings.batching.startswith("off: two rows would take more than 0 s")


def test_warming_up_ends_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up_module, "MAX_WARM_UP_SECONDS", 0.5)
    began = perf_counter()
    assert found(convolutions(tmp_path, 48, 512)).plan.max_rows == 1
    assert perf_counter() - began < 15


def test_memory_of_the_largest_trial_is_given_back(tmp_path: Path) -> None:
    tune_malloc()
    model = Model.open(convolutions(tmp_path))
    one = np.zeros((1, 1, 256, 256), np.float32)
    for rows in (1, 16):
        model.run({"x": np.repeat(one, rows, axis=0)}, ["y"])
    before = resident_bytes()
    model.give_memory_back({"x": one})
    assert before - resident_bytes() > 2**26


def test_memory_of_one_way_to_run_is_given_back_before_another_is_tried(
    linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    give_back, opened = Model.give_memory_back, Model.with_threads

    def given_back(model: Model, arrays: dict[str, Any]) -> None:
        done.append("given back")
        give_back(model, arrays)

    def with_threads(model: Model, threads_per_run: int) -> Model:
        done.append(f"opened for {threads_per_run} threads")
        return opened(model, threads_per_run)

    monkeypatch.setattr(Model, "give_memory_back", given_back)
    monkeypatch.setattr(Model, "with_threads", with_threads)
    monkeypatch.setattr(warm_up_module, "MIN_PARALLEL_RUN_SECONDS", 0.0)
    found(linear)
    assert done == ["given back", "opened for 2 threads", "given back"]


@pytest.mark.parametrize(
    ("declared", "answered"),
    [
        pytest.param([1], (-1,), id="one label for any number of rows"),
        pytest.param(["N", 1], (-1,), id="a column that isn't there"),
        pytest.param(None, (-1,), id="no shape at all"),
        pytest.param(["N"], (-1,), id="as it is"),
    ],
)
def test_metadata_say_what_the_model_answers(
    tmp_path: Path, declared: list[int | str] | None, answered: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    path = save(
        tmp_path / "label.onnx",
        [helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0, name="labels")],
        [tensor("x", TensorProto.FLOAT, ["N", 4])],
        [tensor("label", TensorProto.INT64, declared)],
        {},
    )
    model = Model.open(path)
    findings = warm_up(model, OPTIONS)[1]
    assert [spec.shape for spec in findings.signature.outputs] == [answered]
    assert findings.plan.rows_are_independent
    said = "metadata say what it answers" in caplog.text
    assert said is (model.signature.outputs[0].shape != answered)


def test_an_example_is_something_that_the_model_has_answered(linear: Path, pair: Path) -> None:
    examples = [found(path).example for path in (linear, pair)]
    # A half of nothing is no number, so that the second model's is made of ones.
    assert [example and {name: array.tolist() for name, array in example.items()} for example in examples] == [
        {"pixels": [[0.0, 0.0, 0.0, 0.0]]},
        {"left": [1.0], "right": [1.0], "words": [""]},
    ]
