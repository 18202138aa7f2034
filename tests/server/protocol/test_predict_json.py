"""/predict, by tables."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.protocol.example_requests import array_of, elements, same
from tidegate_server.errors import InvalidRequest, NotFiniteOutput
from tidegate_server.protocol.json_codec import dump_json
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.predict_json import Wording, read_predict, wants_rows, write_predict, write_rows
from tidegate_server.protocol.request import RequestedOutput
from tidegate_server.protocol.signature import NUMPY_TYPES, Signature, TensorSpec

LIMITS = Limits(max_elements=8)
OUTPUTS = (TensorSpec("label", "BYTES", ("N",)),)
ONE = Signature((TensorSpec("x", "FP32", ("N", 2)),), OUTPUTS)
TABLE = Signature(
    (
        TensorSpec("age", "INT64", ("N", 1)),
        TensorSpec("city", "BYTES", ("N",)),
        TensorSpec("place", "FP32", ("N", 2)),
    ),
    OUTPUTS,
)
ROW = {"age": 3, "city": "Ulm", "place": [48.4, 10]}


@pytest.mark.parametrize(
    "document",
    [{"inputs": {"x": [[1, 2]]}}, {"inputs": [[1, 2]]}, [[1, 2]]],
    ids=["by name", "the only input", "the bare list"],
)
def test_one_input_may_be_given(document: Any) -> None:
    request = read_predict(document, ONE, LIMITS)
    assert same(request.arrays["x"], np.array([[1, 2]], np.float32))
    assert request.outputs == (RequestedOutput("label"),)
    assert not wants_rows(document)


def test_rows_become_columns() -> None:
    document = {"rows": [ROW, ROW | {"age": 4}]}
    arrays = read_predict(document, TABLE, LIMITS).arrays
    assert wants_rows(document)
    assert same(arrays["age"], np.array([[3], [4]]))
    assert same(arrays["city"], array_of("BYTES", (2,), ["Ulm", "Ulm"]))
    assert same(arrays["place"], np.array([[48.4, 10], [48.4, 10]], np.float32))


@pytest.mark.parametrize(
    ("document", "signature", "sentence"),
    [
        pytest.param(7, ONE, 'the body must be {"inputs": ...} or {"rows": [...]}', id="a number"),
        pytest.param({}, ONE, 'the body must be {"inputs": ...} or {"rows": [...]}', id="an empty object"),
        pytest.param(
            {"inputs": [[1, 2]], "a": 1},
            ONE,
            'unknown field \'a\'; the body must be {"inputs": ...} or {"rows": [...]}',
            id="a field too many",
        ),
        pytest.param({"inputs": {"y": 1}}, ONE, "the model has no input 'y'; it has x", id="another input"),
        pytest.param({"inputs": {}}, ONE, "input x is missing", id="no input"),
        pytest.param(
            [[1, 2]],
            TABLE,
            'the model has several inputs: give {"inputs": {...}} with age, city, place',
            id="a bare list for several inputs",
        ),
        pytest.param(
            {"rows": []},
            TABLE,
            '"rows" must be a list of at least one object, each with a value for every input',
            id="no rows",
        ),
        pytest.param(
            {"rows": [ROW, [1]]},
            TABLE,
            '"rows" must be a list of at least one object, each with a value for every input',
            id="a list among rows",
        ),
        pytest.param({"rows": [ROW, {"age": 1}]}, TABLE, "rows[1]: input city is missing", id="a row without a value"),
        pytest.param(
            {"rows": [ROW | {"sex": 1}]},
            TABLE,
            "the model has no input 'sex'; it has age, city, place",
            id="a row with a value too many",
        ),
        pytest.param(
            {"rows": [ROW, ROW | {"age": 1.5}]},
            TABLE,
            "input age: needs whole numbers (INT64), found a fraction",
            id="a fraction in a row",
        ),
        pytest.param(
            {"rows": [ROW, ROW | {"place": 1}]},
            TABLE,
            "input place: the lists are ragged; all lists of one level need one length",
            id="a number for a list",
        ),
    ],
)
def test_a_malformed_question_is_refused_with_a_sentence(document: Any, signature: Signature, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_predict(document, signature, LIMITS)
    assert (str(refused.value), refused.value.status) == (sentence, 400)


def test_inputs_together_have_a_limit() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_predict({"rows": [ROW] * 3}, TABLE, LIMITS)
    assert (str(refused.value), refused.value.status) == (
        "the inputs together have more than 8 values (TIDEGATE_MAX_ELEMENTS); send fewer at once",
        413,
    )


def test_an_answer_has_the_outputs_by_name() -> None:
    outputs = {"label": array_of("BYTES", (1,), ["ja"]), "p": np.array([[0.1, 0.9]], np.float32)}
    assert json.loads(write_predict("m", "r", outputs)) == {
        "model": "m",
        "revision": "r",
        "outputs": {"label": ["ja"], "p": [[0.1, 0.9]]},
    }


def test_an_answer_to_rows_has_a_row_for_each() -> None:
    outputs = {
        "label": array_of("BYTES", (2,), ["ja", "nein"]),
        "score": np.array([[0.1], [0.9]], np.float32),
        "p": np.array([[1, 2], [3, 4]]),
    }
    assert json.loads(write_rows("m", "r", outputs, 2)) == {
        "model": "m",
        "revision": "r",
        "rows": [{"label": "ja", "score": 0.1, "p": [1, 2]}, {"label": "nein", "score": 0.9, "p": [3, 4]}],
    }


@pytest.mark.parametrize(
    "outputs",
    [{"a": np.zeros((2,)), "b": np.zeros((3,))}, {"a": np.array(1.0)}, {}],
    ids=["of two lengths", "a single value", "none"],
)
def test_outputs_that_are_not_by_row_are_refused(outputs: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"outputs aren't one per row: .*; ask with|the model has no outputs"):
        write_rows("m", "r", outputs, 2)


def test_an_output_that_is_no_number_throughout_is_named() -> None:
    outputs = {"scores": np.array([np.nan])}
    with pytest.raises(NotFiniteOutput, match="output scores"):
        write_predict("m", "r", outputs)
    with pytest.raises(NotFiniteOutput, match="output scores"):
        write_rows("m", "r", outputs, 1)


@pytest.mark.parametrize(
    ("shape", "asked"), [((3,), 1), ((10, 2), 1), ((0, 4), 1), ((2,), 3)], ids=["squeezed", "more", "none", "fewer"]
)
def test_another_number_of_rows_than_was_asked_is_no_answer(shape: tuple[int, ...], asked: int) -> None:
    sentence = f'gave output y the shape {list(shape)}; ask with {{"inputs": ...}}'
    with pytest.raises(InvalidRequest) as refusal:
        write_rows("m", "r", {"y": np.zeros(shape)}, asked)
    assert str(refusal.value).endswith(sentence)


def test_columns_that_have_names_are_given_by_them() -> None:
    outputs = {"label": array_of("BYTES", (1,), ["ja"]), "p": np.array([[0.25, 0.75]], np.float32)}
    wording = Wording({"p": ("nein", "ja")})
    named = {"nein": 0.25, "ja": 0.75}
    assert json.loads(write_predict("m", "r", outputs, wording))["outputs"] == {"label": ["ja"], "p": [named]}
    assert json.loads(write_rows("m", "r", outputs, 1, wording))["rows"] == [{"label": "ja", "p": named}]


@given(data=st.data(), datatype=st.sampled_from(list(NUMPY_TYPES)), rows=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("not_finite", ["Auto", "null", "string"])
def test_outputs_are_written_as_each_of_them_is_by_itself(
    data: st.DataObject, datatype: str, rows: int, not_finite: Any
) -> None:
    values = data.draw(st.lists(elements(datatype, finite=False), min_size=3 * rows, max_size=3 * rows))
    array = array_of(datatype, (rows, 3), values)
    outputs = {data.draw(st.sampled_from(["x", "null"])): array, "columns": array.T, "one": np.array(7)}
    wording = Wording(not_finite=not_finite)
    try:
        each = {name: wording.of(name, value) for name, value in outputs.items()}
    except NotFiniteOutput:
        with pytest.raises(NotFiniteOutput):
            write_predict("m", "r", outputs, wording)
        return
    assert write_predict("m", "r", outputs, wording) == dump_json({"model": "m", "revision": "r", "outputs": each})
    del outputs["one"], outputs["columns"]
    each = {name: each[name] for name in outputs}
    assert write_predict("m", "r", outputs, wording) == dump_json({"model": "m", "revision": "r", "outputs": each})
