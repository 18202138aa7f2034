"""The grid is anchored at each shift."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.judge.sampling import FIRST_INCREMENTS, RISING, Segment, is_urgent, segment_at, segments, until_next_point
from tidegate.model.status import Shift

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=5)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("shifts", "propagation_delay", "until", "expected"),
    [
        pytest.param([], 5, 60, [], id="no shift yet: nothing"),
        pytest.param([0], 5, 0, [(0, 1, 1)], id="at the shift: its own point"),
        pytest.param([0], 5, 14, [(0, 3, 1)], id="a block that isn't over doesn't count"),
        pytest.param([0], 7, 15, [(0, 4, 2)], id="settling is in whole blocks"),
        pytest.param([0, 12], 5, 22, [(0, 3, 1), (12, 3, 1)], id="a second shift begins a grid of its own"),
        pytest.param([10], 5, 8, [(10, 0, 1)], id="before its shift a segment has no points"),
    ],
)
def test_the_grid_with(
    shifts: list[int], propagation_delay: int, until: int, expected: list[tuple[int, int, int]]
) -> None:
    found = segments(
        [Shift(at(second), 10) for second in shifts], STEP, timedelta(seconds=propagation_delay), at(until)
    )

    assert found == tuple(Segment(at(start), STEP, points, delay, weight=10) for start, points, delay in expected)


def test_stable_has_no_share_once_the_candidate_has_all() -> None:
    shifts = [Shift(at(0), 50), Shift(at(10), 100)]

    assert [each.concurrent for each in segments(shifts, STEP, STEP, at(20))] == [True, False]


def test_a_segments_points_lie_a_step_apart() -> None:
    segment = Segment(START, STEP, 3, 1)

    assert [segment.instant(index) for index in range(3)] == [at(0), at(5), at(10)]


@pytest.mark.parametrize(("now", "expected"), [(0, 5), (1, 4), (4, 1), (5, 5), (12, 3)])
def test_the_next_point_comes_after(now: int, expected: int) -> None:
    assert until_next_point(START, STEP, at(now)) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("log_worse", "increments", "expected"),
    [
        pytest.param(0.0, 0, True, id="a candidate that is new"),
        pytest.param(0.0, FIRST_INCREMENTS, False, id="one that does well"),
        pytest.param(RISING + 0.1, 500, True, id="one that may soon be shown worse"),
    ],
)
def test_routers_are_asked_more_often_where_it_is_urgent(log_worse: float, increments: int, expected: bool) -> None:
    assert is_urgent(log_worse, increments) is expected


@pytest.mark.parametrize(("second", "expected"), [(-0.1, None), (0, 10), (9.9, 10), (10, 50), (99, 50)])
def test_a_reading_is_of_the_segment_that_began_last(second: float, expected: int | None) -> None:
    grid = segments([Shift(at(0), 10), Shift(at(10), 50)], STEP, STEP, at(20))

    found = segment_at(grid, at(second))

    assert (found.weight if found else None) == expected
