"""Who is right on how many rows, and which class an answer gives."""

import json
from typing import Any

import pytest

from tidegate.judge.accuracy import Accuracy, AccuracyRules, is_accurate, predicted, told

SCORES = {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [0.1, 0.7, 0.2, 0.9, 0.05, 0.05]}
LABEL = {"name": "label", "datatype": "INT64", "shape": [2], "data": [2, 1]}
EMBEDDING = {"name": "vector", "datatype": "FP32", "shape": [1], "data": [0.5]}


@pytest.mark.parametrize(
    ("document", "answer", "classes"),
    [
        pytest.param({"label": "positive", "score": 0.9}, "", ("positive",), id="a label"),
        pytest.param({"labels": ["a", "b"], "model": "x"}, "", ("a", "b"), id="labels"),
        pytest.param({"model_name": "m", "outputs": [SCORES, LABEL]}, "", ("2", "1"), id="whole numbers before scores"),
        pytest.param({"outputs": [SCORES, LABEL]}, "scores", ("1", "0"), id="the output that was named"),
        pytest.param({"outputs": [SCORES]}, "", ("1", "0"), id="the best columns"),
        pytest.param({"outputs": [EMBEDDING]}, "", (), id="no classes"),
        pytest.param({"outputs": [LABEL]}, "class", (), id="no such output"),
        pytest.param([1], "", (), id="no object"),
    ],
)
def test_the_class_that_an_answer_gives(document: Any, answer: str, classes: tuple[str, ...]) -> None:
    assert predicted(json.dumps(document).encode(), answer) == classes


def test_what_is_no_json_has_none() -> None:
    assert predicted(b"\x00") == ()


def test_rows_are_counted() -> None:
    found = Accuracy()
    for candidate, stable in ((True, True), (True, False), (False, True), (False, True), (False, False)):
        found = found.with_row(candidate=candidate, stable=stable)

    assert found == Accuracy(rows=5, candidate=2, stable=3, lost=2, won=1)


@pytest.mark.parametrize(
    ("found", "rules", "accurate"),
    [
        pytest.param(Accuracy(1000, 950), AccuracyRules(least=0.95), True, id="exactly what is wanted"),
        pytest.param(Accuracy(1000, 949), AccuracyRules(least=0.95), False, id="one less"),
        pytest.param(Accuracy(1000, 950, 955), AccuracyRules(tolerate=0.005), True, id="exactly what is tolerated"),
        pytest.param(Accuracy(1000, 949, 955), AccuracyRules(tolerate=0.005), False, id="one more"),
        pytest.param(Accuracy(1000, 700, 500), AccuracyRules(least=0.8), False, id="better than stable, and too bad"),
    ],
)
def test_whether_it_is_accurate(found: Accuracy, rules: AccuracyRules, accurate: bool) -> None:
    assert is_accurate(found, rules) == accurate


def test_the_sentence_has_the_numbers() -> None:
    assert told(Accuracy(1000, 931), AccuracyRules(least=0.95)) == (
        "the candidate is right on 931 of 1,000 rows (93.1%), 95% are wanted"
    )
