"""The stored requests: what passes, what a failure says, what isn't the model's fault, and how one is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest

from tests.server.predict.conftest import ROBERTA, SENTIMENT, run_sentiment
from tidegate_server.errors import InvalidRequest, ModelFailed, ModelRefused, Overloaded
from tidegate_server.predict.package import open_package
from tidegate_server.predict.predictor import PlainPredictor, Predictor
from tidegate_server.predict.selftest import ModelUnderTest, SelftestReport, parse_selftest, run_selftest
from tidegate_server.predict.selftest_recording import record_selftest
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.request import InferRequest
from tidegate_server.protocol.signature import Signature, TensorSpec
from tidegate_server.protocol.tensors import Array

DOUBLES = Signature(
    (TensorSpec("x", "FP32", ("N", 2)),), (TensorSpec("y", "FP32", ("N", 2)), TensorSpec("best", "INT64", ("N",)))
)


def double(request: InferRequest) -> Mapping[str, Array]:
    x = request.arrays["x"]
    return {"y": x * 2, "best": x.argmax(axis=1) + 1_000_000}


def report(case: Mapping[str, Any], run: Any = double) -> SelftestReport:
    return run_selftest(
        parse_selftest({"cases": [case]}, DOUBLES), ModelUnderTest(run, PlainPredictor(), DOUBLES, Limits())
    )


def test_the_examples_own_selftest_passes(sentiment: Predictor) -> None:
    selftest = open_package(SENTIMENT, ROBERTA).selftest
    assert selftest is not None
    assert run_selftest(selftest, ModelUnderTest(run_sentiment, sentiment, ROBERTA, Limits())) == SelftestReport(
        3, 0, ()
    )


def test_another_model_fails_the_examples_selftest_and_is_told_where(sentiment: Predictor) -> None:
    def opposite(request: InferRequest) -> Mapping[str, Array]:
        return {"output": -run_sentiment(request)["output"]}

    selftest = open_package(SENTIMENT, ROBERTA).selftest
    assert selftest is not None
    found = run_selftest(selftest, ModelUnderTest(opposite, sentiment, ROBERTA, Limits()))
    assert (found.passed, found.cases, found.failed) == (False, 3, 3)
    assert found.failures[0] == 'self-test case 1: the answer\'s label is "negative", expected "positive"'


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 4]], "best": [1_000_001]}}, id="all outputs"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2.001, 4.003]]}}, id="within the usual tolerance"),
        pytest.param({"body": [[1, 2]], "outputs": {"best": [1_000_001]}}, id="a body and some outputs"),
        pytest.param({"body": [[1, 2]], "answer": {"outputs": {"y": [[2, 4]]}}}, id="a body and part of the answer"),
        pytest.param(
            {"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 3]]}, "tolerance": 1}, id="a tolerance of its own"
        ),
        pytest.param({"inputs": {"x": [[1, 2000]]}, "outputs": {"y": [[2, 4003]]}}, id="a share of a large number"),
    ],
)
def test_a_case_passes(case: Mapping[str, Any]) -> None:
    assert report(case) == SelftestReport(1, 0, ())


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 4.5]]}}, "output y[0][1] is 4, expected 4.5 ± 0.0045"),
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 4], [0, 0]]}}, "output y has 1 values, expected 2"),
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [2, 4]}}, "output y has 1 values, expected 2"),
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"y": 3}}, "output y is [[2.0,4.0]], expected 3"),
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"best": [1_000_000]}}, "output best[0] is 1000001, expected 1000000"),
        ({"inputs": {"x": [[1, 2]]}, "outputs": {"best": ["a"]}}, 'output best[0] is 1000001, expected "a"'),
        ({"body": [[1, 2]], "answer": {"label": "a"}}, "the answer has no field 'label'"),
        (
            {"body": [[1, 2]], "answer": {"outputs": {"y": [[0, 4]]}}},
            "the answer's outputs.y[0][0] is 2, expected 0 ± 0.001",
        ),
        (
            {"inputs": {"z": [[1, 2]]}, "outputs": {"y": [[2, 4]]}},
            "the model can't be asked that: the model has no input 'z'; it has x",
        ),
    ],
)
def test_a_failing_case_says_where_and_what(case: Mapping[str, Any], sentence: str) -> None:
    assert report(case) == SelftestReport(1, 1, (f"self-test case 1: {sentence}",))


def test_a_model_that_fails_or_answers_nan_fails_its_case() -> None:
    def broken(request: InferRequest) -> Mapping[str, Array]:
        raise ModelFailed("a detail that is for the log")

    def not_a_number(request: InferRequest) -> Mapping[str, Array]:
        return {"y": np.array([[np.nan, 4]]), "best": np.array([0])}

    case = {"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 4]]}}
    parsed = {"body": [[1, 2]], "answer": {"outputs": {"y": [[2, 4]]}}}
    assert [
        report(case, broken).failures,
        report(case, not_a_number).failures,
        report(parsed, not_a_number).failures,
    ] == [
        ("self-test case 1: the model failed while running; the log says more",),
        ("self-test case 1: output y[0][0] is nan, expected 2 ± 0.002",),
        ("self-test case 1: the answer's outputs.y[0][0] is null, expected 2",),
    ]


def test_being_too_busy_is_no_failure_of_the_model() -> None:
    def busy(request: InferRequest) -> Mapping[str, Array]:
        raise Overloaded(3)

    with pytest.raises(Overloaded):
        report({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[2, 4]]}}, busy)


def test_all_failures_are_counted_and_the_first_ones_named() -> None:
    case = {"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[0, 0]]}}
    selftest = parse_selftest({"cases": [case] * 30}, DOUBLES)
    found = run_selftest(selftest, ModelUnderTest(double, PlainPredictor(), DOUBLES, Limits()))
    assert (found.cases, found.failed, len(found.failures)) == (30, 30, 20)
    assert found.failures[19] == "self-test case 20: output y[0][0] is 2, expected 0 ± 0.001"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], 'it must be {"cases": [...]} with 1 to 1000 cases'),
        ({"cases": []}, 'it must be {"cases": [...]} with 1 to 1000 cases'),
        ({"cases": [3]}, "case 1 must be an object"),
        ({"cases": [{"outputs": {"y": 1}}]}, 'case 1 needs either "body", as for /predict, or "inputs" by name'),
        ({"cases": [{"body": 1}]}, 'case 1 expects nothing; give "answer" or "outputs"'),
        ({"cases": [{"body": 1, "outputs": {}}]}, "case 1: outputs must be an object with at least one field"),
        (
            {"cases": [{"inputs": {"x": 1}, "answer": {"label": "a"}}]},
            'case 1 has an "answer", which needs a "body"; for "inputs" give "outputs"',
        ),
        ({"cases": [{"body": 1, "outputs": {"z": 1}}]}, "case 1: the model has no output 'z'; it has best, y"),
        (
            {"cases": [{"body": 1, "outputs": {"y": 1}, "tolerance": -1}]},
            "case 1: tolerance must be a number from 0 on, such as 0.001",
        ),
        (
            {"cases": [{"body": 1, "answers": {}}]},
            "case 1 has an unknown field 'answers'; it may have body, inputs, answer, outputs, tolerance",
        ),
    ],
)
def test_a_broken_selftest_is_refused(document: Any, sentence: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        parse_selftest(document, DOUBLES)
    assert str(refused.value) == f"selftest.json: {sentence}"


def test_a_recorded_selftest_passes_on_the_model_that_it_was_recorded_from(sentiment: Predictor) -> None:
    bodies = [{"text": "good"}, {"texts": ["a bad day", "good", "so so"]}]
    content = record_selftest(bodies, ModelUnderTest(run_sentiment, sentiment, ROBERTA, Limits()))
    selftest = parse_selftest(orjson.loads(content), ROBERTA)
    assert run_selftest(selftest, ModelUnderTest(run_sentiment, sentiment, ROBERTA, Limits())) == SelftestReport(
        2, 0, ()
    )


@pytest.mark.parametrize("cases", [pytest.param(2, id="tensors: zeros, and numbers"), pytest.param(1, id="text")])
def test_without_bodies_it_takes_some_that_fit_the_model(sentiment: Predictor, cases: int) -> None:
    predictor, signature, run = (
        (PlainPredictor(), DOUBLES, double) if cases == 2 else (sentiment, ROBERTA, run_sentiment)
    )
    content = record_selftest([], ModelUnderTest(run, predictor, signature, Limits()))
    found = run_selftest(
        parse_selftest(orjson.loads(content), signature), ModelUnderTest(run, predictor, signature, Limits())
    )
    assert found == SelftestReport(cases, 0, ())


def test_a_model_that_accepts_nothing_made_up_asks_for_bodies() -> None:
    def picky(request: InferRequest) -> Mapping[str, Array]:
        raise ModelFailed("no")

    with pytest.raises(InvalidRequest, match="the model accepts no made-up input, so give bodies of your own"):
        record_selftest([], ModelUnderTest(picky, PlainPredictor(), DOUBLES, Limits()))
