"""ONNX's own checker: what it finds fault with, what it passes over, and when it isn't asked."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import tensor
from tests.server.fetch.conftest import Bring
from tidegate_server.errors import FetchFailed
from tidegate_server.fetch import onnx_checker
from tidegate_server.fetch.onnx_checker import check_graph


@pytest.fixture
def crooked(tmp_path: Path) -> Path:
    """A graph that the runtime opens, with an attribute that its operator doesn't have."""
    node = helper.make_node("Relu", ["pixels"], ["rest"], speed=11)
    outputs, inputs = [tensor("rest", TensorProto.FLOAT, ["N"])], [tensor("pixels", TensorProto.FLOAT, ["N"])]
    graph = helper.make_graph([node], "crooked", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "c.onnx")
    return tmp_path / "c.onnx"


def graph_of(domain: str, operator: str, kind: int, path: Path) -> Path:
    node = helper.make_node(operator, ["a"], ["b"], domain=domain)
    graph = helper.make_graph([node], "custom", [tensor("a", kind, ["N"])], [tensor("b", kind, ["N"])])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def test_a_graph_that_breaks_the_rules_is_refused(bring: Bring, crooked: Path) -> None:
    ended = bring(crooked.as_uri(), TIDEGATE_CHECK_MODEL="refuse")
    assert (ended.reason, ended.left) == ("UnsupportedModel", [])
    assert "speed" in ended.report["message"]


def test_a_graph_that_breaks_the_rules_may_be_let_in(crooked: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_graph(crooked, "off")
    assert caplog.text == ""
    check_graph(crooked, "warn")
    assert "breaks the rules of ONNX" in caplog.text


def test_what_the_runtime_opens_all_the_same_is_brought_unless_told_otherwise(
    bring: Bring, crooked: Path, tmp_path: Path
) -> None:
    node = helper.make_node("Neg", ["pixels"], ["rest"])
    inputs, outputs = [tensor("pixels", TensorProto.FLOAT, ["N"])], [tensor("rest", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "shapeless", inputs, outputs)
    shapeless = tmp_path / "shapeless.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), shapeless)
    assert bring(shapeless.as_uri(), TIDEGATE_CHECK_MODEL="Auto").reason == "brought"
    assert bring(crooked.as_uri(), TIDEGATE_CHECK_MODEL="Auto").reason == "UnsupportedModel"
    ended = bring(shapeless.as_uri(), TIDEGATE_CHECK_MODEL="refuse")
    assert ended.report["message"] == (
        "the model breaks the rules of ONNX: Field 'shape' of 'type' is required but missing.; "
        "export it again, or let it in by TIDEGATE_CHECK_MODEL=warn"
    )


@pytest.mark.parametrize("domain", ["ai.onnx.contrib", "com.microsoft.extensions", "com.microsoft"])
def test_operators_that_onnx_does_not_define_are_passed_over(tmp_path: Path, domain: str) -> None:
    check_graph(graph_of(domain, "StringUpper", TensorProto.STRING, tmp_path / "m.onnx"), "refuse")


def test_a_graph_with_an_operator_of_the_extensions_is_brought(bring: Bring, tmp_path: Path) -> None:
    model = graph_of("ai.onnx.contrib", "StringUpper", TensorProto.STRING, tmp_path / "m.onnx")
    assert bring(model.as_uri(), TIDEGATE_CHECK_MODEL="refuse").reason == "brought"


def test_an_operator_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="No Op registered for Nonsense"):
        check_graph(graph_of("", "Nonsense", TensorProto.FLOAT, tmp_path / "m.onnx"), "refuse")


def test_weights_in_other_files_are_no_obstacle(whole: Path) -> None:
    check_graph(whole / "model.onnx", "refuse")


def test_a_graph_too_long_for_protobuf_is_not_checked(
    linear: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnx_checker, "MAX_BYTES", 10)
    check_graph(linear, "refuse")
    assert "isn't checked" in caplog.text
    assert "protobuf reads no more than 10" in caplog.text


def test_weights_of_the_right_length_are_needed(bring: Bring, whole: Path) -> None:
    (whole / "weights.bin").write_bytes(np.ones(10, np.float32).tobytes())
    ended = bring(whole.as_uri())
    assert (ended.reason, ended.left) == ("UnsupportedModel", [])
