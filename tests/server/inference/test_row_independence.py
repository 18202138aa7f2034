"""Graphs whose rows change one another, as people export them, and ones that only look like it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import read_graph
from tidegate_server.inference.shared_operators import why_rows_mix
from tidegate_server.inference.warm_up import Findings, WarmUpOptions, warm_up
from tidegate_server.protocol.tensors import Array

FLOAT, INT64, BOOL, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING
node = helper.make_node


def found(path: Path, real: Sequence[Mapping[str, Array]] = ()) -> Findings:
    return warm_up(Model.open(path), WarmUpOptions(cpus=1, max_rows=8), real)[1]


def graph(folder: Path, nodes: list[Any], weights: Mapping[str, Any] = {}, **shapes: Any) -> Path:
    """x FLOAT [N, 4] -> y FLOAT [N, 4], unless said otherwise."""
    kinds = {"x": FLOAT, "y": FLOAT, **shapes.pop("kinds", {})}
    sides = {"x": ["N", 4], "y": ["N", 4], **shapes}
    x, y = (tensor(name, kinds[name], sides[name]) for name in ("x", "y"))
    return save(folder / "model.onnx", nodes, [x], [y], dict(weights))


def quantized(folder: Path) -> Path:
    """Dynamically, as onnxruntime.quantization does it; ids 0 and 1 are padding and unknown, and all zero."""
    random = np.random.default_rng(0)
    table = random.normal(size=(1000, 8)).astype(np.float32)
    table[:2] = 0
    return graph(
        folder,
        [
            node("Gather", ["table", "x"], ["each"]),
            node("ReduceSum", ["each", "one"], ["sum"], keepdims=0),
            node("DynamicQuantizeLinear", ["sum"], ["quantized", "scale", "zero"]),
            node("MatMulInteger", ["quantized", "weights", "zero"], ["product"]),
            node("Cast", ["product"], ["numbers"], to=FLOAT),
            node("Mul", ["numbers", "scale"], ["y"]),
        ],
        {"table": table, "one": np.array([1]), "weights": random.integers(-127, 127, (8, 4)).astype(np.int8)},
        x=["N", "length"],
        kinds={"x": INT64},
    )


def test_dynamic_quantisation_takes_one_scale_for_all_rows_so_no_run_is_shared(tmp_path: Path) -> None:
    findings = found(quantized(tmp_path))
    assert (findings.plan.max_rows, findings.plan.rows_are_independent) == (1, False)
    assert findings.batching == "off: DynamicQuantizeLinear scales all rows of a run by one number"


def chosen(folder: Path) -> Path:
    """Those numbers of x that are above a limit of their column."""
    return graph(
        folder,
        [
            node("Greater", ["x", "limits"], ["above"]),
            node("NonZero", ["above"], ["places"]),
            node("Transpose", ["places"], ["pairs"]),
            node("GatherND", ["x", "pairs"], ["y"]),
        ],
        {"limits": np.array([-5.0, 5.0], np.float32)},
        x=["N", 2],
        y=["M"],
    )


def test_outputs_whose_length_depends_on_values_are_nobody_elses(tmp_path: Path) -> None:
    findings = found(chosen(tmp_path))
    assert findings.batching == ("off: NonZero makes a tensor whose size depends on the values of all rows of a run")


def body(nodes: list[Any], outputs: list[str], inputs: Mapping[str, tuple[int, list[int | str]]] = {}) -> Any:
    return helper.make_graph(
        nodes,
        "body",
        [tensor(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [tensor(name, BOOL if name == "on" else FLOAT, None) for name in outputs],
    )


def deciding() -> list[Any]:
    return [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "zero"], ["any"]),
        node(
            "If",
            ["any"],
            ["y"],
            then_branch=body([node("Neg", ["x"], ["left"])], ["left"]),
            else_branch=body([node("Identity", ["x"], ["right"])], ["right"]),
        ),
    ]


def looping() -> list[Any]:
    turn = body(
        [
            node("Add", ["before", "one"], ["after"]),
            node("ReduceMin", ["after"], ["least"], keepdims=0),
            node("Less", ["least", "zero"], ["on"]),
        ],
        ["on", "after"],
        {"turn": (INT64, []), "go": (BOOL, []), "before": (FLOAT, ["N", 4])},
    )
    return [node("Loop", ["times", "", "x"], ["y"], body=turn)]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        pytest.param(deciding(), "If decides for all rows of a run at once", id="a decision"),
        pytest.param(looping(), "Loop decides for all rows of a run at once", id="a loop until all rows are done"),
        pytest.param(
            [node("MeanVarianceNormalization", ["x"], ["y"], axes=[0, 1])],
            "MeanVarianceNormalization takes mean and variance over all rows of a run",
            id="statistics of a batch",
        ),
        pytest.param(
            [
                node("BatchNormalization", ["x", "scale", "bias", "mean", "var"], ["y", "m", "v"], training_mode=1),
            ],
            "BatchNormalization takes mean and variance over all rows of a run",
            id="a layer that was left in training",
        ),
        pytest.param(
            [
                node("Cast", ["x"], ["whole"], to=INT64),
                node("ReduceMax", ["whole"], ["most"], keepdims=0),
                node("Reshape", ["most", "vector"], ["end"]),
                node("Slice", ["x", "begin", "end", "axis"], ["y"]),
            ],
            "Slice makes a tensor whose size depends on the values of all rows of a run",
            id="cut to the longest",
        ),
    ],
)
def test_operators_that_look_at_all_rows_are_named(tmp_path: Path, nodes: list[Any], reason: str) -> None:
    four = np.ones(4, np.float32)
    weights = {"zero": np.float32(0), "one": np.float32(1), "times": np.array(9), "vector": np.array([-1])}
    more = {"begin": np.array([0]), "axis": np.array([1])}
    weights |= dict.fromkeys(("scale", "bias", "mean", "var"), four) | more
    path = graph(tmp_path, nodes, weights, y=["N", "M"])
    assert why_rows_mix(read_graph(path)) == reason


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(
            [
                node("Shape", ["x"], ["shape"]),
                node("ConstantOfShape", ["shape"], ["zeros"]),
                node("Cast", ["zeros"], ["whole"], to=INT64),
                node("NonZero", ["whole"], ["places"]),
                node("Shape", ["places"], ["counts"]),
                node("Cast", ["counts"], ["numbers"], to=FLOAT),
                node("ReduceSum", ["numbers"], ["two"], keepdims=0),
                node("Add", ["x", "two"], ["y"]),
            ],
            id="positions that exporters make of a shape",
        ),
        pytest.param(
            [
                node("Shape", ["x"], ["shape"]),
                node("Reshape", ["x", "shape"], ["same"]),
                node("Expand", ["same", "shape"], ["y"]),
            ],
            id="sizes that come from a shape",
        ),
    ],
)
def test_what_depends_on_shapes_alone_leaves_batching_on(tmp_path: Path, nodes: list[Any]) -> None:
    assert found(graph(tmp_path, nodes)).plan.rows_are_independent


def test_whole_numbers_are_tried_as_far_as_the_model_takes_them(tmp_path: Path) -> None:
    table = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    table[:2] = 0  # padding and unknown
    mixing = graph(
        tmp_path,
        [
            node("Gather", ["table", "x"], ["each"]),
            node("ReduceMean", ["each", "rows"], ["mean"]),
            node("Sub", ["each", "mean"], ["y"]),
        ],
        {"table": table, "rows": np.array([0])},
        x=["N"],
        kinds={"x": INT64},
    )
    assert found(mixing).batching.startswith("off: a row's output y depends on the rows beside it, by up to")


def test_a_scale_over_all_rows_is_seen_although_only_classes_come_out(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    scaled = graph(
        tmp_path,
        [
            node("Abs", ["x"], ["size"]),
            node("ReduceMax", ["size"], ["most"], keepdims=0),
            node("Div", ["x", "most"], ["small"]),
            node("Mul", ["small", "steps"], ["large"]),
            node("Round", ["large"], ["whole"]),
            node("MatMul", ["whole", "weights"], ["scores"]),
            node("ArgMax", ["scores"], ["y"], axis=1, keepdims=0),
        ],
        {"steps": np.float32(127), "weights": random.normal(size=(4, 3)).astype(np.float32)},
        y=["N"],
        kinds={"y": INT64},
    )
    assert "depends on the rows beside it" in found(scaled).batching


def test_equal_answers_show_nothing_so_no_run_is_shared(tmp_path: Path) -> None:
    path = graph(tmp_path, [node("Mul", ["x", "nothing"], ["y"])], {"nothing": np.zeros(4, np.float32)})
    findings = found(path)
    assert (findings.plan.max_rows, findings.plan.rows_are_independent) == (1, False)
    assert findings.batching.endswith(
        "rows that were tried have one answer in output y, which shows nothing; rows of a selftest.json would"
    )


def rare(folder: Path) -> Path:
    """Says whether a row is exactly (7, 7, 7, 7)."""
    return graph(
        folder,
        [node("Equal", ["x", "sevens"], ["same"]), node("Cast", ["same"], ["y"], to=FLOAT)],
        {"sevens": np.full(4, 7, np.float32)},
    )


def test_rows_of_a_self_test_show_what_made_up_ones_cannot(tmp_path: Path) -> None:
    path = rare(tmp_path)
    sevens = [{"x": np.full((1, 4), 7, np.float32)}, {"x": np.zeros((1, 4), np.float32)}]
    assert (found(path).plan.rows_are_independent, found(path, sevens).plan.rows_are_independent) == (False, True)


def test_a_row_that_gives_several_is_no_batch(tmp_path: Path) -> None:
    doubled = graph(tmp_path, [node("Concat", ["x", "x"], ["y"], axis=0)], y=["M", 4])
    assert found(doubled).batching == "off: output y has shape [2, 4] for one row"
