"""Deadlines count the time without progress; neither a pause nor an outage decides anything; what is stuck says so."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.disturbed import Disturbed
from tests.operator.world import Behaviour

HELD = {"canary": {"steps": [{"weight": 50, "minDuration": "5h"}]}}
MODELS = {f"http://models/{number}": Behaviour() for number in (1, 2, 3)}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> Disturbed:
    """v1 live for a while on two pods."""
    world = Disturbed(spec_schema, dict(MODELS), rps=20)
    release(world, 1)
    world.run(60)
    return world


def release(world: Disturbed, number: int, **fields: Any) -> None:
    world.kubectl_apply(
        model={"uri": f"http://models/{number}"},
        **{"replicas": 2, "strategy": HELD, "progressDeadline": "2m", **fields},
    )


def shifts(world: Disturbed) -> list[int]:
    return [shift["weight"] for shift in world.status["rollout"].get("shifts", ())]


def test_a_pause_is_no_missed_progress(world: Disturbed) -> None:
    release(world, 2, paused=True)
    world.run(130)
    release(world, 2, paused=True, replicas=4)
    world.run(2)
    release(world, 2, replicas=4)
    world.run(30)

    assert world.status.get("history", []) == []
    assert world.status["rollout"]["step"] == 1


def test_an_outage_is_no_missed_progress(world: Disturbed) -> None:
    release(world, 2)
    world.prometheus_up = False
    world.run(130)
    candidate = world.status["candidate"]["revision"]
    world.dead = candidate
    world.run(5)
    world.dead = ""
    world.prometheus_up = True
    world.run(30)

    assert world.status.get("history", []) == []
    assert world.status["rollout"]["step"] == 1


def test_pods_that_never_come_end_a_rollout_after_the_time_without_progress(world: Disturbed) -> None:
    world.dead = "digits-f0194e3c"
    release(world, 2, progressDeadline="60s")
    world.run(90)

    assert world.condition("Stalled") == ("True", "ProgressDeadlineExceeded")


def test_a_short_outage_after_a_long_pause_rolls_nothing_back(world: Disturbed) -> None:
    analysis = {"onMetricsUnavailable": "Rollback", "deadline": "5m", "onInconclusive": "Rollback"}
    release(world, 2, analysis=analysis)
    world.run(30)
    release(world, 2, analysis=analysis, paused=True)
    world.run(400)
    release(world, 2, analysis=analysis)
    world.run(60)
    world.prometheus_up = False
    world.run(10)
    world.prometheus_up = True
    world.run(60)

    assert world.status.get("history", []) == []


def test_an_outage_that_lasts_rolls_back_where_the_user_wants_it(world: Disturbed) -> None:
    release(world, 2, analysis={"onMetricsUnavailable": "Rollback"})
    world.run(30)
    world.prometheus_up = False
    world.run(110)
    assert world.status.get("history", []) == []

    world.run(30)
    assert world.status["history"][0]["outcome"] == "RolledBack"
    assert "nothing could be seen for 2m" in world.status["history"][0]["message"]


def test_a_deadline_does_not_count_an_outage(world: Disturbed) -> None:
    analysis = {"onInconclusive": "Rollback", "deadline": "5m"}
    world.rps = 1
    release(world, 2, analysis=analysis)
    world.run(60)
    world.prometheus_up = False
    world.run(360)
    world.prometheus_up = True
    world.run(60)
    assert world.status.get("history", []) == []

    world.run(240)
    assert world.status["history"][0]["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
@pytest.mark.parametrize("policy", ["Promote", "Rollback"])
def test_a_clock_that_is_set_decides_nothing(world: Disturbed, policy: str, hours: int) -> None:
    world.rps = 1
    release(world, 2, analysis={"onInconclusive": policy, "deadline": "30m"})
    world.run(60)
    world.set_clocks(timedelta(hours=hours))
    world.run(120)

    assert world.status.get("history", []) == []
    assert world.status["rollout"]["shifts"][-1]["weight"] == 50
    assert [line for line in world.transcript if "event ClockJumped" in line]


@pytest.mark.parametrize("policy", ["Promote", "Rollback"])
def test_a_clock_that_is_set_decides_nothing_though_the_status_is_not_taken_at_first(
    world: Disturbed, policy: str
) -> None:
    world.rps = 1
    release(world, 2, analysis={"onInconclusive": policy, "deadline": "30m"})
    world.run(60)
    world.status_is_refused = True
    world.set_clocks(timedelta(hours=1))
    world.run(10)
    world.status_is_refused = False
    world.run(120)

    assert world.status.get("history", []) == []
    assert world.status["rollout"]["shifts"][-1]["weight"] == 50
    assert len([line for line in world.transcript if "event ClockJumped" in line]) == 1


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_a_failing_model_goes_back_although_the_clock_was_set(world: Disturbed, hours: int) -> None:
    release(world, 2)
    world.run(60)
    world.set_clocks(timedelta(hours=hours))
    world.models = {**world.models, "http://models/2": Behaviour(error_rate=1.0)}
    world.run(60)

    assert world.status["history"][0]["outcome"] == "RolledBack"


# --- what is stuck ----------------------------------------------------------------------------------------------------


def test_pods_that_a_quota_refuses_are_told_at_once(world: Disturbed) -> None:
    world.quota_message = "pods are forbidden: exceeded quota: gpus"
    world.dead = "digits-f0194e3c"
    release(world, 2)
    world.run(10)

    assert world.condition("Reconciling") == ("True", "ReplicaFailure")
    assert "its pods can't be made: pods are forbidden: exceeded quota: gpus" in world.status["message"]
    assert len([line for line in world.transcript if "event ReplicaFailure" in line]) == 1


def test_pods_for_the_next_step_that_never_come_are_told_as_stalled(world: Disturbed) -> None:
    steps = [{"weight": 10}, {"weight": 50}]
    world.most_pods = 2
    world.rps = 100
    release(world, 2, replicas=8, strategy={"canary": {"steps": steps}})
    world.run(300)

    assert world.condition("Stalled") == ("True", "ScalingUp")
    assert "for 2m or longer without progress" in world.status["message"]


def test_pods_that_vanish_are_told_as_stalled(world: Disturbed) -> None:
    release(world, 2)
    world.run(60)
    world.dead = world.status["candidate"]["revision"]
    world.run(140)

    assert world.condition("Stalled") == ("True", "PodsNotReady")


def test_a_share_unlike_the_weight_is_told_as_stalled(world: Disturbed) -> None:
    world.rps = 100
    world.diverted = 0.3
    release(world, 2, strategy={"canary": {"steps": [{"weight": 50}]}})
    world.run(300)

    assert world.condition("Stalled") == ("True", "ShareUnlikeWeight")
    assert shifts(world) == [50]


def test_metrics_that_stay_away_are_told_as_stalled(world: Disturbed) -> None:
    release(world, 2)
    world.run(60)
    world.prometheus_up = False
    world.run(140)

    assert world.condition("Stalled") == ("True", "MetricsUnavailable")
    world.prometheus_up = True
    world.run(30)
    assert world.condition("Stalled")[0] == "False"
