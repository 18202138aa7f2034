"""Boundaries on stable's own histogram."""

import math
from datetime import timedelta

import pytest

from tidegate.judge.latency import Boundary, choose_boundaries, quantile_index, quantile_seconds
from tidegate.model.evidence import NO_DURATIONS, Durations

BOUNDS = tuple(0.01 * 1.2**k for k in range(20))
NOTHING = timedelta()


def histogram(*per_bucket: int, above: int = 0) -> Durations:
    """Requests per bucket from the fastest on, and those above the last bound."""
    counts = [*per_bucket, *[0] * (len(BOUNDS) - len(per_bucket)), above]
    return Durations((*BOUNDS, math.inf), tuple(sum(counts[: index + 1]) for index in range(len(counts))))


def boundaries(reference: Durations, *quantiles: int, negligible: timedelta = NOTHING) -> tuple[Boundary, ...]:
    return choose_boundaries(reference, quantiles, tolerate=0.2, accept=0.44, negligible=negligible)


def test_the_candidate_is_compared_one_and_two_buckets_further_on() -> None:
    reference = histogram(0, 60, 30, 0, 0, 10)

    assert boundaries(reference, 90, 50, 99) == (Boundary(50, 1, 2, 3), Boundary(90, 2, 3, 4), Boundary(99, 5, 6, 7))


def test_two_percentiles_in_one_bucket_are_one_boundary() -> None:
    assert boundaries(histogram(0, 200), 50, 90, 99) == (Boundary(50, 1, 2, 3),)


def test_a_percentile_above_the_last_bound_is_no_boundary() -> None:
    assert boundaries(histogram(60, above=60), 50, 90) == (Boundary(50, 0, 1, 2),)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        pytest.param(1, Boundary(50, 0, 1, 2), id="less than the tolerated slowdown: it changes nothing"),
        pytest.param(5, Boundary(50, 0, 3, 3), id="more than both slowdowns: it takes their place"),
    ],
)
def test_a_negligible_difference_of(milliseconds: int, expected: Boundary) -> None:
    assert boundaries(histogram(200), 50, negligible=timedelta(milliseconds=milliseconds)) == (expected,)


@pytest.mark.parametrize(
    "reference",
    [pytest.param(NO_DURATIONS, id="no history"), pytest.param(histogram(99), id="99 requests")],
)
def test_no_boundary_is_chosen_on(reference: Durations) -> None:
    assert boundaries(reference, 50) == ()


def test_a_slowdown_beyond_the_last_bound_compares_at_infinity() -> None:
    reference = histogram(*[0] * 19, 200)

    assert boundaries(reference, 50) == (Boundary(50, 19, 20, 20),)
    assert reference.slower_than(20) == 0


@pytest.mark.parametrize(
    ("durations", "quantile", "index", "seconds"),
    [
        pytest.param(histogram(100), 50, 0, 0.005, id="half way into the first bucket"),
        pytest.param(histogram(50, 50), 75, 1, 0.011, id="half way into the second"),
        pytest.param(histogram(50, above=50), 99, 20, BOUNDS[-1], id="above the last bound: that bound"),
    ],
)
def test_a_percentile_lies(durations: Durations, quantile: int, index: int, seconds: float) -> None:
    assert quantile_index(durations, quantile) == index
    assert quantile_seconds(durations, quantile) == pytest.approx(seconds)


def test_without_requests_a_percentile_is_unknown() -> None:
    assert math.isnan(quantile_seconds(NO_DURATIONS, 50))
