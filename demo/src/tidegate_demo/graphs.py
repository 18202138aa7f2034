"""ONNX graphs of the demo: a classifier as a graph, and two mistakes that a person could make in one.

Every graph has the same signature: `pixels` FP32 [-1, 64] -> `label` INT64 [-1], `probabilities` FP32 [-1, 10].
The mistakes are in the graph itself. No server knows of them, and no switch turns them on.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tidegate_demo.digits import CLASSES, PIXELS

OPSET = 18
IR_VERSION = 9  # runtimes from 2023 on read it
INK_PER_BIN = 8.0


def from_classifier(classifier: Any) -> ModelProto:
    """A fitted scikit-learn classifier as a graph with the demo's signature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own deprecations; the tests check what it makes
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        converted = to_onnx(
            classifier,
            name="digits",
            initial_types=[("pixels", FloatTensorType([None, PIXELS]))],
            options={"zipmap": False, "output_class_labels": False},
            target_opset=OPSET,
        )
    model = ModelProto()
    model.CopyFrom(converted)
    model.ir_version = IR_VERSION
    _rename(model, model.graph.output[0].name, "label")
    _rename(model, model.graph.output[1].name, "probabilities")
    return _sealed(model)


def with_calibration_table(plain: ModelProto, temperatures: np.ndarray) -> ModelProto:
    """`plain` with its probabilities tempered by ink: a look-up in a table of temperatures, one per 8 units of ink.

    The mistake: the table ends where its maker's images ended, and nothing clips the index. An image with more ink
    than the table has bins makes Gather fail, and with it the whole inference.
    """
    model = _with_probabilities_renamed(plain, "untempered")
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1], np.int64), "ink_axis"),
            numpy_helper.from_array(np.array(1 / INK_PER_BIN, np.float32), "bins_per_ink"),
            numpy_helper.from_array(temperatures.astype(np.float32).reshape(-1, 1), "temperatures"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Relu", ["pixels"], ["ink_per_pixel"]),
            helper.make_node("ReduceSum", ["ink_per_pixel", "ink_axis"], ["ink"], keepdims=0),
            helper.make_node("Mul", ["ink", "bins_per_ink"], ["ink_in_bins"]),
            helper.make_node("Cast", ["ink_in_bins"], ["ink_bin"], to=TensorProto.INT64),
            helper.make_node("Gather", ["temperatures", "ink_bin"], ["temperature"], name="calibration_table"),
            helper.make_node("Pow", ["untempered", "temperature"], ["tempered"]),
            helper.make_node("ReduceSum", ["tempered", "ink_axis"], ["tempered_sum"], keepdims=1),
            helper.make_node("Div", ["tempered", "tempered_sum"], ["probabilities"]),
        ]
    )
    return _sealed(model)


def with_relaxation(plain: ModelProto, rounds: int) -> ModelProto:
    """`plain` whose probabilities are "relaxed" for a number of rounds: p <- (p + q) / 2, which was done after none.

    The mistake: far too many rounds. The answers stay right, and each one takes its time.
    """
    model = _with_probabilities_renamed(plain, "unrelaxed")
    body = helper.make_graph(
        [
            helper.make_node("Add", ["p", "unrelaxed"], ["twice"]),
            helper.make_node("Mul", ["twice", "one_half"], ["p_next"]),
            helper.make_node("Identity", ["go_on"], ["go_on_next"]),
        ],
        "one_round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, CLASSES]),
        ],
        [
            helper.make_tensor_value_info("go_on_next", TensorProto.BOOL, []),
            helper.make_tensor_value_info("p_next", TensorProto.FLOAT, [None, CLASSES]),
        ],
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(rounds, np.int64), "rounds"),
            numpy_helper.from_array(np.array(0.5, np.float32), "one_half"),
        ]
    )
    model.graph.node.append(helper.make_node("Loop", ["rounds", "", "unrelaxed"], ["probabilities"], body=body))
    return _sealed(model)


def _with_probabilities_renamed(plain: ModelProto, name: str) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(plain)
    _rename(model, "probabilities", name)
    return model


def _rename(model: ModelProto, old: str, new: str) -> None:
    node: NodeProto
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def _sealed(model: ModelProto) -> ModelProto:
    """The model with the demo's signature written on it, checked."""
    del model.graph.output[:]
    model.graph.output.extend(_signature())
    onnx.checker.check_model(model, full_check=True)
    return model


def _signature() -> list[ValueInfoProto]:
    return [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, CLASSES]),
    ]
