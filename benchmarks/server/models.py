"""The three models of numbers of the benchmark, the same bytes on every machine.

S is a classifier of a few thousand weights, M a recurrent net over a short series of readings, which reads its
weights anew at every step (so rows that share a run cost little more than one), L a convolutional net that computes so
much per weight that batching gains nothing. All have a free batch dimension and answer class and scores.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
STEPS = 112
INPUT, SCORES, CLASS = "x", "scores", "class"
LABELS = ("negative", "positive")


@dataclass(frozen=True)
class BenchModel:
    """`row` is the shape of one row; `aim` is what one row should take on one core, in words."""

    size: str
    aim: str
    row: tuple[int, ...]
    build: Callable[["Graph"], None]

    @property
    def name(self) -> str:
        """What servers call it."""
        return f"bench-{self.size.lower()}"

    def row_of_input(self) -> NDArray[np.float32]:
        """One row, shape (1, *row), of values with four decimals: as long in JSON as a measured value is."""
        values = np.random.default_rng(1).normal(size=(1, *self.row))
        return np.round(values, 4).astype(np.float32)

    def questions(self) -> list[Any]:
        """What a server is asked: the one row."""
        return [self.row_of_input()]

    def write(self, folder: Path) -> Path:
        """A folder of its own with model.onnx in it; the file's path."""
        graph = Graph(seed=ord(self.size))
        self.build(graph)
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *self.row])]
        outputs = [
            helper.make_tensor_value_info(CLASS, TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["batch", 10]),
        ]
        path = folder / self.name / "model.onnx"
        write_file(path, graph.as_model(self.name, inputs, outputs))
        return path


def write_file(path: Path, content: bytes) -> None:
    """Whole or not at all, for others may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(f".{os.getpid()}")
    half_written.write_bytes(content)
    half_written.replace(path)


class Graph:
    """Mostly a chain of layers. Weights are scaled so that values stay near one, however deep the chain."""

    def __init__(self, seed: int) -> None:
        """Empty."""
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(seed)
        self._last = INPUT

    def dense(self, inputs: int, outputs: int, *, relu: bool = True) -> None:
        weight, bias = self.weight((inputs, outputs), inputs), self.weight((outputs,), 100)
        self.add("Gemm", self._last, weight, bias)
        if relu:
            self.add("Relu", self._last)

    def convolution(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        weight, bias = self.weight((outputs, inputs, 3, 3), inputs * 9), self.weight((outputs,), 100)
        self.add("Conv", self._last, weight, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[stride, stride])
        self.add("Relu", self._last)

    def gated_recurrence(self, steps: int, inputs: int, hidden: int) -> None:
        """The last hidden state after that many steps; rows come first, as callers send them."""
        self.add("Transpose", self._last, perm=[1, 0, 2])
        kernel = self.weight((1, 3 * hidden, inputs), 2 * inputs)
        recurrent = self.weight((1, 3 * hidden, hidden), 2 * hidden)
        bias = self.weight((1, 6 * hidden), 100)
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(
                "GRU", [self._last, kernel, recurrent, bias], ["", output], hidden_size=hidden, linear_before_reset=1
            )
        )
        self._last = output
        self.weights.append(numpy_helper.from_array(np.array([0]), "directions"))
        self.add("Squeeze", self._last, "directions")

    def mean_of_pixels(self) -> None:
        self.add("GlobalAveragePool", self._last)
        self.add("Flatten", self._last)

    def class_and_scores(self) -> None:
        logits = self._last
        self.nodes.append(helper.make_node("Softmax", [logits], [SCORES], axis=1))
        self.nodes.append(helper.make_node("ArgMax", [logits], [CLASS], axis=1, keepdims=0))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of what comes out, of which the chain goes on."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        self._last = output
        return output

    def weight(self, shape: tuple[int, ...], fan_in: int) -> str:
        """The name of random values."""
        return self.constant(self._random.normal(scale=(2 / fan_in) ** 0.5, size=shape).astype(np.float32))

    def constant(self, values: NDArray[Any]) -> str:
        """The name of these values."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def as_model(self, name: str, inputs: list[Any], outputs: list[Any]) -> bytes:
        """The file's bytes, the same every time."""
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, self.weights),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def _small(graph: Graph) -> None:
    graph.dense(64, 64)
    graph.dense(64, 10, relu=False)
    graph.class_and_scores()


def _middle(graph: Graph) -> None:
    graph.gated_recurrence(STEPS, 4, 384)
    graph.dense(384, 10, relu=False)
    graph.class_and_scores()


def _large(graph: Graph) -> None:
    graph.convolution(3, 128)
    for _ in range(8):
        graph.convolution(128, 128)
    graph.convolution(128, 256, stride=2)
    for _ in range(8):
        graph.convolution(256, 256)
    graph.mean_of_pixels()
    graph.dense(256, 10, relu=False)
    graph.class_and_scores()


MODELS = {
    model.size: model
    for model in (
        BenchModel("S", "20 kB", (64,), _small),
        BenchModel("M", "about 2 ms", (STEPS, 4), _middle),
        BenchModel("L", "about 20 ms", (3, 32, 32), _large),
    )
}
