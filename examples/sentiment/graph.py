"""The trained weights as an ONNX graph with the signature of the well-known RoBERTa sequence classifier.

input INT64 (batch, sequence) -> output FP32 (batch, 2), logits of negative and positive.
"""

from typing import Any

import numpy as np
from network import DIMENSIONS, FEATURES, WIDTH, Weights
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


def as_onnx(weights: Weights) -> ModelProto:
    """Embeddings are kept as float16: half the file, and no change in an answer that anybody would see."""
    graph = helper.make_graph(
        _nodes(),
        "sentiment",
        [helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, name) for name, value in _constants(weights).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tidegate-sentiment")
    model.ir_version = IR_VERSION
    checker.check_model(model, full_check=True)
    return model


def _nodes() -> list[Any]:
    node = helper.make_node
    return [
        node("Gather", ["embedding", "input"], ["halves"]),
        node("Cast", ["halves"], ["embedded"], to=TensorProto.FLOAT),
        node("Transpose", ["embedded"], ["channels"], perm=[0, 2, 1]),
        node("Conv", ["channels", "kernel", "shift"], ["seen"], pads=[WIDTH // 2, WIDTH // 2]),
        node("Relu", ["seen"], ["lit"]),
        node("Transpose", ["lit"], ["features"], perm=[0, 2, 1]),
        node("MatMul", ["features", "attention"], ["attended"]),
        node("Softmax", ["attended"], ["shares"], axis=1),
        node("Mul", ["features", "shares"], ["weighted"]),
        node("ReduceSum", ["weighted", "along"], ["pooled"], keepdims=0),
        node("Gemm", ["pooled", "weights", "bias"], ["output"]),
    ]


def _constants(weights: Weights) -> Weights:
    kernel = weights["kernel"].reshape(WIDTH, DIMENSIONS, FEATURES).transpose(2, 1, 0)
    return {
        **weights,
        "embedding": weights["embedding"].astype(np.float16),
        "kernel": np.ascontiguousarray(kernel),
        "along": np.array([1], np.int64),
    }
