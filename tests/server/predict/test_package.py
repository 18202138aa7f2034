"""What lies beside a model is read and checked when the folder is opened; a broken file is named with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.predict.conftest import ROBERTA, SENTIMENT, answer
from tidegate_server.errors import ModelRefused
from tidegate_server.predict.classes import Classes, LabelledPredictor
from tidegate_server.predict.labels import Labels, parse_labels
from tidegate_server.predict.package import Package, open_package
from tidegate_server.predict.predictor import PlainPredictor
from tidegate_server.predict.selftest import parse_selftest
from tidegate_server.predict.text_predictor import OutputReader, TextPredictor
from tidegate_server.predict.tokenizer import open_token_encoder
from tidegate_server.protocol.signature import Signature, TensorSpec

PIXELS = TensorSpec("pixels", "FP32", ("N", 4))
DIGITS = Signature((PIXELS,), (TensorSpec("label", "INT64", ("N",)), TensorSpec("scores", "FP32", ("N", 3))))
FIELDS = "labels, positive, output, scores, max_length"


def test_a_folder_with_nothing_beside_the_model_gives_the_plain_predictor(tmp_path: Path) -> None:
    found = open_package(tmp_path, DIGITS)
    assert isinstance(found.predictor, PlainPredictor)
    assert found == Package(found.predictor, labels=(), selftest=None)


def test_labels_alone_give_labels_beside_tensors(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_bytes(b'["a", "b", "c"]')
    classes = Classes(("a", "b", "c"), positive=None, output="scores", kind="scores", scores="softmax")
    assert open_package(tmp_path, DIGITS) == Package(LabelledPredictor(classes), labels=("a", "b", "c"))


def test_a_tokenizer_alone_takes_texts_and_makes_up_no_labels(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((SENTIMENT / "tokenizer.json").read_bytes())
    found = open_package(tmp_path, ROBERTA)
    assert isinstance(found.predictor, TextPredictor)
    assert (found.predictor.reader, found.labels) == (OutputReader(), ())


def test_a_graph_that_says_nothing_of_its_shapes_can_classify_texts(tmp_path: Path) -> None:
    silent = Signature((TensorSpec("input", "INT64", ()),), (TensorSpec("output", "FP32", ()),))
    (tmp_path / "tokenizer.json").write_bytes((SENTIMENT / "tokenizer.json").read_bytes())
    (tmp_path / "labels.json").write_bytes(b'["negative", "positive"]')
    predictor = open_package(tmp_path, silent).predictor
    assert answer(predictor, {"text": "good"}) == answer(open_package(SENTIMENT, ROBERTA).predictor, {"text": "good"})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(["no", "yes"], Labels(("no", "yes")), id="a list"),
        pytest.param({"1": "yes", "0": "no"}, Labels(("no", "yes")), id="by number"),
        pytest.param(
            {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "x": 3}, Labels(("LABEL_0", "LABEL_1")), id="id2label"
        ),
        pytest.param(
            {"id2label": {"0": "POSITIVE", "1": "NEGATIVE"}}, Labels(("POSITIVE", "NEGATIVE"), 0), id="its own name"
        ),
        pytest.param(
            {"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"},
            Labels(("a", "b"), scores="sigmoid"),
            id="problem_type",
        ),
        pytest.param(["a", "b", "c"], Labels(("a", "b", "c"), None), id="three classes have no positive one"),
        pytest.param(
            {"labels": ["ham", "spam"], "positive": "ham"}, Labels(("ham", "spam"), 0), id="another positive one"
        ),
        pytest.param(
            {"labels": ["ham", "spam"], "positive": None}, Labels(("ham", "spam"), None), id="no positive one"
        ),
        pytest.param({"max_length": 64}, Labels((), max_length=64), id="nothing about names"),
        pytest.param(
            {"labels": {"0": "a"}, "output": "p", "scores": "none"},
            Labels(("a",), None, "p", "none"),
            id="output and scores",
        ),
    ],
)
def test_labels_are_understood(document: Any, expected: Labels) -> None:
    assert parse_labels(document) == expected


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (3, 'labels must be a list of names such as ["negative", "positive"], one per class'),
        ([], 'labels must be a list of names such as ["negative", "positive"], one per class'),
        (["a", 3], 'labels must be a list of names such as ["negative", "positive"], one per class'),
        (["a", "b", "a"], "label 'a' is given twice; give each class a name of its own"),
        ({"0": "a", "2": "b"}, "2 labels need the keys 0 to 1, and 1 is missing; number them"),
        ({"labels": ["a", "b"], "colour": 1}, f"unknown field 'colour'; it may have {FIELDS}"),
        (
            {"labels": ["a", "b"], "positive": "c"},
            "positive is 'c', which is no label; give one of the labels, or null",
        ),
        ({"labels": ["a", "b"], "scores": "best"}, "scores is 'best'; give one of softmax, sigmoid, none, raw"),
        ({"labels": ["a", "b"], "output": 3}, "output is 3; give the name of one of the model's outputs"),
        ({"max_length": 0}, "max_length is 0; give a whole number of tokens, 1 to 65536"),
        ({"max_length": True}, "max_length is True; give a whole number of tokens, 1 to 65536"),
        (["a" * 201, "b"], "at most 100000 labels of 200 characters each; shorten the list"),
    ],
)
def test_broken_labels_are_refused(document: Any, sentence: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        parse_labels(document)
    assert (refused.value.reason, str(refused.value)) == ("UnsupportedModel", f"labels.json: {sentence}")


@pytest.mark.parametrize(
    ("labels", "signature", "sentence"),
    [
        (
            ["a", "b"],
            DIGITS.outputs[1:],
            "2 labels fit no output of the model (scores [-1, 3]); give one label per column",
        ),
        (
            {"labels": ["a", "b", "c"], "output": "z"},
            DIGITS.outputs,
            "output is 'z', which the model hasn't; it has label, scores",
        ),
        (
            ["a", "b", "c"],
            (DIGITS.outputs[1], TensorSpec("probabilities", "FP32", ("N", 3))),
            'outputs scores, probabilities could all hold the classes; say which one as "output" in labels.json',
        ),
        (
            {"labels": ["a", "b"], "scores": "softmax"},
            (TensorSpec("logit", "FP32", ("N", 1)),),
            'scores is "softmax", but output logit has one column; use "sigmoid"',
        ),
    ],
)
def test_labels_that_fit_no_output_are_refused(
    tmp_path: Path, labels: Any, signature: tuple[TensorSpec, ...], sentence: str
) -> None:
    (tmp_path / "labels.json").write_bytes(orjson.dumps(labels))
    with pytest.raises(ModelRefused) as refused:
        open_package(tmp_path, Signature((PIXELS,), signature))
    assert str(refused.value) == f"labels.json: {sentence}"


@pytest.mark.parametrize("name", ["tokenizer.json", "labels.json", "selftest.json"])
def test_a_file_that_is_no_json_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"a": ')
    with pytest.raises(ModelRefused, match=f"^{name}: it isn't "):
        open_package(tmp_path, ROBERTA)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with (tmp_path / "labels.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ModelRefused) as refused:
        open_package(tmp_path, ROBERTA)
    assert str(refused.value) == "labels.json: it is larger than 16777216 bytes; make it smaller or remove it"


def test_a_folder_in_a_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").mkdir()
    with pytest.raises(ModelRefused, match=r"^labels\.json: it can't be read \(Is a directory\)"):
        open_package(tmp_path, ROBERTA)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        pytest.param(
            (PIXELS,),
            "token ids are INT64 of shape (batch, sequence); it has pixels FP32 [-1, 4]",
            id="a model for pictures",
        ),
        pytest.param(
            (*ROBERTA.inputs, PIXELS),
            "it needs one input for token ids, and may have attention_mask and token_type_ids; "
            "it has input INT64 [-1, -1], pixels FP32 [-1, 4]",
            id="an input that nobody fills",
        ),
        pytest.param(
            (),
            "it needs one input for token ids, and may have attention_mask and token_type_ids; it has none",
            id="none",
        ),
    ],
)
def test_a_tokenizer_beside_a_graph_that_takes_no_tokens_is_refused(
    inputs: tuple[TensorSpec, ...], sentence: str
) -> None:
    with pytest.raises(ModelRefused) as refused:
        open_token_encoder((SENTIMENT / "tokenizer.json").read_bytes(), None, Signature(inputs, ROBERTA.outputs))
    whole = f"tokenizer.json: the model can't take its tokens: {sentence}. Remove the file or export the model so"
    assert str(refused.value) == whole


@pytest.mark.parametrize(
    ("labels", "length", "expected"),
    [
        pytest.param(None, "sequence", 128, id="the tokenizer's own"),
        pytest.param(64, "sequence", 64, id="what labels.json says"),
        pytest.param(300, "sequence", 300, id="even when it is more"),
        pytest.param(300, 200, 200, id="never more than the graph has room for"),
    ],
)
def test_the_longest_text(labels: int | None, length: int | str, expected: int) -> None:
    signature = Signature((TensorSpec("input", "INT64", ("batch", length)),), ROBERTA.outputs)
    assert open_token_encoder((SENTIMENT / "tokenizer.json").read_bytes(), labels, signature).max_length == expected


def test_without_anybody_saying_so_the_longest_text_has_512_tokens() -> None:
    document = orjson.loads((SENTIMENT / "tokenizer.json").read_bytes())
    content = orjson.dumps({**document, "truncation": None})
    assert open_token_encoder(content, None, ROBERTA).max_length == 512


def refusal(opening: Callable[[], Any]) -> str:
    """Anything but a ModelRefused fails the test."""
    try:
        opening()
    except ModelRefused as error:
        return str(error)
    return "fine"


places = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from(["version", "truncation", "padding", "normalizer", "post_processor", "model"]), places
    )
)
@settings(max_examples=200, deadline=None)
def test_any_tokenizer_opens_or_is_refused(broken: dict[str, Any]) -> None:
    document = {**orjson.loads((SENTIMENT / "tokenizer.json").read_bytes()), **broken}
    assert refusal(lambda: open_token_encoder(orjson.dumps(document), None, ROBERTA)).startswith(
        ("tokenizer.json: ", "fine")
    )


@given(
    places
    | st.fixed_dictionaries(
        {"labels": places},
        optional={"positive": places, "output": places, "scores": places, "max_length": places},
    )
)
@settings(max_examples=300, deadline=None)
def test_any_labels_are_understood_or_refused(document: Any) -> None:
    assert refusal(lambda: parse_labels(document)).startswith(("labels.json: ", "fine"))


cases = st.fixed_dictionaries({}, optional=dict.fromkeys(("body", "inputs", "answer", "outputs", "tolerance"), places))


@given(places | st.builds(lambda listed: {"cases": listed}, st.lists(cases, max_size=3)))
@settings(max_examples=300, deadline=None)
def test_any_selftest_is_understood_or_refused(document: Any) -> None:
    assert refusal(lambda: parse_selftest(document, ROBERTA)).startswith(("selftest.json: ", "fine"))
