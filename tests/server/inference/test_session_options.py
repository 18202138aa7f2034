"""Session options come from a list, and do what the runtime says they do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.errors import BadSetting
from tidegate_server.inference.model import Model
from tidegate_server.inference.session_options import ENTRIES, LEVELS, SWITCHES, SessionOptions, session_options


def given(**options: Any) -> SessionOptions:
    return session_options({"TIDEGATE_SESSION_OPTIONS": json.dumps(options)})


def test_options_are_read_as_the_runtime_wants_them() -> None:
    options = {
        "graph_optimization_level": "basic",
        "enable_cpu_mem_arena": False,
        "session.set_denormal_as_zero": True,
        "session.intra_op.spin_duration_us": 50,
        "optimization.disable_specified_optimizers": "ConstantFolding;MatMulAddFusion",
    }
    assert given(**options) == SessionOptions(
        "ORT_ENABLE_BASIC",
        (("enable_cpu_mem_arena", False),),
        (
            ("optimization.disable_specified_optimizers", "ConstantFolding;MatMulAddFusion"),
            ("session.intra_op.spin_duration_us", "50"),
            ("session.set_denormal_as_zero", "1"),
        ),
    )
    assert session_options({}) == SessionOptions()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", 'must be a JSON object, such as {"enable_cpu_mem_arena": false}'),
        ("arena=off", 'must be a JSON object, such as {"enable_cpu_mem_arena": false}'),
        ('{"enable_mem_arena": false}', "has 'enable_mem_arena'; did you mean 'enable_cpu_mem_arena'?"),
        (
            '{"session.intra_op.allow_spining": true}',
            "has 'session.intra_op.allow_spining'; did you mean 'session.intra_op.allow_spinning'?",
        ),
        (
            '{"intra_op_num_threads": 4}',
            "has 'intra_op_num_threads'; it can't be set there: "
            "TIDEGATE_THREADS_PER_RUN says how many threads a run has",
        ),
        (
            '{"enable_profiling": true}',
            "has 'enable_profiling'; it can't be set there: its files would fill the container",
        ),
        (
            '{"graph_optimization_level": 99}',
            ": graph_optimization_level is 99; it must be one of off, basic, extended, layout, all",
        ),
        ('{"enable_mem_reuse": "no"}', ': enable_mem_reuse is "no"; it must be true or false'),
        (
            '{"session.set_denormal_as_zero": "yes"}',
            ': session.set_denormal_as_zero is "yes"; it must be true or false',
        ),
        (
            '{"session.dynamic_block_base": -4}',
            ": session.dynamic_block_base is -4; it must be a whole number from 0 on",
        ),
        (
            '{"optimization.disable_specified_optimizers": ["A"]}',
            ": optimization.disable_specified_optimizers is [\"A\"]; it must be names with ';' between",
        ),
    ],
)
def test_an_option_that_is_not_on_the_list_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadSetting) as refused:
        session_options({"TIDEGATE_SESSION_OPTIONS": text})
    said = str(refused.value).removeprefix("TIDEGATE_SESSION_OPTIONS")
    assert said.removeprefix(" ") == sentence


def test_an_option_that_is_like_no_other_gets_the_whole_list() -> None:
    with pytest.raises(BadSetting) as refused:
        given(xyz=1)
    assert str(refused.value).startswith("TIDEGATE_SESSION_OPTIONS has 'xyz'; it may have graph_optimization_level, ")


def test_nothing_on_the_list_names_a_file_or_counts_threads() -> None:
    words = ("path", "file", "thread", "profil", "log", "affinit", "custom")
    assert [name for name in (*SWITCHES, *ENTRIES) if any(word in name for word in words)] == []


def test_the_runtime_knows_every_option() -> None:
    options = onnxruntime.SessionOptions()
    assert [name for name in SWITCHES if not isinstance(getattr(options, name), bool)] == []
    assert [name for name in LEVELS.values() if not hasattr(onnxruntime.GraphOptimizationLevel, name)] == []
    # An entry that the runtime has never heard of is taken in silence: its own list is in the library.
    library = Path(onnxruntime.capi.onnxruntime_pybind11_state.__file__).read_bytes()
    assert [name for name in ENTRIES if name.encode() not in library] == []


def test_a_model_runs_with_options_also_when_it_is_opened_again(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "one"], ["y"])]
    x, y = tensor("x", TensorProto.FLOAT, ["N"]), tensor("y", TensorProto.FLOAT, ["N"])
    path = save(tmp_path / "m.onnx", nodes, [x], [y], {"one": np.ones(1, np.float32)})
    options = given(graph_optimization_level="off", enable_cpu_mem_arena=False, **{"session.disable_prepacking": True})
    model = Model.open(path, options=options).with_threads(2)
    opened = model._session.get_session_options()
    assert (opened.enable_cpu_mem_arena, opened.intra_op_num_threads) == (False, 2)
    assert opened.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert opened.get_session_config_entry("session.disable_prepacking") == "1"
    (answer,) = model.run({"x": np.array([1, 2], np.float32)}, ["y"])
    assert answer.tolist() == [2, 3]
    model.give_memory_back({"x": np.ones(1, np.float32)})
