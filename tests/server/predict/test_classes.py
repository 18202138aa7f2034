"""Labels and scores out of a model's numbers: which output, how numbers become scores, and what can't be read."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidegate_server.errors import ModelFailed, NotFiniteOutput
from tidegate_server.predict.classes import FEW_SCORES, Classes, LabelledPredictor, find_classes, sigmoid, softmax
from tidegate_server.predict.labels import Labels
from tidegate_server.protocol.limits import Limits
from tidegate_server.protocol.signature import Signature, TensorSpec

X = TensorSpec("x", "FP32", ("N", 4))
ABC = Labels(("a", "b", "c"), None)
YES = Labels(("no", "yes"), 1)


def outputs(*specs: tuple[str, str, tuple[Any, ...]]) -> Signature:
    return Signature((X,), tuple(TensorSpec(*spec) for spec in specs))


@pytest.mark.parametrize(
    ("labels", "signature", "values", "expected"),
    [
        pytest.param(
            ABC,
            outputs(("label", "INT64", ("N",)), ("logits", "FP32", ("N", 3))),
            {"label": np.array([0, 0]), "logits": np.array([[0, 0, 9], [1, 0, 0]], np.float32)},
            [{"label": "c", "score": 0.999753}, {"label": "a", "score": 0.576117}],
            id="scores are preferred to a bare position",
        ),
        pytest.param(
            ABC,
            outputs(("label", "INT64", ("N",))),
            {"label": np.array([2, 0])},
            [{"label": "c"}, {"label": "a"}],
            id="a position alone has no score",
        ),
        pytest.param(
            ABC,
            outputs(("probabilities", "FP32", ("N", 3))),
            {"probabilities": np.array([[0.25, 0.5, 0.25]], np.float32)},
            [{"label": "b", "score": 0.5}],
            id="probabilities aren't flattened by a second softmax",
        ),
        pytest.param(
            ABC,
            outputs(("logits", "FP16", (None, None))),
            {"logits": np.array([[0, 0, 60000]], np.float16)},
            [{"label": "c", "score": 1.0}],
            id="half precision, and a width that only the answer shows",
        ),
        pytest.param(
            YES,
            outputs(("logit", "FP32", ("N", 1))),
            {"logit": np.array([[2], [-1000]], np.float32)},
            [{"label": "yes", "score": 0.880797, "positive": True}, {"label": "no", "score": 1.0, "positive": False}],
            id="one logit for two classes",
        ),
        pytest.param(
            YES,
            outputs(("prob", "FP32", ("N",))),
            {"prob": np.array([0.25], np.float32)},
            [{"label": "no", "score": 0.75, "positive": False}],
            id="one probability for two classes",
        ),
        pytest.param(
            Labels(("a", "b", "c"), None, scores="sigmoid"),
            outputs(("logits", "FP32", ("N", 3))),
            {"logits": np.array([[3, -3, 0]], np.float32)},
            [{"labels": ["a", "c"], "scores": {"a": 0.952574, "b": 0.047426, "c": 0.5}}],
            id="classes that don't compete",
        ),
        pytest.param(
            ABC,
            outputs(("scores", "FP32", (3,))),
            {"scores": np.array([0, 1, 0], np.float32)},
            [{"label": "b", "score": 0.576117}],
            id="a model for one row at a time",
        ),
        pytest.param(
            Labels(("a", "b", "c"), None, output="second"),
            outputs(("first", "FP32", ("N", 3)), ("second", "FP32", ("N", 3))),
            {"first": np.array([[9, 0, 0]], np.float32), "second": np.array([[0, 9, 0]], np.float32)},
            [{"label": "b", "score": 0.999753}],
            id="the named one of two outputs",
        ),
    ],
)
def test_each_row_has_a_label_and_a_score(labels: Labels, signature: Signature, values: Any, expected: Any) -> None:
    assert find_classes(labels, signature).predictions(values) == expected


def test_labels_come_beside_the_tensors() -> None:
    signature = outputs(("logits", "FP32", ("N", 3)))
    predictor = LabelledPredictor(find_classes(ABC, signature))
    parsed = predictor.read([[1, 2, 3, 4]], signature, Limits())
    assert [request.arrays["x"].tolist() for request in parsed.requests] == [[[1.0, 2.0, 3.0, 4.0]]]
    answer = parsed.write("m", "r", [{"logits": np.array([[0, 9, 0]], np.float32)}])
    assert orjson.loads(answer) == {
        "predictions": [{"label": "b", "score": 0.999753}],
        "model": "m",
        "revision": "r",
        "outputs": {"logits": [[0.0, 9.0, 0.0]]},
    }


def test_rows_are_answered_with_labels_and_rows() -> None:
    signature = Signature((TensorSpec("age", "FP32", ("N",)),), (TensorSpec("label", "INT64", ("N",)),))
    predictor = LabelledPredictor(find_classes(YES, signature))
    parsed = predictor.read({"rows": [{"age": 3}, {"age": 70}]}, signature, Limits())
    assert orjson.loads(parsed.write("m", "r", [{"label": np.array([0, 1])}])) == {
        "predictions": [{"label": "no", "positive": False}, {"label": "yes", "positive": True}],
        "model": "m",
        "revision": "r",
        "rows": [{"label": 0}, {"label": 1}],
    }


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("position", np.array([3]), "output y is class 3, and there are 3 labels"),
        ("position", np.array([-1]), "output y is class -1, and there are 3 labels"),
        ("scores", np.zeros((1, 4), np.float32), "output y has shape [1, 4], and there are 3 labels"),
        ("scores", np.zeros((1, 2, 3), np.float32), "output y has shape [1, 2, 3], and there are 3 labels"),
        ("scores", np.float32(1), "output y has shape [], and there are 3 labels"),
    ],
)
def test_an_output_that_the_signature_did_not_promise_is_the_models_failure(
    kind: Any, value: Any, sentence: str
) -> None:
    with pytest.raises(ModelFailed) as failed:
        Classes(("a", "b", "c"), None, "y", kind, "softmax").predictions({"y": np.asarray(value)})
    assert str(failed.value) == sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_never_shown_as_one(value: float) -> None:
    with pytest.raises(NotFiniteOutput):
        find_classes(ABC, outputs(("y", "FP32", ("N", 3)))).predictions({"y": np.array([[0, value, 0]], np.float32)})


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=numbers))
def test_scores_are_between_0_and_1_whatever_the_logits(logits: np.ndarray[Any, Any]) -> None:
    shares = softmax(logits.astype(np.float64))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    each = sigmoid(logits.astype(np.float64))
    assert (each >= 0).all()
    assert (each <= 1).all()
    largest = np.take_along_axis(shares, logits.argmax(axis=1)[:, None], axis=1)
    assert (largest[:, 0] == shares.max(axis=1)).all()


@given(
    rows=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-60, 60, width=32, allow_nan=False)
    ),
    scores=st.sampled_from(["softmax", "none"]),
)
@settings(deadline=None)
def test_few_scores_are_read_as_many_are(rows: Any, scores: Any) -> None:
    classes = Classes(("a", "b", "c"), 1, "scores", "scores", scores)
    many = np.resize(rows, (FEW_SCORES // 3 + 1, 3))
    assert classes.predictions({"scores": many})[: len(rows)] == [
        {**one, "score": pytest.approx(one["score"], abs=1.1e-6)} for one in classes.predictions({"scores": rows})
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_the_models_failure_among_few_too(value: float) -> None:
    classes = Classes(("a", "b"), None, "scores", "scores", "softmax")
    with pytest.raises(NotFiniteOutput):
        classes.predictions({"scores": np.array([[0, 1], [0, value]], np.float32)})
