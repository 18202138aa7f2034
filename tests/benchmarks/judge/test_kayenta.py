"""Mann–Whitney on points a minute."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped] # it has no stubs here

from benchmarks.judge.kayenta import Finding, classify, kayenta, standard_score
from benchmarks.judge.traffic import Arm, Floats, Recording

Points = Callable[[Sequence[float]], Floats]
LOW, HIGH = tuple(0.01 + 0.001 * n for n in range(10)), tuple(0.05 + 0.001 * n for n in range(10))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("digits", [pytest.param(6, id="hardly any ties"), pytest.param(1, id="many ties")])
def test_the_score_is_scipys(seed: int, digits: int) -> None:
    random = np.random.default_rng(seed)
    candidate, baseline = random.normal(0.3, 1, 20).round(digits), random.normal(0, 1, 25).round(digits)
    score = standard_score(candidate, baseline)

    direction = "greater" if score > 0 else "less"
    expected = mannwhitneyu(candidate, baseline, alternative=direction, method="asymptotic").pvalue
    assert 1 - NormalDist().cdf(abs(score)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("candidate", "baseline", "expected"),
    [
        pytest.param(HIGH, LOW, Finding.HIGH, id="all points above all of the baseline's"),
        pytest.param(LOW, HIGH, Finding.PASS, id="all below: a better one passes"),
        pytest.param(LOW, LOW, Finding.PASS, id="the same"),
        pytest.param([0.0] * 10, [0.0] * 10, Finding.PASS, id="no failures on either side"),
        pytest.param([0.0] * 7 + [1.0] * 3, [0.0] * 10, Finding.PASS, id="rare but gross failures are overlooked"),
        pytest.param([*HIGH, math.nan], [math.nan, *LOW], Finding.HIGH, id="NaN is removed"),
        pytest.param([math.nan] * 10, LOW, Finding.NO_DATA, id="nothing but NaN"),
    ],
)
def test_a_metric_is_classified(
    candidate: Sequence[float], baseline: Sequence[float], expected: Finding, points: Points
) -> None:
    assert classify(points(candidate), points(baseline)) is expected


def test_a_significant_difference_that_may_be_small_beside_its_estimate_passes(points: Points) -> None:
    candidate, baseline = points([n + 6.5 for n in range(20)]), points(range(20))

    assert standard_score(candidate, baseline) > NormalDist().inv_cdf(0.99)
    assert classify(candidate, baseline) is Finding.PASS


@pytest.mark.parametrize(
    ("requests", "failed", "expected"),
    [
        pytest.param(10, {}, None, id="no failures: it passes all three judgements"),
        pytest.param(10, dict.fromkeys(range(5, 1801, 5), 1), 600.0, id="failures from the start: the first judgement"),
        pytest.param(10, dict.fromkeys(range(605, 1801, 5), 5), 1800.0, id="failures later: the third judgement"),
        pytest.param(0, {}, 600.0, id="no points score 0"),
    ],
)
def test_a_release_is_judged_every_ten_minutes(
    requests: int,
    failed: dict[int, int],
    expected: float | None,
    an_arm: Callable[..., Arm],
    a_recording: Callable[[Arm], Recording],
) -> None:
    assert kayenta(a_recording(an_arm(requests, failed))) == expected
