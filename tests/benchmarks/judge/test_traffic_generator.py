"""Traffic that is drawn is what its scenario says."""

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.judge.scenarios import Pods, Scenario, Scraping, Stalls, Table, all_scenarios, chosen, incident, wave
from benchmarks.judge.tidegate_defaults import strict
from benchmarks.judge.traffic import HORIZON, Recording
from benchmarks.judge.traffic_generator import generate
from tidegate.model.spec import Analysis


def drawn(**fields: object) -> Recording:
    given: dict[str, object] = {"rate": 1000, "base": 0.01, **fields}
    return generate(Scenario(Table.STRESS, "anything", **given), 5, np.random.default_rng(3))  # type: ignore[arg-type]


def test_a_tenth_of_the_requests_goes_to_the_candidate_and_a_tenth_is_the_baseline() -> None:
    seen = drawn()
    arms = {"stable": seen.stable, "baseline": seen.baseline, "candidate": seen.candidate}

    per_second = {name: arm.requests.sum() / HORIZON for name, arm in arms.items()}
    assert per_second == pytest.approx({"stable": 900, "baseline": 100, "candidate": 100}, rel=0.01)
    assert len(seen.stable.requests) == HORIZON / 5


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"times": 3.0, "plus": 0.005}, id="singly"),
        pytest.param({"times": 3.0, "plus": 0.005, "burst_size": 3.0}, id="in clumps of three"),
        pytest.param({"times": 3.0, "plus": 0.005, "scraping": Scraping(15, 5)}, id="and scraped"),
    ],
)
def test_the_candidate_fails_as_often_as_its_scenario_says(fields: dict[str, object]) -> None:
    seen = drawn(**fields)

    assert seen.candidate.failed.sum() / seen.candidate.requests.sum() == pytest.approx(0.035, rel=0.1)
    assert seen.stable.failed.sum() / seen.stable.requests.sum() == pytest.approx(0.01, rel=0.1)


def test_bursts_spread_failures_more_than_chance_does() -> None:
    singly, in_bursts = (drawn(burst_size=burst_size).stable.failed for burst_size in (1.0, 3.0))

    assert singly.var() / singly.mean() == pytest.approx(1, rel=0.3)
    # Of geometric bursts: E[s²] / E[s].
    assert in_bursts.var() / in_bursts.mean() == pytest.approx(5, rel=0.3)


def test_a_regression_begins_when_it_does() -> None:
    seen = drawn(times=5, begins=900)
    before, after = np.split(seen.candidate.failed, 2)

    assert after.sum() / before.sum() == pytest.approx(5, rel=0.2)


def test_latency_has_stables_percentiles_and_a_histogram_of_all_requests() -> None:
    seen = drawn(slower=1.0)

    shares = seen.stable.slow.sum(axis=0) / seen.stable.requests.sum()
    assert shares == pytest.approx([0.5, 0.1, 0.01], rel=0.02)
    assert (seen.candidate.histogram[:, -1] == seen.candidate.requests).all()
    assert seen.reference().total == sum(pod.requests.sum() for pod in seen.before)


def test_arms_that_are_scraped_show_in_different_polls_what_happened_at_once() -> None:
    seen = drawn(rate=100, scraping=Scraping(every=15, polled=5))

    busy = [arm.requests.nonzero()[0] % 3 for arm in (seen.stable, seen.candidate)]
    assert [len(set(at.tolist())) for at in busy] == [1, 1]


@pytest.mark.parametrize("step", [1, 5])
def test_clumps_may_last_for_seconds_and_fail_no_more_for_it(step: int) -> None:
    scenario = Scenario(Table.STRESS, "anything", 100, 0.01, burst_size=3.0, burst_lasts=8)
    seen = generate(scenario, step, np.random.default_rng(1), asked_directly=step == 1)

    assert len(seen.stable.failed) == 1800 / step
    assert seen.stable.failed.sum() / seen.stable.requests.sum() == pytest.approx(0.01, rel=0.1)
    assert (seen.stable.failed <= seen.stable.requests).all()


def test_a_pod_that_stalls_fails_all_for_as_long_and_no_other_does() -> None:
    scenario = Scenario(Table.STRESS, "anything", 100, 0.0, stalls=Stalls(every=300, last=3))
    seen = generate(scenario, 1, np.random.default_rng(3), asked_directly=True)

    (stalled,) = seen.candidate.failed.nonzero()
    assert seen.candidate.failed[stalled].tolist() == seen.candidate.requests[stalled].tolist()
    assert len(stalled) % 3 == 0
    assert seen.stable.failed.max() < 0.5 * seen.stable.requests.max()


def test_increments_of_routers_that_are_asked_say_how_long_they_are() -> None:
    scenario = Scenario(Table.STRESS, "anything", 100, 0.01)
    first, second, *_ = generate(scenario, 1, np.random.default_rng(1), asked_directly=True).increments()

    assert second.since == first.until
    assert second.lasted == timedelta(seconds=1)


def test_unlucky_pods_fail_for_the_whole_run_and_before_it() -> None:
    seen = drawn(base=0.05, pods=Pods(spread=0.6, candidate=3))

    before = [pod.failed.sum() / pod.requests.sum() for pod in seen.before]
    assert len(before) == 9
    assert max(before) > 1.3 * min(before)


@pytest.mark.parametrize(
    ("rate_shape", "expected"),
    [
        pytest.param(incident, [0.01, 0.05, 0.01], id="five minutes in the middle"),
        pytest.param(wave, [0.02, 0.01, 0.005], id="twice and half of it"),
    ],
)
def test_the_error_rate_at_7_15_and_22_minutes(rate_shape: object, expected: list[float]) -> None:
    scenario = Scenario(Table.STRESS, "anything", 10, 0.01, rate_shape=rate_shape)  # type: ignore[arg-type]

    assert scenario.stable_rate(np.array([450.0, 900.0, 1350.0])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("fields", "tolerated", "by_strict"),
    [
        pytest.param({}, True, True, id="no difference"),
        pytest.param({"times": 1.25, "plus": 0.001}, True, False, id="at the tolerance"),
        pytest.param({"times": 1.25, "plus": 0.0011}, False, False, id="just beyond it"),
        pytest.param({"slower": 1.2}, True, False, id="20 % slower"),
        pytest.param({"slower": 1.3}, False, False, id="30 % slower"),
    ],
)
def test_what_would_be_a_false_rollback(
    fields: dict[str, float], tolerated: bool, by_strict: bool, analysis: Analysis
) -> None:
    scenario = Scenario(Table.ERRORS, "anything", 10, 0.005, **fields)  # type: ignore[arg-type]

    assert (scenario.is_tolerated(analysis), scenario.is_tolerated(strict(analysis))) == (tolerated, by_strict)


def test_every_scenario_has_a_title_of_its_own(analysis: Analysis) -> None:
    titles = [scenario.title for scenario in all_scenarios(analysis)]

    assert len(set(titles)) == len(titles)


def test_scenarios_are_chosen_by_a_part_of_their_title(analysis: Analysis) -> None:
    assert [scenario.title for scenario in chosen(all_scenarios(analysis), "ERRORS: 2 %, 10/s")] == [
        f"errors: 2 %, 10/s, ×{times}" for times in (2, 5, 20)
    ]


def test_a_part_that_no_title_has_is_refused(analysis: Analysis) -> None:
    with pytest.raises(BenchmarkError, match="no cell has 'weekday' in its title"):
        chosen(all_scenarios(analysis), "weekday")
