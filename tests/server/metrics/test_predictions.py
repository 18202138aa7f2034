"""What is counted of a model's answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tidegate_server.metrics.predictions import (
    DEFAULT_CLASSES,
    MAX_CLASSES,
    SCORE_BOUNDS,
    PredictionCounts,
    PredictionPlan,
    count_predictions,
    prediction_plan,
)
from tidegate_server.protocol.signature import Signature, TensorSpec


def a_signature(*outputs: tuple[str, str, tuple[int | str | None, ...]]) -> Signature:
    return Signature((), tuple(TensorSpec(*output) for output in outputs))


LOGITS = a_signature(("logits", "FP32", ("n", 2)))


@pytest.mark.parametrize(
    ("signature", "labels", "expected"),
    [
        pytest.param(
            LOGITS,
            (),
            PredictionPlan(None, "logits", ("logits",), ("0", "1")),
            id="scores alone give class and score",
        ),
        pytest.param(
            a_signature(("label", "INT64", ("n",)), ("probabilities", "FP32", ("n", 3))),
            (),
            PredictionPlan("label", "probabilities", ("probabilities",), ("0", "1", "2")),
            id="a class output beside scores gives the class",
        ),
        pytest.param(
            a_signature(("label", "INT64", (None, 1))),
            ("cat", "dog"),
            PredictionPlan("label", None, (), ("cat", "dog")),
            id="labels name the classes",
        ),
        pytest.param(
            a_signature(("price", "FP32", ("n", 1))),
            (),
            PredictionPlan(None, None, ("price",), ()),
            id="a regression has no class but may be NaN",
        ),
        pytest.param(a_signature(("text", "BYTES", ("n",))), (), PredictionPlan(), id="text has nothing to count"),
    ],
)
def test_the_graph_says_what_is_counted(
    signature: Signature, labels: tuple[str, ...], expected: PredictionPlan
) -> None:
    assert prediction_plan(signature, labels) == expected


@pytest.mark.parametrize(
    ("signature", "labels", "count"),
    [
        pytest.param(a_signature(("scores", "FP32", ("n", 1000))), (), MAX_CLASSES, id="a thousand columns"),
        pytest.param(LOGITS, tuple(map(str, range(5000))), MAX_CLASSES, id="thousands of labels"),
        pytest.param(a_signature(("c", "INT64", ("n",))), (), DEFAULT_CLASSES, id="nobody says how many"),
    ],
)
def test_classes_are_bounded(signature: Signature, labels: tuple[str, ...], count: int) -> None:
    assert len(prediction_plan(signature, labels).classes) == count


def test_logits_are_put_through_softmax() -> None:
    found = count_predictions(
        prediction_plan(LOGITS), [{"logits": np.array([[0.0, 2.0], [3.0, 0.0], [0.0, 0.1]], np.float32)}]
    )
    scores = [1 / (1 + np.exp(-difference)) for difference in (2.0, 3.0, 0.1)]
    assert found.classes == (1, 2, 0)
    assert found.score_total == pytest.approx(sum(scores))
    assert _bounds_of(found) == [0.55, 0.9, 1.0]


def test_probabilities_are_taken_as_they_are() -> None:
    found = count_predictions(prediction_plan(LOGITS), [{"logits": np.array([[0.3, 0.7], [1.0, 0.0]], np.float64)}])
    assert found == PredictionCounts((1, 1, 0), _one_at(0.7, 1.0), 1.7, 0)


def test_nan_and_infinity_are_counted_and_have_no_class() -> None:
    rows = np.array([[np.nan, 1], [np.inf, 0], [0.25, 0.75]], np.float16)
    assert count_predictions(prediction_plan(LOGITS), [{"logits": rows}]) == PredictionCounts(
        (0, 1, 0), _one_at(0.75), 0.75, 2
    )


def test_a_class_beyond_the_known_ones_is_other() -> None:
    plan = prediction_plan(a_signature(("label", "INT64", ("n",))), ("cat", "dog"))
    assert count_predictions(plan, [{"label": np.array([0, 1, 1, 2, -1, 2**62])}]).classes == (1, 2, 3)


def test_batches_of_different_shapes_add_up() -> None:
    plan = prediction_plan(a_signature(("scores", "FP32", ("n", "classes"))))
    batches = [{"scores": np.eye(width, dtype=np.float32)} for width in (2, 3, 2, 12)]
    assert count_predictions(plan, batches).classes == (4, 4, 2, 1, 1, 1, 1, 1, 1, 1, 2)


def test_outputs_nobody_asked_for_are_missing() -> None:
    plan = prediction_plan(a_signature(("label", "INT64", ("n",)), ("probabilities", "FP32", ("n", 2))))
    only_class = count_predictions(plan, [{"label": np.array([1])}])
    only_score = count_predictions(plan, [{"probabilities": np.array([[0.0, 1.0]], np.float32)}])
    assert (sum(only_class.classes), sum(only_class.scores)) == (1, 0)
    assert (sum(only_score.classes), sum(only_score.scores)) == (0, 1)


def test_wide_outputs_are_left_alone() -> None:
    plan = prediction_plan(a_signature(("image", "FP32", ("n", "pixels"))))
    wide = {"image": np.full((2, 10_001), np.nan, np.float32)}
    assert count_predictions(plan, [wide]) == count_predictions(plan, [])


shapes = st.lists(st.integers(0, 4), min_size=0, max_size=3).map(tuple)
dtypes = st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_])
anything = st.tuples(shapes, dtypes).flatmap(lambda both: arrays(both[1], both[0]))


@given(st.lists(st.fixed_dictionaries({}, optional={"label": anything, "scores": anything}), max_size=4))
def test_no_answer_of_any_shape_breaks_the_counting(batches: list[dict[str, np.ndarray]]) -> None:
    plan = prediction_plan(a_signature(("label", "INT64", ("n",)), ("scores", "FP32", ("n", 3))))
    found = count_predictions(plan, batches)
    assert min(*found.classes, *found.scores, found.not_finite) >= 0
    assert len(found.classes) == 4
    assert len(found.scores) == len(SCORE_BOUNDS)
    assert 0 <= found.score_total <= sum(found.scores) + 1e-6


def _one_at(*bounds: float) -> tuple[int, ...]:
    return tuple(bounds.count(bound) for bound in SCORE_BOUNDS)


def _bounds_of(found: PredictionCounts) -> list[float]:
    return [bound for bound, count in zip(SCORE_BOUNDS, found.scores, strict=True) for _ in range(count)]
