"""What a seed decides: every fault comes, each in a release that reaches its phase."""

from collections import Counter

import pytest

from benchmarks.chaos.plan import Component, Fault, Kind, Phase, Release, every_fault, plan


def test_every_fault_comes_before_any_comes_twice() -> None:
    everyone = set(every_fault())
    counts = Counter(fault for release in plan(1, 2 * len(everyone)) for fault in release.faults)

    assert counts == dict.fromkeys(everyone, 2)


def test_one_seed_means_one_order() -> None:
    assert plan(7, 60) == plan(7, 60) != plan(8, 60)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_release_meets_a_phase_once_and_only_phases_that_it_has(seed: int) -> None:
    for release in plan(seed, 150):
        phases = [fault.phase for fault in release.faults]
        assert len(phases) == len(set(phases)) > 0
        assert (Phase.GOING_BACK in phases) is not release.is_good


def test_a_candidate_is_struck_only_where_there_is_one() -> None:
    assert {fault.phase for fault in every_fault() if fault.component is Component.CANDIDATE} == {
        Phase.FIRST_STEP,
        Phase.SECOND_STEP,
        Phase.ALL,
        Phase.GOING_BACK,
    }


@pytest.mark.parametrize(
    ("release", "outcomes"),
    [
        pytest.param(
            Release(True, (Fault(Component.ENVOY, Kind.KILLED, Phase.ALL),)),
            ("Promoted",),
            id="a good model is promoted",
        ),
        pytest.param(
            Release(True, (Fault(Component.CANDIDATE, Kind.SLOW, Phase.ALL),)),
            ("Promoted", "RolledBack"),
            id="a good model whose own pods were struck may go back",
        ),
        pytest.param(
            Release(False, (Fault(Component.OPERATOR, Kind.KILLED, Phase.GOING_BACK),)),
            ("RolledBack",),
            id="a failing model goes back, whatever happens",
        ),
    ],
)
def test_the_right_outcomes(release: Release, outcomes: tuple[str, ...]) -> None:
    assert release.outcomes == outcomes


@pytest.mark.parametrize(
    ("fault", "costs"),
    [
        pytest.param(Fault(Component.ENVOY, Kind.KILLED, Phase.LIVE), True, id="a killed Envoy had requests under way"),
        pytest.param(Fault(Component.ENVOY, Kind.FROZEN, Phase.LIVE), False, id="a frozen one answers them later"),
        pytest.param(Fault(Component.OPERATOR, Kind.KILLED, Phase.ALL), False, id="an operator carries none"),
    ],
)
def test_what_may_cost_requests(fault: Fault, costs: bool) -> None:
    assert fault.costs_requests is costs
