"""Each dialect's bodies and answers, as its own clients send and read them."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.dialects.conftest import REVISION, ask, embedding, opened
from tests.server.predict.conftest import SENTIMENT
from tidegate_server.dialects.dialect import Dialect
from tidegate_server.dialects.hugging_face import HUGGING_FACE
from tidegate_server.dialects.kserve_v1 import KSERVE_V1
from tidegate_server.dialects.mlflow import MLFLOW
from tidegate_server.dialects.openai import OPENAI_EMBEDDINGS
from tidegate_server.dialects.seldon import SELDON
from tidegate_server.dialects.table import DIALECTS
from tidegate_server.errors import InvalidRequest

ANNA, BONN = embedding(3, 4), embedding(6)
ROW = [0, 0, 5, 1]
FIVE = {"label": 2, "scores": [0.0, 0.0, 5.0]}
GOOD, BAD = "A warm, funny and beautifully acted film.", "The battery died after two days and nobody answers my mails."


def refused(dialect: Dialect, path: Path, body: Any, content_type: str = "application/json") -> str:
    with pytest.raises(InvalidRequest) as error:
        ask(dialect, path, body, content_type)
    return str(error.value)


# --- OpenAI


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Anna lives", [ANNA]), (["Anna lives", "Bonn"], [ANNA, BONN]), ("", [embedding()])],
)
def test_embeddings_are_as_openais_clients_read_them(embedder: Path, given: Any, expected: Any) -> None:
    answer = ask(OPENAI_EMBEDDINGS, embedder, {"model": "any", "input": given, "user": "u"})
    usage = answer.pop("usage")
    assert answer == {
        "object": "list",
        "model": "digits",
        "data": [
            {"object": "embedding", "index": index, "embedding": pytest.approx(vector, abs=1e-7)}
            for index, vector in enumerate(expected)
        ],
    }
    tokens = {"Anna lives": 4, "": 2}[given] if isinstance(given, str) else 7
    assert usage == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_embeddings_in_base64_are_little_endian_floats(embedder: Path) -> None:
    answer = ask(OPENAI_EMBEDDINGS, embedder, {"input": "Bonn", "encoding_format": "base64", "dimensions": 2})
    ((entry),) = answer["data"]
    assert np.frombuffer(b64decode(entry["embedding"]), "<f4") == pytest.approx(BONN, abs=1e-7)


def test_a_thousand_texts_are_answered_in_their_order(embedder: Path) -> None:
    answer = ask(OPENAI_EMBEDDINGS, embedder, {"input": ["Anna lives", "Bonn"] * 500})
    assert [entry["index"] for entry in answer["data"]] == list(range(1000))
    assert [entry["embedding"] for entry in answer["data"]] == [
        pytest.approx(each, abs=1e-7) for each in (ANNA, BONN)
    ] * 500


def test_a_graph_that_gives_nothing_but_a_vector_gives_embeddings(tmp_path: Path, embedder: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((SENTIMENT / "model.onnx").read_bytes())
    (tmp_path / "tokenizer.json").write_bytes((SENTIMENT / "tokenizer.json").read_bytes())
    answer = ask(OPENAI_EMBEDDINGS, tmp_path / "model.onnx", {"input": [GOOD, BAD]})
    assert [len(entry["embedding"]) for entry in answer["data"]] == [2, 2]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"input": []}, "input must be a text or a list of texts, and not empty"),
        ({}, "input must be a text or a list of texts, and not empty"),
        ({"input": ["a", 1]}, "input must be a text or a list of texts"),
        ({"input": [[1, 2]]}, "input has token ids, which are of the client's own vocabulary and not of this model's"),
        ({"input": [1, 2]}, "langchain: check_embedding_ctx_length=False"),
        ({"input": ["a"] * 2049}, "input has 2049 texts; give at most 2048 in one request"),
        ({"input": "a", "dimensions": 1}, "dimensions is 1; this model's vectors have one size, leave it out"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format is 'hex'; give float or base64"),
        ([], 'the body must be {"model": "...", "input": "..."}'),
    ],
)
def test_what_is_no_question_for_embeddings_is_refused(embedder: Path, body: Any, sentence: str) -> None:
    assert sentence in refused(OPENAI_EMBEDDINGS, embedder, body)


@pytest.mark.parametrize("model", [SENTIMENT / "model.onnx", "linear"], ids=["a classifier", "a model for numbers"])
def test_a_model_without_vectors_says_what_it_would_need(model: Any, linear: Path) -> None:
    words = "digits gives no embeddings: it needs a tokenizer.json"
    assert words in refused(OPENAI_EMBEDDINGS, linear if model == "linear" else model, {"input": "a"})


# --- KServe's first protocol, and Vertex AI's


@pytest.mark.parametrize("field", ["instances", "inputs"])
def test_instances_are_predicted_one_by_one(linear: Path, field: str) -> None:
    assert ask(KSERVE_V1, linear, {field: [ROW, ROW], "parameters": {}}) == {"predictions": [FIVE, FIVE]}


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param([{"pixels": ROW}], [FIVE], id="by the input's name"),
        pytest.param([{"a": 0, "b": 0, "c": 5, "d": 1}], [FIVE], id="by the columns' names"),
        pytest.param([], [], id="none"),
    ],
)
def test_instances_may_have_names(linear: Path, instances: Any, expected: Any) -> None:
    assert ask(KSERVE_V1, linear, {"instances": instances}) == {"predictions": expected}


def test_instances_for_a_model_for_text_are_texts(embedder: Path) -> None:
    rows = ask(KSERVE_V1, SENTIMENT / "model.onnx", {"instances": [GOOD, {"text": BAD}]})["predictions"]
    assert [row["label"] for row in rows] == ["positive", "negative"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, 'the body must be {"instances": [...]} with an entry for each row'),
        ({"instances": 3}, "instances must be a list with an entry for each row"),
        ({"instances": [ROW], "inputs": [ROW]}, 'the body must be {"instances": [...]}'),
        ({"instances": [{"a": 1}, {"b": 1}]}, "instances: every entry must have the same fields as the first: a"),
        ({"instances": [[1, 2]]}, "input pixels: shape [1, 2] doesn't fit [-1, 4]"),
    ],
)
def test_instances_that_do_not_fit_are_refused(linear: Path, body: Any, sentence: str) -> None:
    assert sentence in refused(KSERVE_V1, linear, body)


# --- MLflow

TABLE: dict[str, list[Any]] = {"columns": ["name", "weight", "age", "more"], "data": [["a", 1, 2, 0], ["b", 10, 20, 0]]}
SUMS = [{"sum": 3.0, "same": "a"}, {"sum": 30.0, "same": "b"}]
RECORDS = [dict(zip(TABLE["columns"], row, strict=True)) for row in TABLE["data"]]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"dataframe_split": {**TABLE, "index": [0, 1]}}, id="dataframe_split"),
        pytest.param({"dataframe_records": RECORDS, "params": {"a": 1}}, id="dataframe_records"),
        pytest.param({"instances": RECORDS}, id="instances"),
        pytest.param({"inputs": {"age": [[2], [20]], "weight": [[1], [10]], "name": [["a"], ["b"]]}}, id="inputs"),
    ],
)
def test_a_table_is_predicted_by_its_columns_in_any_order(columns: Path, body: Any) -> None:
    assert ask(MLFLOW, columns, body) == {"predictions": SUMS}


def test_a_table_is_the_only_input_where_its_columns_have_other_names(linear: Path) -> None:
    split = {"columns": [0, 1, 2, 3], "data": [ROW]}
    assert ask(MLFLOW, linear, {"dataframe_split": split}) == {"predictions": [FIVE]}
    assert ask(MLFLOW, linear, {"dataframe_split": {"data": [ROW]}}) == {"predictions": [FIVE]}


def test_a_table_of_texts_has_one_column_or_one_called_text() -> None:
    model = SENTIMENT / "model.onnx"
    one = ask(MLFLOW, model, {"dataframe_split": {"columns": ["review"], "data": [[GOOD], [BAD]]}})
    two = ask(MLFLOW, model, {"dataframe_records": [{"id": 1, "text": GOOD}, {"id": 2, "text": BAD}]})
    assert one == two
    assert [row["label"] for row in one["predictions"]] == ["positive", "negative"]


@pytest.mark.parametrize(
    "body",
    [b"name,weight,age\r\na,1,2\r\nb,10,2e1\r\n", b'\xef\xbb\xbfage,name,weight\n2,"a",1\n\n20,b,10'],
    ids=["plain", "with a byte order mark, quotes and an empty line"],
)
def test_csv_is_a_table(columns: Path, body: bytes) -> None:
    assert ask(MLFLOW, columns, body, "text/csv") == {"predictions": SUMS}


def test_an_empty_table_has_no_predictions(linear: Path) -> None:
    assert ask(MLFLOW, linear, {"dataframe_split": {"columns": ["a"], "data": []}}) == {"predictions": []}
    assert ask(MLFLOW, linear, b"a,b,c,d\n", "text/csv") == {"predictions": []}


@pytest.mark.parametrize(
    ("body", "content_type", "sentence"),
    [
        ({"inputs": [ROW], "instances": [ROW]}, "application/json", "and has instances, inputs"),
        ({}, "application/json", "needs one of dataframe_split, dataframe_records, instances, inputs, and has none"),
        ([ROW], "application/json", "the body must be an object with one of dataframe_split"),
        ({"inputs": [ROW]}, "application/xml", "content-type is 'application/xml'; send application/json or text/csv"),
        (
            {"dataframe_split": [ROW]},
            "application/json",
            'dataframe_split must be {"columns": [...], "data": [[...], ...]}',
        ),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "application/json", "must be a list of 1 values"),
        ({"dataframe_records": {"a": [1]}}, "application/json", "dataframe_records must be a list of objects"),
        (b"\xff", "text/csv", "the body isn't CSV in UTF-8"),
        (b"", "text/csv", "the body has no line"),
        (b"a,b\n1\n", "text/csv", "the CSV: every row must be a list of 2 values"),
    ],
)
def test_what_is_no_table_is_refused(linear: Path, body: Any, content_type: str, sentence: str) -> None:
    assert sentence in refused(MLFLOW, linear, body, content_type)


def test_columns_that_a_model_lacks_are_named(columns: Path) -> None:
    split = {"columns": ["age", "size"], "data": [[1, 2]]}
    words = (
        "dataframe_split: the columns are age, size; the model's inputs are age, weight, name, and each needs a column"
    )
    assert refused(MLFLOW, columns, {"dataframe_split": split}) == words


# --- Seldon


def test_an_ndarray_is_answered_with_the_scores_and_a_tensor_with_a_tensor(linear: Path) -> None:
    meta = {"requestPath": {"digits": REVISION}}
    names = ["t:0", "t:1", "t:2"]
    assert ask(SELDON, linear, {"data": {"names": ["a", "b", "c", "d"], "ndarray": [ROW]}}) == {
        "data": {"names": names, "ndarray": [[0.0, 0.0, 5.0]]},
        "meta": meta,
    }
    assert ask(SELDON, linear, {"data": {"tensor": {"shape": [1, 4], "values": ROW}}}) == {
        "data": {"names": names, "tensor": {"shape": [1, 3], "values": [0.0, 0.0, 5.0]}},
        "meta": meta,
    }


@pytest.mark.parametrize("body", [{"strData": GOOD}, {"data": {"ndarray": [GOOD]}}, {"data": {"ndarray": [[GOOD]]}}])
def test_a_text_for_seldon_is_answered_with_its_label(body: Any) -> None:
    (found,) = ask(SELDON, SENTIMENT / "model.onnx", body)["jsonData"]
    assert found["label"] == "positive"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, 'the body must be {"data": {"ndarray": [[...]]}}'),
        ({"data": {"ndarray": [ROW], "tensor": {}}}, 'the body must be {"data": {"ndarray": [[...]]}}'),
        ({"data": {"tensor": {"values": ROW}}}, 'data.tensor must be {"shape": [...], "values": [...]}'),
        ({"data": {"tensor": {"shape": [2, 4], "values": ROW}}}, "data.tensor: shape [2, 4] doesn't fit 4 values"),
        ({"data": {"tensor": {"shape": [0], "values": []}}}, "data.tensor: shape [0] doesn't fit 0 values"),
    ],
)
def test_what_is_no_array_is_refused(linear: Path, body: Any, sentence: str) -> None:
    assert sentence in refused(SELDON, linear, body)


# --- Hugging Face


def test_a_text_is_answered_as_the_pipeline_of_its_task_does(embedder: Path) -> None:
    answer = ask(HUGGING_FACE, embedder, {"inputs": "Bonn", "normalize": True})
    assert answer == [pytest.approx(BONN, abs=1e-7)]
    (labels,) = ask(HUGGING_FACE, SENTIMENT / "model.onnx", {"inputs": GOOD})
    assert [one["label"] for one in labels] == ["positive", "negative"]
    assert sum(one["score"] for one in labels) == pytest.approx(1, abs=1e-5)
    best = ask(HUGGING_FACE, SENTIMENT / "model.onnx", {"inputs": [GOOD, BAD], "parameters": {"top_k": 1}})
    assert [[one["label"] for one in each] for each in best] == [["positive"], ["negative"]]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"text": "a"}, 'the body must be {"inputs": "..."}'),
        ({"inputs": "a", "parameters": [1]}, "parameters must be an object"),
        ({"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k must be a whole number from 1"),
        ({"inputs": "a", "parameters": {"function_to_apply": "none"}}, "parameters.function_to_apply isn't offered"),
        ({"inputs": 3}, "inputs[0] must be a string"),
    ],
)
def test_what_is_no_question_for_a_pipeline_is_refused(embedder: Path, body: Any, sentence: str) -> None:
    assert sentence in refused(HUGGING_FACE, embedder, body)


def test_a_pipeline_is_for_texts(linear: Path) -> None:
    assert "this model takes no texts" in refused(HUGGING_FACE, linear, {"inputs": "a"})


# --- all of them

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ("instances", "inputs", "input", "dataframe_split", "dataframe_records", "data", "strData", "parameters")
INSIDE = ("columns", "data", "ndarray", "tensor", "shape", "values", "pixels", "text", "top_k")
documents = values | st.dictionaries(
    st.sampled_from(FIELDS), values | st.dictionaries(st.sampled_from(INSIDE), values, max_size=3), max_size=2
)


@pytest.mark.parametrize("path", sorted(DIALECTS))
@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_any_json_is_understood_or_refused(path: str, kind: str, linear: Path, embedder: Path) -> None:
    served, _ = opened(linear if kind == "numbers" else embedder)

    @given(document=documents)
    @settings(max_examples=80, deadline=None)
    def check(document: Any) -> None:
        refusal: InvalidRequest | None = None
        try:
            DIALECTS[path].read(json.dumps(document).encode(), "application/json", served)
        except InvalidRequest as error:
            refusal = error
        assert refusal is None or 400 <= refusal.status < 500

    check()
