"""Models that other servers' clients are tried with, and one body through a dialect without a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import save, tensor
from tests.server.predict.test_exported_files import save_tokenizer
from tidegate_server.dialects.dialect import Dialect, ServedModel
from tidegate_server.inference.model import Model
from tidegate_server.predict.package import open_package
from tidegate_server.protocol.limits import Limits

REVISION = "digits-6f9c1d2e"
VECTORS = np.array([[0, 0], [1, 0], [0, 1], [3, 4], [4, 3], [2, 2], [6, 8], [1, 1], [5, 0]], np.float32)
"""Of each token of the tokenizer's."""


def save_embedder(folder: Path) -> Path:
    """A model of sentence-transformers: a vector for each token, the mean of them, of length 1."""
    path = save(
        folder / "model.onnx",
        [helper.make_node("Gather", ["vectors", "input_ids"], ["last_hidden_state"])],
        [tensor(name, TensorProto.INT64, ["N", "L"]) for name in ("input_ids", "attention_mask")],
        [tensor("last_hidden_state", TensorProto.FLOAT, ["N", "L", 2])],
        {"vectors": VECTORS},
    )
    save_tokenizer(folder)
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_bytes(orjson.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_bytes(b'{"pooling_mode": "mean"}')
    return path


def embedding(*ids: int) -> list[float]:
    """What the embedder has to answer for a text of these tokens, [CLS] and [SEP] around them."""
    mean = VECTORS[[1, *ids, 2]].astype(np.float64).mean(axis=0)
    return [float(number) for number in (mean / np.linalg.norm(mean)).astype(np.float32)]


def opened(path: Path) -> tuple[ServedModel, Callable[[Any], Any]]:
    """A model as a server has it, and what runs it."""
    model = Model.open(path)
    package = open_package(path.parent, model.signature, model.metadata)

    def run(request: Any) -> Any:
        names = [output.name for output in request.outputs]
        return dict(zip(names, model.run(request.arrays, names), strict=True))

    return ServedModel("digits", REVISION, model.signature, Limits(), package.predictor), run


def ask(dialect: Dialect, path: Path, body: Any, content_type: str = "application/json") -> Any:
    """The answer's document. Raises InvalidRequest."""
    served, run = opened(path)
    call = dialect.read(body if isinstance(body, bytes) else orjson.dumps(body), content_type, served)
    return orjson.loads(call.write([run(request) for request in call.requests]))


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(scope="session")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """age and weight FP32 [N, 1], name BYTES [N, 1] -> sum FP32 [N, 1], same BYTES [N, 1], as skl2onnx has columns."""
    return save(
        tmp_path_factory.mktemp("columns") / "model.onnx",
        [helper.make_node("Add", ["age", "weight"], ["sum"]), helper.make_node("Identity", ["name"], ["same"])],
        [
            *(tensor(name, TensorProto.FLOAT, ["N", 1]) for name in ("age", "weight")),
            tensor("name", TensorProto.STRING, ["N", 1]),
        ],
        [tensor("sum", TensorProto.FLOAT, ["N", 1]), tensor("same", TensorProto.STRING, ["N", 1])],
        {},
    )
