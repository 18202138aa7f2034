"""Fixed thresholds on series made by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.judge.baselines import argo, flagger
from benchmarks.judge.traffic import Arm, Recording
from benchmarks.judge.windows import nth, over_windows, percentile, share
from tidegate.simulation.synthetic_traffic import BOUNDS

Build = Callable[..., Arm]
Record = Callable[[Arm], Recording]

EVERY_POLL = dict.fromkeys(range(5, 1801, 5), 1)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        pytest.param({}, None, id="no failures: it stays"),
        pytest.param({"failed": EVERY_POLL}, 120.0, id="a tenth fails from the start: the fourth check ends it"),
        pytest.param({"failed": {35: 9, 65: 9}}, None, id="three checks in all see failures: it stays"),
        pytest.param({"failed": {35: 9, 65: 9, 905: 9}}, 930.0, id="a fourth much later ends it"),
        pytest.param({"failed": {60: 1}}, None, id="one of 120 requests fails: it stays"),
        pytest.param({"requests": 0}, 120.0, id="no traffic is NaN, which isn't at least 99 %"),
        pytest.param({"slow": EVERY_POLL}, 120.0, id="p99 above half a second"),
        pytest.param(
            {"failed": {35: 9}, "slow": {905: 9}},
            None,
            id="two failed checks of each of two metrics: each counts alone",
        ),
    ],
)
def test_argo_aborts(candidate: dict[str, int], expected: float | None, an_arm: Build, a_recording: Record) -> None:
    assert argo(a_recording(an_arm(**candidate))) == expected


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        pytest.param({}, None, id="no failures: it stays"),
        pytest.param({"failed": EVERY_POLL}, 300.0, id="a tenth fails from the start: the fifth check ends it"),
        pytest.param({"failed": {60: 9, 120: 9, 180: 9, 240: 9}}, None, id="four bad minutes: it stays"),
        pytest.param({"failed": {60: 9, 120: 9, 180: 9, 240: 9, 1800: 9}}, 1800.0, id="the fifth in the last one"),
        pytest.param({"requests": 0}, 300.0, id="no data is a failed check"),
        pytest.param(
            {"failed": {60: 9, 120: 9}, "slow": {120: 9, 240: 9, 300: 9, 360: 9}},
            360.0,
            id="checks count together, one that fails twice once",
        ),
    ],
)
def test_flagger_rolls_back(
    candidate: dict[str, int], expected: float | None, an_arm: Build, a_recording: Record
) -> None:
    assert flagger(a_recording(an_arm(**candidate))) == expected


def test_exactly_99_percent_is_enough(an_arm: Build, a_recording: Record) -> None:
    at_the_limit = an_arm(requests=100, failed=EVERY_POLL)

    assert argo(a_recording(at_the_limit)) is None
    assert flagger(a_recording(at_the_limit)) is None


def test_a_window_sums_what_lies_before_each_look_and_the_first_what_there_is() -> None:
    polls = np.array([1, 2, 3, 4, 5, 6])

    assert over_windows(polls, 5, window=20, every=10).tolist() == [3, 10, 18]


def test_a_share_of_nothing_is_nan() -> None:
    assert np.isnan(share(np.array([0]), np.array([0]))).all()


@pytest.mark.parametrize(
    ("cumulative", "expected"),
    [
        pytest.param([100] * len(BOUNDS), 0.99 * BOUNDS[0], id="all in the first bucket: linear from 0"),
        pytest.param([0, *[100] * (len(BOUNDS) - 1)], BOUNDS[0] + 0.99 * (BOUNDS[1] - BOUNDS[0]), id="in the second"),
        pytest.param([*[98] * (len(BOUNDS) - 1), 100], BOUNDS[-2], id="above the last bound: that bound"),
        pytest.param([0] * len(BOUNDS), math.nan, id="nothing: NaN"),
    ],
)
def test_the_percentile_is_that_of_histogram_quantile(cumulative: list[int], expected: float) -> None:
    assert percentile(np.array([cumulative]), 0.99)[0] == pytest.approx(expected, nan_ok=True)


def test_the_nth_time_that_something_is_wrong() -> None:
    wrong = np.array([False, True, False, True])

    assert (nth(wrong, 2), nth(wrong, 3)) == (3, None)
