"""Text through /predict: the example's trained model, small graphs with masks and fixed sizes, and any JSON value."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import onnxruntime
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.server.conftest import save, tensor
from tests.server.predict.conftest import ROBERTA, SENTIMENT, answer, run_sentiment, sharing
from tidegate_server.errors import InvalidRequest, ModelFailed
from tidegate_server.predict.package import open_package
from tidegate_server.predict.predictor import Predictor
from tidegate_server.predict.text_encoder import RunSharing
from tidegate_server.predict.text_predictor import MAX_REQUEST_BYTES, MAX_TEXT_BYTES, MAX_TEXTS
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

GOOD = "A warm, funny and beautifully acted film."
BAD = "The battery died after two days and nobody answers my mails."
FORMS = 'give {"text": "..."}, or {"texts": ["...", "..."]} for several'


def test_one_text_is_answered_with_a_label_a_score_and_whether_it_is_positive(sentiment: Predictor) -> None:
    found = answer(sentiment, {"text": GOOD})
    assert 0.9 < found.pop("score") <= 1
    assert found == {"label": "positive", "positive": True, "model": "sentiment", "revision": "r7"}
    found = answer(sentiment, {"text": BAD})
    assert 0.5 < found.pop("score") <= 1
    assert found == {"label": "negative", "positive": False, "model": "sentiment", "revision": "r7"}


def test_several_texts_are_answered_in_their_order_and_as_each_alone(sentiment: Predictor) -> None:
    texts = [GOOD, BAD, "ok", "I love it", "I hate it", GOOD, "", "🙂"]
    alone = [answer(sentiment, {"text": text}) for text in texts]
    together = answer(sentiment, {"texts": texts})
    expected = [{field: one[field] for field in ("label", "score", "positive")} for one in alone]
    assert together == {"predictions": expected, "model": "sentiment", "revision": "r7"}


@pytest.mark.parametrize(
    ("one", "several"),
    [
        pytest.param(GOOD, [GOOD, BAD], id="a bare string or list"),
        pytest.param({"inputs": GOOD}, {"inputs": [GOOD, BAD]}, id="inputs in place of text and texts"),
    ],
)
def test_other_forms_mean_the_same(sentiment: Predictor, one: Any, several: Any) -> None:
    assert answer(sentiment, one) == answer(sentiment, {"text": GOOD})
    assert answer(sentiment, several) == answer(sentiment, {"texts": [GOOD, BAD]})


def test_token_ids_are_taken_too_and_answered_with_tensors(sentiment: Predictor) -> None:
    (request,) = sentiment.read({"text": GOOD}, ROBERTA, Limits()).requests
    ids = request.arrays["input"].tolist()
    for body in ({"inputs": {"input": ids}}, {"inputs": ids}, ids):
        found = answer(sentiment, body)
        (logits,) = found.pop("outputs")["output"]
        assert logits[1] > logits[0]
        expected = {"label": "positive", "score": answer(sentiment, GOOD)["score"], "positive": True}
        assert found == {"predictions": [expected], "model": "sentiment", "revision": "r7"}


def test_ids_are_what_the_tokenizer_says_with_its_special_tokens(sentiment: Predictor) -> None:
    (request,) = sentiment.read({"text": GOOD}, ROBERTA, Limits()).requests
    array = request.arrays["input"]
    tokenizer = Tokenizer.from_file(str(SENTIMENT / "tokenizer.json"))
    assert (array.dtype, array.tolist()) == (np.int64, [tokenizer.encode(GOOD).ids])
    assert (array[0, 0], array[0, -1]) == (tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>"))


def test_without_a_mask_only_texts_of_one_length_share_a_run(sentiment: Predictor) -> None:
    texts = ["good", "a good day", "bad", "a bad day"]
    shapes = [request.arrays["input"].shape for request in sentiment.read(texts, ROBERTA, Limits()).requests]
    assert shapes == [(2, 3), (2, 5)]


def test_a_text_that_is_too_long_is_cut_off_and_the_answer_says_so(sentiment: Predictor) -> None:
    found = answer(sentiment, {"texts": ["good", "good " * 5000]})
    assert [one.get("truncated") for one in found["predictions"]] == [None, True]
    runs = sentiment.read("good " * 5000, ROBERTA, Limits()).requests
    assert [run.arrays["input"].shape for run in runs] == [(1, 128)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("it isn't, you know, \u2019good\u2019 " * 400, id="words"),
        pytest.param("a" * 5000 + " good " * 50, id="a word that is longer than all the room"),
        pytest.param("good" + " " * 30_000 + "bad", id="a text that is mostly blanks"),
        pytest.param(
            ("x" * 300 + " ") * 7 + "good " * 300, id="words of few tokens, so that the beginning isn't enough"
        ),
        pytest.param("🙂 " * 4000, id="faces"),
    ],
)
def test_a_long_text_has_the_tokens_of_its_beginning(sentiment: Predictor, text: str) -> None:
    (request,) = sentiment.read(text, ROBERTA, Limits()).requests
    tokenizer = Tokenizer.from_file(str(SENTIMENT / "tokenizer.json"))
    assert request.arrays["input"].tolist() == [tokenizer.encode(text).ids]


def test_others_run_while_a_long_text_is_cut_into_tokens(sentiment: Predictor) -> None:
    """In one call of the library, which takes some 100 ms for this word."""
    turns = 0
    is_over = Event()

    def count() -> None:
        nonlocal turns
        while not is_over.wait(0.0005):
            turns += 1

    other = Thread(target=count)
    other.start()
    try:
        before = turns
        sentiment.read({"texts": ["a" * MAX_TEXT_BYTES] * 4}, ROBERTA, Limits())
        assert turns - before > 20
    finally:
        is_over.set()
        other.join()


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "🙂" * 50, "שלום", "\x00", "a" * MAX_TEXT_BYTES, "é" * 1000, "<s></s>"]
)
def test_any_text_has_an_answer(sentiment: Predictor, text: str) -> None:
    assert answer(sentiment, {"text": text})["label"] in ("negative", "positive")


@pytest.mark.parametrize(
    ("body", "sentence", "status"),
    [
        pytest.param({}, f"the body needs one of text, texts and inputs; {FORMS}", 400, id="nothing"),
        pytest.param(None, f"the body must be a string or a list of strings; {FORMS}", 400, id="null"),
        pytest.param({"text": 3}, f"text must be a string; {FORMS}", 400, id="a number for a text"),
        pytest.param({"text": ["a"]}, f"text must be a string; {FORMS}", 400, id="a list for a text"),
        pytest.param({"texts": "a"}, f"texts must be a list of strings; {FORMS}", 400, id="a string for texts"),
        pytest.param({"texts": ["a", None]}, f"texts[1] must be a string; {FORMS}", 400, id="null among texts"),
        pytest.param({"texts": []}, "texts has 0 texts; give 1 to 256 in one request", 400, id="no texts"),
        pytest.param(
            {"texts": ["a"] * (MAX_TEXTS + 1)}, "texts has 257 texts; give 1 to 256 in one request", 400, id="too many"
        ),
        pytest.param({"txet": "a"}, f"unknown field 'txet'; {FORMS}", 400, id="a mistyped field"),
        pytest.param(
            {"text": "a", "texts": ["b"]}, f"the body needs one of text, texts and inputs; {FORMS}", 400, id="both"
        ),
        pytest.param(
            {"text": "half \ud83d"}, "text has half of a surrogate pair; it isn't text", 400, id="half a surrogate pair"
        ),
        pytest.param(
            {"texts": ["a", "x" * 2**20]},
            "texts[1] has 1048576 bytes; give at most 65536 in one text",
            413,
            id="a text of a mebibyte",
        ),
        pytest.param(
            {"texts": ["x" * MAX_TEXT_BYTES] * 17},
            f"texts has {17 * MAX_TEXT_BYTES} bytes of text; give at most {MAX_REQUEST_BYTES} in one request",
            413,
            id="many long texts",
        ),
    ],
)
def test_a_body_that_is_no_text_is_refused_with_a_sentence(
    sentiment: Predictor, body: Any, sentence: str, status: int
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sentiment.read(body, ROBERTA, Limits())
    assert (str(refused.value), refused.value.status) == (sentence, status)


def test_texts_that_make_more_numbers_than_allowed_are_refused(sentiment: Predictor) -> None:
    with pytest.raises(InvalidRequest, match="the texts make tensors of 9 numbers; at most 8 are allowed"):
        sentiment.read(["good", "bad", "fine"], ROBERTA, Limits(max_elements=8))


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(st.characters(codec=None))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
documents = values | st.dictionaries(st.sampled_from(["text", "texts", "inputs", "rows"]), values, max_size=2)


@given(document=documents)
@settings(max_examples=400, deadline=None)
def test_any_json_gives_an_answer_or_a_4xx(sentiment: Predictor, document: Any) -> None:
    refused = 0
    outputs: list[Mapping[str, Array]] = []
    try:
        parsed = sentiment.read(document, ROBERTA, Limits())
        with suppress(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):  # ids beyond the embedding
            outputs = [run_sentiment(request) for request in parsed.requests]
    except InvalidRequest as error:
        refused = error.status
    if outputs:
        assert "model" in orjson.loads(parsed.write("sentiment", "r7", outputs))
    assert refused == 0 or 400 <= refused < 500


def words(folder: Path, **more: Any) -> Path:
    """A tokenizer that knows four words, one token each, and adds nothing."""
    known = {"<pad>": 0, "bad": 1, "dull": 2, "good": 3, "great": 4, "?": 5}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="?"))  # noqa: S106 - no password but a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    document = {**orjson.loads(tokenizer.to_str()), **more}
    (folder / "tokenizer.json").write_bytes(orjson.dumps(document))
    return folder


def masked(path: Path, rows: int | str, length: int | str, datatype: int = TensorProto.INT64) -> Path:
    """input_ids, attention_mask, token_type_ids -> logits: the mean of the tokens' values, over those of the mask."""
    values = np.array([[100, 100], [4, 0], [2, 0], [0, 2], [0, 4], [1, 1]], np.float32)
    return save(
        path,
        [
            helper.make_node("Gather", ["values", "input_ids"], ["each"]),
            helper.make_node("Cast", ["attention_mask"], ["wanted"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["wanted", "last"], ["weights"]),
            helper.make_node("Mul", ["each", "weights"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "along"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["wanted", "along"], ["count"]),
            helper.make_node("Div", ["sum", "count"], ["mean"]),
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["types", "along"], ["second"]),
            helper.make_node("Add", ["mean", "second"], ["logits"]),
        ],
        [tensor(name, datatype, [rows, length]) for name in ("input_ids", "attention_mask", "token_type_ids")],
        [tensor("logits", TensorProto.FLOAT, [rows, 2])],
        {"values": values, "last": np.array([2], np.int64), "along": np.array([1], np.int64)},
    )


def masked_signature(rows: int | str, length: int | str, datatype: str = "INT64") -> Signature:
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = tuple(TensorSpec(name, datatype, (rows, length)) for name in names)
    return Signature(inputs, (TensorSpec("logits", "FP32", (rows, 2)),))


@pytest.mark.parametrize(
    ("rows", "length", "shapes"),
    [
        pytest.param("N", "L", [(4, 3)], id="any sizes: one padded run"),
        pytest.param(1, "L", [(1, 1), (1, 2), (1, 3), (1, 1)], id="one row: a run for each text"),
        pytest.param(3, 8, [(3, 8)] * 4, id="fixed sizes: filled up with copies of the one text"),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_never_changes_an_answer(
    tmp_path: Path, rows: int | str, length: int | str, shapes: list[tuple[int, int]], side: str
) -> None:
    padding = {"strategy": "BatchLongest", "direction": side.capitalize(), "pad_to_multiple_of": None}
    words(tmp_path, padding={**padding, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"})
    (tmp_path / "labels.json").write_bytes(b'["negative", "positive"]')
    session = onnxruntime.InferenceSession(str(masked(tmp_path / "model.onnx", rows, length)))
    signature = masked_signature(rows, length)
    package = open_package(tmp_path, signature)
    predictor = sharing(package) if rows == "N" else package.predictor
    parsed = predictor.read({"texts": ["great", "bad dull", "good great great", "dull"]}, signature, Limits())
    assert [request.arrays["input_ids"].shape for request in parsed.requests] == shapes
    outputs = [{"logits": session.run(["logits"], request.arrays)[0]} for request in parsed.requests]
    predictions = orjson.loads(parsed.write("m", "r", outputs))["predictions"]
    assert predictions == [
        {"label": "positive", "score": 0.982014, "positive": True},
        {"label": "negative", "score": 0.952574, "positive": False},
        {"label": "positive", "score": 0.965555, "positive": True},
        {"label": "negative", "score": 0.880797, "positive": False},
    ]


def test_a_graph_with_int32_ids_gets_int32(tmp_path: Path) -> None:
    signature = masked_signature("N", "L", "INT32")
    (request,) = open_package(words(tmp_path), signature).predictor.read("good bad", signature, Limits()).requests
    assert {name: (array.dtype.name, array.tolist()) for name, array in request.arrays.items()} == {
        "input_ids": ("int32", [[3, 1]]),
        "attention_mask": ("int32", [[1, 1]]),
        "token_type_ids": ("int32", [[0, 0]]),
    }


def test_a_text_without_a_token_is_refused_and_named(tmp_path: Path) -> None:
    predictor = open_package(words(tmp_path), ROBERTA).predictor
    with pytest.raises(InvalidRequest) as refused:
        predictor.read(["good", "  "], ROBERTA, Limits())
    assert str(refused.value) == "text 2 is empty to this model: it has no token in it; give a word"


def test_a_model_that_does_not_classify_gives_each_text_its_own_rows(tmp_path: Path) -> None:
    signature = Signature(ROBERTA.inputs, (TensorSpec("vector", "FP32", ("N", 3)), TensorSpec("size", "INT64", ("N",))))
    parsed = sharing(open_package(words(tmp_path), signature)).read(["good", "bad dull", "bad"], signature, Limits())
    assert [request.arrays["input"].tolist() for request in parsed.requests] == [[[3], [1]], [[1, 2]]]
    outputs = [
        {"vector": np.array([[1, 2, 3], [4, 5, 6]], np.float32), "size": np.array([10, 11])},
        {"vector": np.array([[7, 8, 9]], np.float32), "size": np.array([12])},
    ]
    assert orjson.loads(parsed.write("m", "r", outputs)) == {
        "predictions": [
            {"outputs": {"vector": [1.0, 2.0, 3.0], "size": 10}},
            {"outputs": {"vector": [7.0, 8.0, 9.0], "size": 12}},
            {"outputs": {"vector": [4.0, 5.0, 6.0], "size": 11}},
        ],
        "model": "m",
        "revision": "r",
    }


def test_rows_that_the_model_makes_up_are_its_failure(sentiment: Predictor) -> None:
    parsed = sentiment.read(["good", "bad"], ROBERTA, Limits())
    with pytest.raises(ModelFailed, match="the model gave 3 rows for 2 texts"):
        parsed.write("m", "r", [{"output": np.zeros((3, 2), np.float32)}])


def test_without_a_warm_up_that_shows_it_no_texts_share_a_run(tmp_path: Path) -> None:
    signature = masked_signature("N", "L")
    predictor = open_package(words(tmp_path), signature).predictor
    requests = predictor.read(["good", "bad", "good"], signature, Limits()).requests
    assert [request.arrays["input_ids"].tolist() for request in requests] == [[[3]], [[1]], [[3]]]


def test_texts_of_one_request_share_runs_of_at_most_a_batch_by_their_lengths(tmp_path: Path) -> None:
    signature = masked_signature("N", "L")
    (tmp_path / "labels.json").write_text('["negative", "positive"]')
    package = open_package(words(tmp_path), signature)
    predictor = package.with_sharing(RunSharing(2, package.padding)).predictor
    texts = ["good bad good", "bad", "good " * 40, "dull bad"]
    parsed = predictor.read(texts, signature, Limits())
    assert [request.arrays["input_ids"].shape for request in parsed.requests] == [(2, 2), (1, 3), (1, 40)]
    firsts = [np.eye(5, dtype=np.float32)[request.arrays["input_ids"][:, 0]] for request in parsed.requests]
    outputs = [{"logits": first[:, [1, 3]] * 9} for first in firsts]
    labels = [one["label"] for one in orjson.loads(parsed.write("m", "r", outputs))["predictions"]]
    assert labels == ["positive", "negative", "positive", "negative"]
