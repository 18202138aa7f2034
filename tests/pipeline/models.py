"""The models that a pipeline is tried on: those of examples/rehearsal, and stable's graph with one mistake each.

All have the signature `pixels` FP32 [-1, 64] -> `label` INT64 [-1], `probabilities` FP32 [-1, 10], but for one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

EXAMPLES = Path(__file__).parents[2] / "examples" / "rehearsal"
LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
LIGHT_INK = 300.0
"""Four images of ten have less."""
FAINT = 0.35
"""How much of its ink a faint image has."""
FAINT_INK = 160.0
"""Below it an image is faint: the ink of an 8x8 image is some 240 to 410, of 64 pixels from 0 to 16."""


def with_another_input(path: Path) -> Path:
    """Its input has another name."""
    model = onnx.load(EXAMPLES / "stable.onnx")
    model.graph.input[0].name = "image"
    model.graph.node.insert(0, helper.make_node("Identity", ["image"], ["pixels"]))
    return _saved(model, path)


def with_swapped_classes(path: Path) -> Path:
    """Three and eight have changed places in the graph, not in labels.json."""
    order = np.arange(10, dtype=np.int64)
    order[[3, 8]] = order[[8, 3]]
    model = _renamed("label", "probabilities")
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    return _with(
        model,
        path,
        helper.make_node("Gather", ["order", "true_label"], ["label"]),
        helper.make_node("Gather", ["true_probabilities", "order"], ["probabilities"], axis=1),
    )


def less_accurate(path: Path) -> Path:
    """It doesn't see the two columns in the middle of an image."""
    mask = np.ones((8, 8), np.float32)
    mask[:, 3:5] = 0
    model = onnx.load(EXAMPLES / "stable.onnx")
    for node in model.graph.node:
        node.input[:] = ["seen" if each == "pixels" else each for each in node.input]
    model.graph.initializer.append(numpy_helper.from_array(mask.reshape(1, 64), "mask"))
    model.graph.node.insert(0, helper.make_node("Mul", ["pixels", "mask"], ["seen"]))
    return _saved(model, path)


def drifting(path: Path) -> Path:
    """It takes every faint image for a one."""
    ones = np.zeros((1, 10), np.float32)
    ones[0, 1] = 1
    model = _renamed("label", "probabilities")
    for name, value in (
        ("axis", np.array([1], np.int64)),
        ("faint", np.array(FAINT_INK, np.float32)),
        ("one", np.array(1, np.int64)),
        ("ones", ones),
    ):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return _with(
        model,
        path,
        helper.make_node("ReduceSum", ["pixels", "axis"], ["ink"], keepdims=0),
        helper.make_node("Less", ["ink", "faint"], ["is_faint"]),
        helper.make_node("Where", ["is_faint", "one", "true_label"], ["label"]),
        helper.make_node("Unsqueeze", ["is_faint", "axis"], ["are_faint"]),
        helper.make_node("Where", ["are_faint", "ones", "true_probabilities"], ["probabilities"]),
    )


def write_golden(path: Path, *, is_light: bool = False) -> Path:
    """The images that no model was trained on, and what they are; the light ones alone, where that is asked for."""
    lines = [{"body": {"inputs": [_pixels(image)]}, "label": LABELS[digit]} for image, digit in _held_out(is_light)]
    return _written(path, lines)


def write_requests(path: Path, *, faint_every: int = 0, is_light: bool = False) -> Path:
    """240 requests as users send them; each so-and-so-many-th image is faint, none for 0."""
    images = [image for image, _ in _held_out(is_light)][:240]
    for at in range(0, len(images), faint_every) if faint_every else ():
        images[at] = images[at] * FAINT
    return _written(path, [{"inputs": [_tensor(image)]} for image in images])


def _held_out(is_light: bool) -> list[tuple[Any, int]]:
    """Images of 64 pixels and their digits. Light ones have less ink than `failing.onnx` has a table for."""
    from tidegate_demo.digits import load

    data = load()
    pairs = zip(data.held_out_images, data.held_out_labels, strict=True)
    return [(image, int(digit)) for image, digit in pairs if not is_light or image.sum() < LIGHT_INK]


def _tensor(image: Any) -> dict[str, Any]:
    return {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": _pixels(image)}


def _pixels(image: Any) -> list[float]:
    return [round(float(pixel), 2) for pixel in image]


def _written(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def _renamed(*outputs: str) -> ModelProto:
    """Stable's graph, whose outputs are called `true_…`."""
    model = onnx.load(EXAMPLES / "stable.onnx")
    node: NodeProto
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"true_{each}" if each in outputs else each for each in names]
    return model


def _with(model: ModelProto, path: Path, *nodes: NodeProto) -> Path:
    model.graph.node.extend(nodes)
    return _saved(model, path)


def _saved(model: ModelProto, path: Path) -> Path:
    del model.graph.output[:]
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 10]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path
