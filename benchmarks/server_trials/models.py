"""The models of the trials: small graphs that can't fail on any input that their signature allows.

So every 5xx is the server's fault.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 9
NUMBERS = {
    "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
}  # fmt: skip
KINDS = {"BOOL": TensorProto.BOOL, **NUMBERS, "BYTES": TensorProto.STRING}


def readings(folder: Path) -> Path:
    """x FP32 [N, M] of any width -> waves FP32 [N, M], mean FP32 [N]: every shape asks for other memory."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Tanh", ["doubled"], ["bent"]),
        helper.make_node("Softmax", ["bent"], ["parts"], axis=1),
        helper.make_node("Add", ["bent", "parts"], ["waves"]),
        helper.make_node("ReduceMean", ["waves", "second"], ["mean"], keepdims=0),
    ]
    inputs = [_tensor("x", TensorProto.FLOAT, ["N", "M"])]
    outputs = [_tensor("waves", TensorProto.FLOAT, ["N", "M"]), _tensor("mean", TensorProto.FLOAT, ["N"])]
    weights = {"two": np.array(2, np.float32), "second": np.array([1])}
    return _saved(folder / "readings", nodes, inputs, outputs, weights)


def every_datatype(folder: Path) -> Path:
    """An input and an output of each datatype, [N, 2]; floats are cleaned of NaN and infinity on their way.

    But for bfloat16, which the runtime doesn't take beside text.
    """
    kinds = {datatype: kind for datatype, kind in KINDS.items() if datatype != "BF16"}
    nodes = []
    for datatype in kinds:
        nodes += _kept(f"in_{datatype}", f"out_{datatype}", datatype)
    inputs = [_tensor(f"in_{datatype}", kind, ["N", 2]) for datatype, kind in kinds.items()]
    outputs = [_tensor(f"out_{datatype}", kind, ["N", 2]) for datatype, kind in kinds.items()]
    return _saved(folder / "every-datatype", nodes, inputs, outputs, {})


def with_inputs(folder: Path, name: str, inputs: list[tuple[str, str, list[int | str]]]) -> Path:
    """Named inputs of (datatype, shape); scores FP32 [1, 3] and text BYTES [1] whatever comes, and an echo of each."""
    nodes = [
        helper.make_node("Identity", ["three"], ["scores"]),
        helper.make_node("Identity", ["word"], ["text"]),
    ]
    outputs = [_tensor("scores", TensorProto.FLOAT, [1, 3]), _tensor("text", TensorProto.STRING, [1])]
    for tensor, datatype, shape in inputs:
        nodes += _kept(tensor, f"echo_{tensor}", datatype)
        outputs.append(_tensor(f"echo_{tensor}", KINDS[datatype], shape))
    weights = {"three": np.array([[0.1, 0.7, 0.2]], np.float32), "word": np.array(["yes"], object)}
    given = [_tensor(tensor, KINDS[datatype], shape) for tensor, datatype, shape in inputs]
    return _saved(folder / name, nodes, given, outputs, weights)


def with_known_ids(package: Path, folder: Path) -> Path:
    """A package for text whose graph takes ids that it doesn't know for the last one that it does, and no ids for one.

    As it is, either makes the graph itself fail, which is the model's fault and answered with 500.
    """
    there = folder / "with-known-ids"
    shutil.copytree(package.parent, there, dirs_exist_ok=True)
    model = onnx.load(package)
    ids, known = model.graph.input[0].name, json.loads((there / "tokenizer.json").read_text())["model"]["vocab"]
    for node in model.graph.node:
        node.input[:] = ["some_ids" if name == ids else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Clip", [ids, "first_id", "last_id"], ["known_ids"]))
    model.graph.node.insert(1, helper.make_node("Pad", ["known_ids", "one_more"], ["some_ids"]))
    for name, value in (("first_id", 0), ("last_id", len(known) - 1), ("one_more", [0, 0, 0, 1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    (there / "model.onnx").write_bytes(model.SerializeToString())
    return there / "model.onnx"


def _kept(source: str, target: str, datatype: str) -> list[Any]:
    """NaN and infinity in an output would be answered with 500 by design, as the model's fault."""
    if datatype == "BF16":  # few operators know it
        wide, kept = f"{source}_wide", f"{source}_kept"
        return [
            helper.make_node("Cast", [source], [wide], to=TensorProto.FLOAT),
            *_kept(wide, kept, "FP32"),
            helper.make_node("Cast", [kept], [target], to=TensorProto.BFLOAT16),
        ]
    if not datatype.startswith("FP"):
        return [helper.make_node("Identity", [source], [target])]
    nan, finite, zero, low, high = (f"{source}_{word}" for word in ("nan", "finite", "zero", "low", "high"))
    kind = KINDS[datatype]
    return [
        helper.make_node("IsNaN", [source], [nan]),
        helper.make_node("Constant", [], [zero], value=helper.make_tensor(zero, kind, [], [0])),
        helper.make_node("Constant", [], [low], value=helper.make_tensor(low, kind, [], [-60000])),
        helper.make_node("Constant", [], [high], value=helper.make_tensor(high, kind, [], [60000])),
        helper.make_node("Where", [nan, zero, source], [finite]),
        helper.make_node("Clip", [finite, low, high], [target]),
    ]


def _tensor(name: str, kind: int, shape: list[int | str]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _saved(folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> Path:
    """In a folder of its own, as the server takes what lies beside a model for its package."""
    folder.mkdir(parents=True, exist_ok=True)
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, folder.name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path
