"""Folders of a model, and the example's trained model, run by the runtime itself and not by a server."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import orjson
import pytest
from onnx import TensorProto, helper, numpy_helper

from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.predictor import Predictor
from tidegate_server.predict.text_encoder import RunSharing
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

SENTIMENT = Path(__file__).parents[3] / "examples" / "sentiment" / "model"
ROBERTA = Signature(
    (TensorSpec("input", "INT64", ("batch", "sequence")),), (TensorSpec("output", "FP32", ("batch", 2)),)
)
LENGTHS = Signature((TensorSpec("text", "BYTES", ("N",)),), (TensorSpec("logits", "FP32", ("N", 2)),))


def sharing(package: Package, *, padding: bool = True) -> Predictor:
    """As after a warm-up that has shown that rows are independent, and that padding changes nothing."""
    return package.with_sharing(RunSharing(16, package.padding if padding else None)).predictor


@cache
def _session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(SENTIMENT / "model.onnx"), providers=["CPUExecutionProvider"])


def run_sentiment(request: InferRequest) -> Mapping[str, Array]:
    return {"output": _session().run(["output"], request.arrays)[0]}


def answer(predictor: Predictor, body: Any) -> Any:
    """What /predict gives for the example's model."""
    parsed = predictor.read(body, ROBERTA, Limits())
    return orjson.loads(parsed.write("sentiment", "r7", [run_sentiment(request) for request in parsed.requests]))


def save_strings(path: Path, nodes: list[Any], domains: list[str]) -> Path:
    """text BYTES [N] -> logits FP32 [N, 2], by nodes of these domains; with constants ten, second and column."""
    graph = helper.make_graph(
        nodes,
        "lengths",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [
            numpy_helper.from_array(np.array([[10.0, 0.0]], np.float32), "ten"),
            numpy_helper.from_array(np.array([[0.0, 1.0]], np.float32), "second"),
            numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), *(helper.make_opsetid(name, 1) for name in domains)]
    )
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.fixture
def long_or_short(tmp_path: Path) -> Path:
    """text BYTES [N] -> logits FP32 [N, 2]: 10 against the number of characters, by an operator of the library."""
    return save_strings(
        tmp_path / "model.onnx",
        [
            helper.make_node("StringLength", ["text"], ["length"], domain="ai.onnx.contrib"),
            helper.make_node("Cast", ["length"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["number", "column"], ["numbers"]),
            helper.make_node("Mul", ["numbers", "second"], ["right"]),
            helper.make_node("Add", ["right", "ten"], ["logits"]),
        ],
        ["ai.onnx.contrib"],
    )


def save_decoder(path: Path, operator: str, *, mangles: bool = False) -> Path:
    """file UINT8 [1, N] -> numbers, by an operator of the library; `mangles` has another operator before it."""
    before = [helper.make_node("Identity", ["file"], ["seen"])] if mangles else []
    domain = "ai.onnx.contrib" if operator == "AudioDecoder" else "com.microsoft.extensions"
    decoder = helper.make_node(operator, ["seen" if mangles else "file"], ["numbers"], domain=domain)
    graph = helper.make_graph(
        [*before, decoder],
        "files",
        [helper.make_tensor_value_info("file", TensorProto.UINT8, [1, "N"])],
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [1, "M"])],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


@pytest.fixture(scope="session")
def sentiment() -> Predictor:
    return sharing(open_package(SENTIMENT, ROBERTA), padding=False)
