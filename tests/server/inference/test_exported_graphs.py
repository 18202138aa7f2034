"""What converters and exporters make by default: opened and run as it is, or named in a sentence where it can't be."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.server.conftest import tensor
from tests.server.inference.exported import SCORES, classifier, decoder, dictionary, optional, write
from tidegate_server.errors import ModelFailed, ModelRefused
from tidegate_server.inference.model import MAX_INITIALIZERS, Model
from tidegate_server.protocol.signature import Signature, TensorSpec

ROWS = np.eye(4, dtype=np.float32)[[0, 2, 3]]


def ran(model: Model, **arrays: Any) -> dict[str, Any]:
    names = model.signature.output_names
    return dict(zip(names, model.run(arrays, names), strict=True))


@pytest.mark.parametrize("classes", [["ham", "spam", "grüße"], [3, -7, 9]], ids=["names", "numbers"])
def test_a_sequence_of_maps_is_served_as_the_scores_and_their_classes(tmp_path: Path, classes: list[Any]) -> None:
    path = classifier(tmp_path / "m.onnx", classes)
    model = Model.open(path)
    label = TensorSpec("label", "BYTES" if isinstance(classes[0], str) else "INT64", ("N",))
    scores = TensorSpec("probabilities", "FP32", ("N", 3), classes=tuple(map(str, classes)))
    assert model.signature == Signature((TensorSpec("features", "FP32", ("N", 4)),), (label, scores))
    found = ran(model, features=ROWS)
    expected_labels, expected_maps = onnxruntime.InferenceSession(path).run(None, {"features": ROWS})
    assert found["label"].tolist() == expected_labels.tolist()
    assert [dict(zip(classes, row, strict=True)) for row in found["probabilities"].tolist()] == expected_maps


def test_maps_are_found_beside_weights_in_other_files(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", ["a", "b", "c"])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (ran(Model.open(path), features=ROWS)["probabilities"] == ROWS @ SCORES).all()


def test_classes_that_are_large_or_negative_numbers_are_read(tmp_path: Path) -> None:
    path = classifier(tmp_path / "m.onnx", [1, 2**40, -3])
    assert Model.open(path).signature.outputs[1].classes == ("1", "1099511627776", "-3")


def test_a_sequence_of_tensors_is_served_stacked(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("SplitToSequence", ["x"], ["y"], axis=0)],
        [tensor("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
        {},
    )
    model = Model.open(path)
    assert model.signature.outputs == (TensorSpec("y", "FP32", ()),)
    assert ran(model, x=ROWS)["y"].tolist() == ROWS.reshape(3, 1, 4).tolist()


def test_a_sequence_of_tensors_of_several_shapes_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("SplitToSequence", ["x", "lengths"], ["y"], axis=0)],
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
        {"lengths": np.array([1, 2])},
    )
    with pytest.raises(ModelFailed, match=r"output y is a sequence of tensors of different shapes \(\[1\], \[2\]\)"):
        ran(Model.open(path), x=np.zeros(3, np.float32))


def test_a_sequence_that_is_made_of_tensors_is_served_as_these(tmp_path: Path) -> None:
    """As scikit-learn's classifiers of several targets: scores for each, of other classes."""
    path = write(
        tmp_path / "m.onnx",
        [
            helper.make_node("MatMul", ["x", "three"], ["first"]),
            helper.make_node("MatMul", ["x", "two"], ["second"]),
            helper.make_node("SequenceConstruct", ["first", "second"], ["probabilities"]),
        ],
        [tensor("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_sequence_value_info("probabilities", TensorProto.FLOAT, None)],
        {"three": SCORES, "two": SCORES[:, :2].copy()},
    )
    model = Model.open(path)
    assert model.signature.outputs == (
        TensorSpec("probabilities.0", "FP32", ("N", 3)),
        TensorSpec("probabilities.1", "FP32", ("N", 2)),
    )
    found = ran(model, x=ROWS)
    assert (found["probabilities.0"] == ROWS @ SCORES).all()
    assert (found["probabilities.1"] == ROWS @ SCORES[:, :2]).all()


def test_a_sequence_goes_in_as_one_tensor(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)],
        [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["M"])],
        [tensor("y", TensorProto.FLOAT, ["M"])],
        {},
    )
    assert ran(Model.open(path), x=np.array([[1, 2], [3, 4]], np.float32))["y"].tolist() == [1, 2, 3, 4]


def test_what_is_optional_may_be_left_out_and_is_empty_where_there_is_none(tmp_path: Path) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
    path = write(
        tmp_path / "m.onnx",
        [
            helper.make_node("OptionalHasElement", ["x"], ["given"]),
            helper.make_node("Optional", [], ["none"], type=kind),
            helper.make_node("Optional", ["k"], ["some"]),
        ],
        [optional("x")],
        [tensor("given", TensorProto.BOOL, []), optional("none"), optional("some")],
        {"k": np.ones(2, np.float32)},
    )
    model = Model.open(path)
    assert (model.signature.required_inputs, model.signature.is_batchable) == ((), False)
    without, given = ran(model), ran(model, x=np.ones(1, np.float32))
    assert (without["given"].item(), given["given"].item()) == (False, True)
    assert (without["none"].shape, without["some"].tolist()) == ((0,), [1, 1])


@pytest.mark.parametrize(("count", "offered"), [(1, 1), (MAX_INITIALIZERS + 1, 0)], ids=["a few", "all weights"])
def test_initializers_that_may_be_overridden_are_optional_inputs(tmp_path: Path, count: int, offered: int) -> None:
    names = [f"k{position}" for position in range(count)]
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Sum", ["x", *names], ["y"])],
        [tensor("x", TensorProto.FLOAT, ["N"]), *(tensor(name, TensorProto.FLOAT, [1]) for name in names)],
        [tensor("y", TensorProto.FLOAT, ["N"])],
        {name: np.full(1, 3, np.float32) for name in names},
    )
    model = Model.open(path)
    assert [spec.name for spec in model.signature.inputs if spec.optional] == names[:offered]
    assert ran(model, x=np.zeros(2, np.float32))["y"].tolist() == [3 * count] * 2
    if offered:
        assert ran(model, x=np.zeros(2, np.float32), k0=np.ones(1, np.float32))["y"].tolist() == [1, 1]


def test_bfloat16_goes_in_and_out_as_floats_of_the_same_value(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["wide", "k"], ["more"]),
            helper.make_node("Cast", ["more"], ["y"], to=TensorProto.BFLOAT16),
        ],
        [tensor("x", TensorProto.BFLOAT16, ["N"]), tensor("k", TensorProto.FLOAT, [1])],
        [tensor("y", TensorProto.BFLOAT16, ["N"]), tensor("more", TensorProto.FLOAT, ["N"])],
        {},
    )
    model = Model.open(path)
    found = ran(model, x=np.array([1.0, 2.5], np.float32), k=np.array([1.001], np.float32))
    assert (found["y"].dtype, found["y"].tolist()) == (np.float32, [1.0, 2.5])
    assert found["more"].tolist() == pytest.approx([1.001, 2.5025])


def test_bfloat16_beside_text_is_refused_at_the_start(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["words"], ["same"])],
        [tensor("x", TensorProto.BFLOAT16, ["N"]), tensor("words", TensorProto.STRING, ["N"])],
        [tensor("y", TensorProto.BFLOAT16, ["N"]), tensor("same", TensorProto.STRING, ["N"])],
        {},
    )
    with pytest.raises(ModelRefused, match=r"input words is text beside bfloat16.* in place of bfloat16"):
        Model.open(path)


def test_the_first_step_of_a_decoder_has_an_empty_past(tmp_path: Path) -> None:
    model = Model.open(decoder(tmp_path / "m.onnx"))
    new = np.ones((1, 1, 4), np.float32)
    assert ran(model, past=np.empty((1, 0, 4), np.float32), new=new)["present"].shape == (1, 1, 4)


@pytest.mark.parametrize(
    ("operator", "domain", "expected"),
    [("IsNaN", "", True), ("Imputer", "ai.onnx.ml", True), ("Neg", "", False)],
)
def test_missing_values_are_expected_where_an_operator_takes_them(
    tmp_path: Path, operator: str, domain: str, expected: bool
) -> None:
    attributes: dict[str, Any] = {"imputed_value_floats": [7.0], "replaced_value_float": float("nan")} if domain else {}
    kind = TensorProto.BOOL if operator == "IsNaN" else TensorProto.FLOAT
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)
    path = write(
        tmp_path / "m.onnx", [node], [tensor("x", TensorProto.FLOAT, ["N", 1])], [tensor("y", kind, ["N", 1])], {}
    )
    assert Model.open(path).takes_missing_values is expected


def refusal(path: Path) -> str:
    with pytest.raises(ModelRefused) as refused:
        Model.open(path)
    return str(refused.value)


def test_a_type_that_nothing_carries_is_named(tmp_path: Path) -> None:
    path = dictionary(tmp_path / "m.onnx")
    assert refusal(path) == (
        "input x is a map(string,tensor(float)), and neither JSON nor the protocol's tensors carry one; "
        "export the model with a tensor in its place"
    )


@pytest.mark.parametrize(
    ("opset", "ir_version", "sentence"),
    [
        (99, 9, "the model uses opset 99 of ai.onnx, and onnxruntime "),
        (18, 99, "the model's IR version is 99, and onnxruntime "),
    ],
)
def test_a_model_that_is_too_new_is_told_what_is_known(
    tmp_path: Path, opset: int, ir_version: int, sentence: str
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "new",
        [tensor("x", TensorProto.FLOAT, ["N"])],
        [tensor("y", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    told = refusal(tmp_path / "m.onnx")
    assert told.startswith(sentence)
    assert "knows up to" in told
    assert "; export it with" in told


def test_a_missing_locale_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_XX.UTF-8")],
        [tensor("x", TensorProto.STRING, ["N"])],
        [tensor("y", TensorProto.STRING, ["M"])],
        {},
    )
    assert "need the locale xx_XX.UTF-8, which this system doesn't have; install it" in refusal(path)
