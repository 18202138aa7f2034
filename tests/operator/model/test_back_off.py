"""Pauses that grow."""

from datetime import timedelta

import pytest

from tidegate.model.back_off import doubled


@pytest.mark.parametrize(("times", "seconds"), [(0, 2), (1, 4), (2, 8), (4, 32), (5, 60), (100_000, 60)])
def test_a_pause_doubles_each_time_and_has_a_bound_however_often(times: int, seconds: int) -> None:
    assert doubled(timedelta(seconds=2), times, timedelta(minutes=1)) == timedelta(seconds=seconds)
    assert doubled(2.0, times, 60.0) == seconds
