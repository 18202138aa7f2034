"""T: a small classifier of texts, the same bytes on every machine, and the texts that it is asked about.

Two layers of attention over the tokens of the sentiment example, with random weights: it costs what
a real one of its size does.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from benchmarks.baseline import ROOT
from benchmarks.server.models import LABELS, Graph, write_file

IDS, MASK, LOGITS = "input_ids", "attention_mask", "logits"
TOKENIZER = ROOT / "examples" / "sentiment" / "model" / "tokenizer.json"
TOKENS, WIDTH, LAYERS = 4000, 128, 2
TEXTS, MOST_WORDS = 64, 20
WORDS = ("a", "film", "great", "good", "bad", "dull", "slow", "funny", "end", "acting", "was", "the", "we", "left")


@dataclass(frozen=True)
class TextModel:
    """Texts of 1 to 20 words, each in a request of its own."""

    size: str = "T"
    name: str = "bench-t"

    def questions(self) -> list[Any]:
        """Texts of all lengths, in no order."""
        chance = random.Random(1)
        lengths = [1 + number % MOST_WORDS for number in range(TEXTS)]
        chance.shuffle(lengths)
        return [" ".join(chance.choices(WORDS, k=length)) for length in lengths]

    def feeds(self) -> list[dict[str, Any]]:
        """The questions as the graph takes them, one by one."""
        tokenizer = Tokenizer.from_file(str(TOKENIZER))
        return [{IDS: row, MASK: np.ones_like(row)} for row in (_row(tokenizer, text) for text in self.questions())]

    def write(self, folder: Path) -> Path:
        """A folder of its own with model.onnx in it, its tokenizer and its labels; the model's path."""
        path = folder / self.name / "model.onnx"
        write_file(path.with_name("tokenizer.json"), TOKENIZER.read_bytes())
        write_file(path.with_name("labels.json"), json.dumps(LABELS).encode())
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in (IDS, MASK)]
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", len(LABELS)])]
        write_file(path, _graph().as_model(self.name, inputs, outputs))
        return path


TEXT_MODEL = TextModel()


def _row(tokenizer: Tokenizer, text: str) -> Any:
    return np.array([tokenizer.encode(text).ids], np.int64)


def _graph() -> Graph:
    graph = Graph(seed=ord("T"))
    wanted = graph.add("Cast", MASK, to=TensorProto.FLOAT)
    across = graph.add("Unsqueeze", wanted, graph.constant(np.array([1])))
    one, far = graph.constant(np.array(1, np.float32)), graph.constant(np.array(1e9, np.float32))
    unwanted = graph.add("Mul", graph.add("Sub", across, one), far)
    tokens = graph.add("Gather", graph.weight((TOKENS, WIDTH), 2), IDS)
    for _ in range(LAYERS):
        tokens = _layer(graph, tokens, unwanted)
    down = graph.add("Unsqueeze", wanted, graph.constant(np.array([2])))
    along = graph.constant(np.array([1]))
    total = graph.add("ReduceSum", graph.add("Mul", tokens, down), along, keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", wanted, along, keepdims=1))
    graph.nodes.append(helper.make_node("MatMul", [mean, graph.weight((WIDTH, len(LABELS)), WIDTH)], [LOGITS]))
    return graph


def _layer(graph: Graph, tokens: str, unwanted: str) -> str:
    """Attention and a perceptron, each added to what it was made of."""
    query, key, value = (graph.add("MatMul", tokens, graph.weight((WIDTH, WIDTH), 2 * WIDTH)) for _ in range(3))
    alike = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 2, 1]))
    scaled = graph.add("Mul", alike, graph.constant(np.array(WIDTH**-0.5, np.float32)))
    shares = graph.add("Softmax", graph.add("Add", scaled, unwanted), axis=-1)
    attended = graph.add("MatMul", graph.add("MatMul", shares, value), graph.weight((WIDTH, WIDTH), 2 * WIDTH))
    tokens = _normalized(graph, tokens, attended)
    wide = graph.add("Relu", graph.add("MatMul", tokens, graph.weight((WIDTH, 4 * WIDTH), WIDTH)))
    return _normalized(graph, tokens, graph.add("MatMul", wide, graph.weight((4 * WIDTH, WIDTH), 8 * WIDTH)))


def _normalized(graph: Graph, tokens: str, more: str) -> str:
    ones = graph.constant(np.ones(WIDTH, np.float32))
    return graph.add("LayerNormalization", graph.add("Add", tokens, more), ones, axis=-1)
