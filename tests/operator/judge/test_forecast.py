"""What people are told before a rollout's first request."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.operator.judge.test_verdict import at_speed
from tidegate.decide.criteria import stages_of
from tidegate.judge.forecast import Estimate, estimate_duration
from tidegate.model.evidence import BaselineTraffic
from tidegate.model.spec import Analysis, Canary, ModelDeploymentSpec

SETTLE = timedelta(seconds=5)
ASpec = Callable[..., ModelDeploymentSpec]


def foretold(spec: ModelDeploymentSpec, rate: float, failed: float = 0.0, **analysis: object) -> Estimate:
    assert isinstance(spec.strategy, Canary)
    changed: Analysis = replace(spec.analysis, **analysis)  # type: ignore[arg-type]
    return estimate_duration(
        BaselineTraffic(rate, failed, at_speed(5000)), changed, stages_of(spec, spec.strategy), SETTLE
    )


def test_ordinary_traffic_is_told_how_long_it_takes(a_spec: ASpec) -> None:
    told = foretold(a_spec(), 100)

    assert told.within_deadline
    assert told.takes is not None
    assert timedelta(seconds=60) < told.takes < timedelta(seconds=180)
    assert told.message.startswith("at 100 requests a second a candidate like stable takes about ")


def test_ten_times_the_traffic_takes_less_time_and_about_as_many_requests(a_spec: ASpec) -> None:
    slow, fast = foretold(a_spec(), 10), foretold(a_spec(), 100)
    assert slow.takes is not None
    assert fast.takes is not None
    assert slow.takes > 4 * fast.takes
    assert fast.requests == pytest.approx(slow.requests, rel=2)


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        pytest.param(0.0, "there is no traffic now, and without traffic nothing is promoted", id="none"),
        pytest.param(
            0.1, "0.1 requests a second can't decide this within spec.analysis.deadline, 1h: about ", id="few"
        ),
    ],
)
def test_too_little_traffic_is_told_so(a_spec: ASpec, rate: float, sentence: str) -> None:
    told = foretold(a_spec(), rate)
    assert not told.within_deadline
    assert told.message.startswith(sentence)


def test_copies_are_seen_by_nobody_and_tell_as_much(a_spec: ASpec) -> None:
    steps = [{"mirror": {"percent": 25}}, {"weight": 50}]
    told, live = (
        foretold(a_spec(strategy={"canary": {"steps": each}}), 100)
        for each in (steps, [{"weight": 25}, {"weight": 50}])
    )
    assert (told.exposed, live.exposed > 0) == (0, True)
    assert told.takes is not None
    assert live.takes is not None
    assert told.takes <= live.takes * 1.2
    assert told.requests < live.requests


def test_a_step_lasts_at_least_as_long_as_it_should(a_spec: ASpec) -> None:
    spec = a_spec(strategy={"canary": {"steps": [{"weight": 10, "minDuration": "10m"}]}})
    told = foretold(spec, 1000)
    assert told.takes == timedelta(minutes=10) + SETTLE


def test_routers_that_are_read_directly_are_counted_with(a_spec: ASpec) -> None:
    spec = a_spec()
    assert isinstance(spec.strategy, Canary)
    scraped, directly = (
        estimate_duration(
            BaselineTraffic(100, 0.0, at_speed(5000), read_directly=how),
            spec.analysis,
            stages_of(spec, spec.strategy),
            timedelta(seconds=30),
        )
        for how in (False, True)
    )

    assert (directly.exposed, scraped.exposed) == (100 * 0.05 * 3, 100 * 0.05 * 45)
    assert directly.takes
    assert scraped.takes
    assert directly.takes < scraped.takes - timedelta(seconds=80)


def test_the_worst_that_can_be_promoted_is_counted(a_spec: ASpec) -> None:
    told = foretold(a_spec(), 100, failed=0.01)
    assert told.worst == pytest.approx(told.requests * (0.01 + 0.005))
    assert told.exposed == 100 * 0.05 * 20
    assert math.isfinite(told.requests)
