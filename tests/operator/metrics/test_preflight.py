"""What is learned from stable before a rollout, and what keeps one from starting."""

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.metrics.baseline import compared_bounds
from tidegate.metrics.preflight import baseline_of, reference_of, slower_scrape, stable_now
from tidegate.metrics.provider import Readings, Sources
from tidegate.metrics.registry import SourceRegistry
from tidegate.model.evidence import Durations, LatencyBlock
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.traffic import Arms

SETTLE = timedelta(seconds=5)


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    """Two minutes of one revision under 100 requests a second."""
    world = World(
        spec_schema,
        {"http://models/1": Behaviour(error_rate=0.02, classes={"cat": 1.0}), "http://models/2": Behaviour()},
    )
    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(120)
    return world


@pytest.fixture
def sources(world: World) -> Sources:
    return SourceRegistry(world).sources("Builtin", "Router")


@pytest.fixture
def arms(world: World) -> Arms:
    return Arms("shop", "digits", world.status["stable"]["revision"], "digits-none")


def test_the_pace_is_todays_traffic(world: World, sources: Sources, arms: Arms) -> None:
    now = stable_now(sources, arms, world.now, SETTLE)

    assert now.is_counted
    assert now.baseline is not None
    assert now.baseline.rate == pytest.approx(100, rel=0.02)
    assert now.baseline.failed == pytest.approx(0.02, abs=0.001)
    assert now.baseline.durations.total == reference_of(sources, arms, world.now, SETTLE).durations.total


def test_the_time_before_tells_failures_latency_and_predictions(
    world: World, sources: Sources, arms: Arms, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    reference, analysis = reference_of(sources, arms, world.now, SETTLE), a_spec().analysis
    before = baseline_of(sources, arms, analysis, world.now, SETTLE).before

    # In blocks of 15 s; of the first one nobody can say what its counters held when it began.
    assert before.requests == pytest.approx(100 * 120, abs=100 * 15)
    assert before.failed == pytest.approx(0.02 * before.requests, abs=1)
    assert before.durations == reference.durations
    assert before.predictions.classes == {"cat": before.durations.total}
    by_routers = baseline_of(sources, arms, analysis, world.now, SETTLE, reference.durations)
    assert by_routers.before == before


def test_what_nobody_counts_has_no_pace(world: World, sources: Sources) -> None:
    assert not stable_now(sources, Arms("shop", "digits", "digits-other", "x"), world.now, SETTLE).is_counted


def test_even_failures_are_no_clumps(
    world: World, sources: Sources, arms: Arms, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    overdispersion = baseline_of(sources, arms, a_spec().analysis, world.now, SETTLE).overdispersion

    assert (overdispersion.errors, overdispersion.noisy) == (1.0, "")
    assert set(overdispersion.latency) == {50, 90, 95, 99}


def test_what_a_pod_of_stables_had_to_do_is_learned_block_by_block(
    world: World, sources: Sources, arms: Arms, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    blocks = baseline_of(sources, arms, a_spec().analysis, world.now, SETTLE).overdispersion.latency_blocks

    assert blocks == (LatencyBlock(100.0, 1500, {50: 514, 90: 83, 95: 29, 99: 10}),) * 7


def test_percentiles_in_one_bucket_are_each_learned_of(a_spec: Callable[..., ModelDeploymentSpec]) -> None:
    in_one = Durations((0.001, 0.002, math.inf), (1000, 1000, 1000))

    assert compared_bounds(in_one, a_spec().analysis) == dict.fromkeys((50, 90, 95, 99), 0.001)


def test_a_number_of_the_users_takes_the_place_of_what_is_learned(
    world: World, sources: Sources, arms: Arms, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    given = baseline_of(sources, arms, a_spec(analysis={"dispersion": "4"}).analysis, world.now, SETTLE).overdispersion

    assert given.errors == 4.0
    assert set(given.latency.values()) == {4.0}


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        pytest.param(5.0, None, id="each 5 s, as it should be"),
        pytest.param(2.0, None, id="more often"),
        pytest.param(6.0, None, id="a little late"),
        pytest.param(30.0, 30.0, id="each 30 s"),
        pytest.param(None, None, id="too young to tell"),
    ],
)
def test_scrapes_that_come_too_seldom(interval: float | None, expected: float | None) -> None:
    assert slower_scrape(Readings([], interval=interval), SETTLE) == expected
