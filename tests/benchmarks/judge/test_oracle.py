"""The threshold that knows everything."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.judge.oracle import EQUAL, WINDOWS, Harmless, Oracle, oracles_for, tune
from benchmarks.judge.scenarios import Scenario, Table
from benchmarks.judge.traffic import Arm, Recording
from benchmarks.judge.traffic_generator import generate
from tidegate.model.spec import Analysis

RUNS = 800
BUSY = Scenario(Table.SAME, "anything", rate=100, base=0.02)


@pytest.fixture(scope="module")
def fresh() -> list[Recording]:
    """Other runs than those that it is tuned on."""
    return [generate(BUSY, 5, np.random.default_rng([2, number])) for number in range(RUNS)]


@pytest.mark.parametrize("window", WINDOWS)
def test_tuning_rolls_back_about_one_harmless_candidate_in_a_hundred(window: int, fresh: list[Recording]) -> None:
    oracle = Oracle(EQUAL, Harmless(BUSY.rate, BUSY.base), window)
    threshold = tune(oracle.harmless, 5, 4000, np.random.default_rng(1))[window]
    rolled_back = sum(oracle.rolled_back(recording, threshold) is not None for recording in fresh)

    assert 0.003 <= rolled_back / RUNS <= 0.025


def test_it_acts_at_the_first_poll_that_has_a_whole_window_behind_it(
    an_arm: Callable[..., Arm], a_recording: Callable[[Arm], Recording]
) -> None:
    oracle = Oracle(EQUAL, Harmless(20, 0.01), window=60)

    assert oracle.rolled_back(a_recording(an_arm(failed={5: 10})), 0.05) == 60.0
    assert oracle.rolled_back(a_recording(an_arm(failed={100: 10})), 0.05) == 100.0
    assert oracle.rolled_back(a_recording(an_arm(failed={100: 10})), 0.10) is None


def test_fewer_requests_than_usual_count_as_many(
    an_arm: Callable[..., Arm], a_recording: Callable[[Arm], Recording]
) -> None:
    one_of_twelve = a_recording(an_arm(requests=1, failed={60: 1}))

    assert Oracle(EQUAL, Harmless(2, 0.01), window=60).rolled_back(one_of_twelve, 0.05) == 60.0
    assert Oracle(EQUAL, Harmless(4, 0.01), window=60).rolled_back(one_of_twelve, 0.05) is None


def test_nothing_is_no_share_of_failures(an_arm: Callable[..., Arm], a_recording: Callable[[Arm], Recording]) -> None:
    threshold = tune(Harmless(0, 0), 5, 100, np.random.default_rng(1))[60]

    assert Oracle(EQUAL, Harmless(0, 0), 60).rolled_back(a_recording(an_arm(requests=0)), threshold) is None


def test_for_latency_there_is_one_of_each_percentile_and_window(analysis: Analysis) -> None:
    slower = Scenario(Table.LATENCY, "slower", rate=10, base=0.001, slower=2.0)
    names = [oracle.name for oracle in oracles_for(slower, analysis)]

    assert len(set(names)) == len(names) == 2 * 3 * 3
    assert {"equal, p50, 60 s", "tolerated, p99, 600 s"} <= set(names)
    assert [oracle.harmless.share for oracle in oracles_for(slower, analysis)][:9:3] == pytest.approx([0.5, 0.1, 0.01])
