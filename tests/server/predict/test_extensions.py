"""Graphs with operators of onnxruntime-extensions: recognised by their domain, and run with the installed library."""

from pathlib import Path

import onnxruntime
import orjson
import pytest
from onnx import TensorProto, helper

from tests.server.predict.conftest import LENGTHS, save_decoder, save_strings, sharing
from tidegate_server.errors import ModelRefused
from tidegate_server.inference.extensions import extensions_library, sound_inputs, uses_extensions
from tidegate_server.inference.model import Model
from tidegate_server.inference.onnx_graph import operators
from tidegate_server.predict.package import open_package
from tidegate_server.protocol.limits import Limits


def test_a_graph_with_an_operator_of_the_library_is_recognised_and_runs_with_it(long_or_short: Path) -> None:
    assert uses_extensions(operators(long_or_short))
    (tmp := long_or_short.parent / "labels.json").write_bytes(orjson.dumps(["short", "long"]))
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(extensions_library())
    session = onnxruntime.InferenceSession(str(long_or_short), options, providers=["CPUExecutionProvider"])
    predictor = sharing(open_package(tmp.parent, LENGTHS))
    parsed = predictor.read({"texts": ["four", "more than ten letters"]}, LENGTHS, Limits())
    (request,) = parsed.requests
    outputs = {"logits": session.run(["logits"], request.arrays)[0]}
    assert orjson.loads(parsed.write("m", "r", [outputs])) == {
        "predictions": [
            {"label": "short", "score": 0.997527},
            {"label": "long", "score": 0.999983},
        ],
        "model": "m",
        "revision": "r",
    }


def test_without_the_library_the_runtime_refuses_such_a_graph(long_or_short: Path) -> None:
    with pytest.raises(Exception, match=r"ai\.onnx\.contrib"):
        onnxruntime.InferenceSession(str(long_or_short), providers=["CPUExecutionProvider"])


def test_a_graph_that_only_imports_the_domain_and_uses_nothing_of_it_needs_no_library(tmp_path: Path) -> None:
    path = save_strings(tmp_path / "m.onnx", [helper.make_node("Identity", ["ten"], ["logits"])], ["ai.onnx.contrib"])
    assert not uses_extensions(operators(path))


def test_the_operator_is_found_in_a_graph_inside_the_graph(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [
            helper.make_node("StringUpper", ["text"], ["loud"], domain="com.microsoft.extensions"),
            helper.make_node("Identity", ["ten"], ["chosen"]),
        ],
        "inner",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [1, 2])],
    )
    node = helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner)
    path = save_strings(tmp_path / "m.onnx", [node], ["com.microsoft.extensions"])
    assert uses_extensions(operators(path))


def test_the_library_is_the_installed_one() -> None:
    import onnxruntime_extensions  # type: ignore[import-untyped] # it has no annotations

    assert Path(extensions_library()).parent == Path(onnxruntime_extensions.__file__).parent


@pytest.mark.parametrize(("mangles", "found"), [(False, {"file"}), (True, set())])
def test_the_inputs_that_a_decoder_takes_as_they_come_are_known(mangles: bool, found: set[str], tmp_path: Path) -> None:
    assert sound_inputs(save_decoder(tmp_path / "model.onnx", "AudioDecoder", mangles=mangles)) == found


def test_a_graph_that_any_client_could_end_the_server_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="the graph decodes images with DecodeImage"):
        Model.open(save_decoder(tmp_path / "model.onnx", "DecodeImage"))
