"""Whether memory is flat, told from samples."""

import os

import pytest

from benchmarks.processes import cpu_seconds, resident_bytes
from benchmarks.server_trials.memory import Flatness, Sample, flatness, sparkline


def samples(*sizes: int) -> list[Sample]:
    return [Sample(60.0 * minute, size, size - 1, size + 1) for minute, size in enumerate(sizes, start=1)]


def test_growth_of_the_first_fifth_of_the_time_does_not_count() -> None:
    told = flatness(samples(1, 100, 102, 101, 100), seconds=600)
    assert told == Flatness(100, 102, 99, 103, spread=102 / 100 - 1, drift=0.0)
    assert told.is_flat


def test_growth_after_it_does() -> None:
    told = flatness(samples(100, 100, 102, 104, 106), seconds=300)
    assert told == Flatness(100, 106, 99, 107, spread=106 / 100 - 1, drift=106 / 100 - 1)
    assert not told.is_flat


def test_a_trial_that_was_too_short_for_a_sample_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="no sample"):
        flatness(samples(100), seconds=3000)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        pytest.param([50, 100, 0], "▅█▁", id="from zero to the most"),
        pytest.param([97, 100, 99], "███", id="nearly the same is drawn as the same"),
        pytest.param([], "", id="nothing"),
    ],
)
def test_sparkline(values: list[float], line: str) -> None:
    assert sparkline(values) == line


def test_a_process_holds_memory_and_uses_time_and_one_that_is_gone_does_neither() -> None:
    assert resident_bytes(os.getpid()) > 2**20
    assert cpu_seconds(os.getpid()) > 0
    gone = 2**22 + 1  # more than Linux ever gives out
    assert (resident_bytes(gone), cpu_seconds(gone)) == (0, 0)
