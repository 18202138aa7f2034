"""Measured on real models."""

import logging
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import has_data_dependent_time, operators
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, warm_up

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
    assert (has_data_dependent_time(slow), has_data_dependent_time(linear)) == (True, False)


def test_the_plan_is_told(linear: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    warm_up(Model.open(linear), OPTIONS)
    assert "2 runs at once with 1 threads each" in caplog.text
