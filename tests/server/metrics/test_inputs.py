"""What is asked, in the bins of a training profile."""

import math
from typing import Any

import numpy as np
import pytest

from tests.server.metrics.test_server_metrics import IDENTITY, of, read
from tidegate_server.metrics import ServerMetrics
from tidegate_server.metrics.inputs import MAX_PENDING_ROWS, InputCounter, count_rows
from tidegate_server.metrics.snapshot import DIRECT, LIVE, merged
from tidegate_server.protocol.training_profile import Feature, TrainingProfile

AGE = Feature("age", "x", 1, (0, 300, 400, 0, 2), edges=(18, 40, 65))
COUNTRY = Feature("country", "country", 0, (600, 240, 10, 0), categories=("de", "fr"))
BRIGHTNESS = Feature("mean(x)", "x", None, (0, 10, 0, 0), edges=(0, 1))
BOTH = TrainingProfile((AGE, COUNTRY))


def rows(*ages: float) -> list[dict[str, Any]]:
    return [{"x": np.array([[7, age]], np.float32)} for age in ages]


@pytest.mark.parametrize(
    ("age", "bin_name"),
    [
        pytest.param(17.9, "below 18", id="below the first edge"),
        pytest.param(-math.inf, "below 18", id="minus infinity"),
        pytest.param(18, "18..40", id="at a lower edge"),
        pytest.param(40, "40..65", id="at an edge between two bins"),
        pytest.param(65, "40..65", id="at the last edge"),
        pytest.param(65.1, "above 65", id="above the last edge"),
        pytest.param(math.inf, "above 65", id="infinity"),
        pytest.param(math.nan, "missing", id="no number"),
    ],
)
def test_a_number_is_counted_in_its_bin(age: float, bin_name: str) -> None:
    counts = count_rows(TrainingProfile((AGE,)), rows(age))
    assert dict(zip(AGE.bins, counts.tolist(), strict=True)) == {name: int(name == bin_name) for name in AGE.bins}


def test_strings_are_counted_by_category_and_all_others_together() -> None:
    asked = [{"country": np.array([name], np.object_)} for name in ("fr", "fr", "de", "us", "missing", "")]
    counts = count_rows(TrainingProfile((COUNTRY,)), asked)
    assert dict(zip(COUNTRY.bins, counts.tolist(), strict=True)) == {"de": 1, "fr": 2, "any other": 2, "missing": 1}


def test_bins_are_those_of_numpys_histogram() -> None:
    values = np.random.default_rng(7).integers(18, 66, 500).astype(np.float32)
    found = count_rows(TrainingProfile((AGE,)), rows(*values))
    assert found[1:3].tolist() == np.histogram(values, AGE.edges)[0].tolist()


def test_the_mean_of_a_row_is_a_feature_too() -> None:
    counts = count_rows(TrainingProfile((BRIGHTNESS,)), [{"x": np.full((1, 2, 2), 0.5, np.float16)}])
    assert counts.tolist() == [0, 1, 0, 0]


def test_an_input_that_is_left_out_or_too_short_is_missing() -> None:
    asked = [{}, {"x": np.zeros((1, 1), np.float32)}, *rows(20)]
    assert count_rows(TrainingProfile((AGE,)), asked).tolist() == [0, 1, 0, 0, 2]


def test_one_row_of_a_request_is_counted_whatever_its_rows() -> None:
    counter = InputCounter(TrainingProfile((AGE,)), (LIVE,), draw=lambda below: below - 1)
    counter.asked({"x": np.array([[0, 20], [0, 20], [0, 50]], np.float32)}, 3, LIVE)
    counter.asked({"x": np.zeros((0, 2), np.float32)}, 0, LIVE)
    assert counter.counts().by_traffic == {LIVE: (0, 0, 1, 0, 0)}


def test_a_request_without_rows_of_its_own_is_one_row() -> None:
    counter = InputCounter(TrainingProfile((AGE,), by_row=False), (LIVE,))
    counter.asked({"x": np.array([0, 50], np.float32)}, 2, LIVE)
    assert counter.counts().by_traffic == {LIVE: (0, 0, 1, 0, 0)}


def test_a_row_is_copied_so_that_no_body_is_kept() -> None:
    body = np.array([[0, 20]], np.float32)
    counter = InputCounter(TrainingProfile((AGE,)), (LIVE,))
    counter.asked({"x": body}, 1, LIVE)
    body[:] = 50
    assert counter.counts().by_traffic == {LIVE: (0, 1, 0, 0, 0)}


def test_rows_are_counted_together_and_none_twice() -> None:
    counter = InputCounter(TrainingProfile((AGE,)), (LIVE, DIRECT))
    for _ in range(2 * MAX_PENDING_ROWS + 5):
        counter.asked(rows(20)[0], 1, LIVE)
    counter.asked(rows(50)[0], 1, DIRECT)
    counter.counts()
    assert counter.counts().by_traffic == {LIVE: (0, 2 * MAX_PENDING_ROWS + 5, 0, 0, 0), DIRECT: (0, 0, 1, 0, 0)}


def test_live_inputs_are_exposed_beside_those_of_the_training() -> None:
    metrics = ServerMetrics(IDENTITY, profile=BOTH)
    before = read(metrics)
    assert metrics.inputs
    metrics.inputs.asked({**rows(50)[0], "country": np.array(["de"], np.object_)}, 1, LIVE)
    metrics.inputs.asked(rows(20)[0], 1, DIRECT)
    metrics.request_finished("v2", 200, 0.001, traffic=DIRECT)
    after = read(metrics)
    assert of(before, "input_values_total", feature="age", bin="40..65") == 0
    assert of(after, "input_values_total", feature="age", bin="40..65") == 1
    assert of(after, "input_values_total", feature="country", bin="de") == 1
    assert of(after, "input_values_total", feature="age", bin="18..40") == 0
    assert of(after, "input_values_total", feature="age", bin="18..40", traffic="direct") == 1
    assert of(after, "input_training_values", feature="age", bin="40..65") == 400
    assert of(after, "input_training_values", feature="country", bin="any other") == 10


def test_several_processes_inputs_count_as_one() -> None:
    one, other, both = (ServerMetrics(IDENTITY, profile=BOTH) for _ in range(3))
    for metrics, age in ((one, 20), (other, 50), (both, 20), (both, 50)):
        assert metrics.inputs
        metrics.inputs.asked(rows(age)[0], 1, LIVE)
    assert merged([one.snapshot(), other.snapshot()]).inputs == both.snapshot().inputs


def test_without_a_profile_there_is_no_series_of_inputs() -> None:
    metrics = ServerMetrics(IDENTITY)
    assert metrics.inputs is None
    assert not [name for name, _ in read(metrics) if "input" in name]
