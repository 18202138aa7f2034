"""Small graphs of the kinds that converters and exporters make by default."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.server.conftest import tensor

SCORES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.25, 0.25]], np.float32)


def write(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def maps(name: str, key: int) -> Any:
    """A sequence of maps from a class to its score."""
    kind = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    return helper.make_value_info(name, helper.make_sequence_type_proto(kind))


def optional(name: str) -> Any:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
    return helper.make_value_info(name, helper.make_optional_type_proto(kind))


def classifier(path: Path, classes: list[Any], label_shape: list[Any] | None = None) -> Path:
    """features FP32 [N, 4] -> label [N], probabilities: a sequence of maps, as scikit-learn's converter makes them."""
    text = isinstance(classes[0], str)
    names: dict[str, Any] = {"classlabels_strings" if text else "classlabels_int64s": classes}
    kind = TensorProto.STRING if text else TensorProto.INT64
    return write(
        path,
        [
            helper.make_node("MatMul", ["features", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
            helper.make_node("Gather", ["classes", "best"], ["label"]),
            helper.make_node("ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml", **names),
        ],
        [tensor("features", TensorProto.FLOAT, ["N", 4])],
        [tensor("label", kind, label_shape or ["N"]), maps("probabilities", kind)],
        {"weights": SCORES, "classes": np.array(classes, object if text else np.int64)},
    )


def decoder(path: Path) -> Path:
    """past FP32 [B, T, 4] and new FP32 [B, 1, 4] -> present FP32 [B, T + 1, 4]."""
    return write(
        path,
        [helper.make_node("Concat", ["past", "new"], ["present"], axis=1)],
        [tensor("past", TensorProto.FLOAT, ["B", "T", 4]), tensor("new", TensorProto.FLOAT, ["B", 1, 4])],
        [tensor("present", TensorProto.FLOAT, ["B", "S", 4])],
        {},
    )


def dictionary(path: Path) -> Path:
    """x, a map from a word to a number -> y FP32 [M, 2]: what no protocol here carries."""
    words = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
    inputs, outputs = [helper.make_value_info("x", words)], [tensor("y", TensorProto.FLOAT, ["M", 2])]
    return write(path, [node], inputs, outputs, {})
