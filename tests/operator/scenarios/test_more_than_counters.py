"""Rollouts that are judged by more than errors and latency: predictions, own queries, and who counts."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.scenarios.test_scenarios import CANARY, model
from tests.operator.world import Behaviour, World

EVEN = {"cat": 0.5, "dog": 0.5}
MODELS = {
    "http://models/1": Behaviour(classes=EVEN),
    "http://models/same": Behaviour(classes=EVEN),
    "http://models/biased": Behaviour(classes={"cat": 0.9, "dog": 0.1}),
    "http://models/stuck": Behaviour(classes={"cat": 1.0, "dog": 0.0}),
    "http://models/failing": Behaviour(classes=EVEN, error_rate=0.2),
}
QUERY = 'sum(right{revision="{{candidate}}"})'


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, MODELS)
    world.kubectl_apply(**model("1"))
    world.run(60)
    return world


def outcome(world: World) -> tuple[str, str]:
    newest = world.status["history"][0]
    return newest["outcome"], newest["reason"]


def told(world: World, reason: str) -> list[str]:
    """The messages of the Events with that reason."""
    return [line.partition(f"event {reason}: ")[2] for line in world.transcript if f"event {reason}: " in line]


def gives(world: World, revision: str, *values: float) -> None:
    world.own_series[QUERY.replace("{{candidate}}", revision)] = list(values)


def with_query(**limits: str) -> dict[str, Any]:
    return {"analysis": {"queries": [{"name": "accuracy", "query": QUERY, **limits}]}}


def test_before_the_first_request_people_are_told_what_to_expect(world: World) -> None:
    world.kubectl_apply(**model("same"))
    world.run(20)

    (estimate,) = told(world, "Outlook")
    assert estimate.startswith("at 100 requests a second a candidate like stable takes about ")


def test_traffic_that_cannot_decide_is_told_and_the_rollout_starts_all_the_same(world: World) -> None:
    world.kubectl_apply(**model("same", analysis={"deadline": "1m", "errorRate": {"accept": {"absolute": "0.1%"}}}))
    world.run(20)

    (warning,) = told(world, "TrafficTooLow")
    assert "can't decide this within spec.analysis.deadline, 1m" in warning
    assert world.status["traffic"]["candidate"] == 10


def test_the_same_answers_are_promoted(world: World) -> None:
    world.kubectl_apply(**model("same"))
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("biased", "PredictionsDiffer", id="other shares"),
        pytest.param("stuck", "ConstantOutput", id="one class"),
    ],
)
def test_other_answers_hold_until_somebody_says_that_they_are_meant(name: str, reason: str, world: World) -> None:
    world.kubectl_apply(**model(name))
    world.run(400)
    assert world.status["analysis"]["reason"] == reason
    assert world.status["traffic"]["candidate"] == 10
    assert len(told(world, reason)) == 1

    world.kubectl_apply(**model(name, analysis={"predictions": {"onDrift": "Ignore"}}))
    world.run(300)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_other_answers_go_back_where_the_user_wants_that(world: World) -> None:
    world.kubectl_apply(**model("biased", analysis={"predictions": {"onDrift": "Rollback"}}))
    world.run(300)

    assert outcome(world) == ("RolledBack", "PredictionsDiffer")
    assert "class cat in 90% of the answers against 50% on stable" in world.status["history"][0]["message"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param([], "it gives no value", id="no series"),
        pytest.param([0.9, 0.8], "it gives 2 series", id="two series"),
        pytest.param([float("nan")], "it gives nan", id="NaN"),
        pytest.param([float("inf")], "it gives inf", id="infinity"),
    ],
)
def test_a_query_that_makes_no_sense_for_stable_keeps_a_rollout_from_starting(
    values: list[float], said: str, world: World
) -> None:
    gives(world, world.status["stable"]["revision"], *values)
    world.kubectl_apply(**model("same", **with_query(min="0.5")))
    world.run(120)

    assert world.status["traffic"]["candidate"] == 0
    assert world.status["analysis"]["reason"] == "QueryUnusable"
    assert f"spec.analysis.queries[accuracy]: {said}" in world.status["message"]


@pytest.mark.parametrize(
    ("value", "on_failure", "expected"),
    [
        pytest.param([0.9], "Rollback", ("Promoted", "EvidenceAcceptable"), id="within the limit"),
        pytest.param([0.1], "Rollback", ("RolledBack", "QueryBeyondLimit"), id="beyond it, back"),
        pytest.param([0.1], "Hold", None, id="beyond it, hold"),
        pytest.param([], "Rollback", None, id="no value for the candidate: hold, whatever it says"),
        pytest.param([0.9, 0.9], "Rollback", None, id="two series for the candidate: hold"),
    ],
)
def test_a_query_about_the_candidate(
    value: list[float], on_failure: str, expected: tuple[str, str] | None, world: World
) -> None:
    gives(world, world.status["stable"]["revision"], 0.9)
    world.kubectl_apply(**model("same", **with_query(min="0.5", onFailure=on_failure)))
    world.run(3)
    gives(world, world.status["rollout"]["candidate"], *value)
    world.run(300)

    if expected is None:
        assert world.status["traffic"]["candidate"] == CANARY["canary"]["steps"][0]["weight"]
    else:
        assert outcome(world) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("same", ("Promoted", "EvidenceAcceptable"), id="a good one is promoted"),
        pytest.param("failing", ("RolledBack", "ErrorRateWorse"), id="a bad one goes back"),
    ],
)
def test_the_servers_may_count_where_the_routers_are_not_scraped(
    name: str, expected: tuple[str, str], world: World
) -> None:
    world.kubectl_apply(**model(name, analysis={"requestsFrom": "Servers"}))
    world.run(300)

    assert outcome(world) == expected


def test_a_poll_costs_two_queries(world: World) -> None:
    world.kubectl_apply(**model("same", paused=True))
    world.run(30)
    world.kubectl_apply(**model("same"))
    world.run(12)
    before = world.prometheus_asked
    world.reconcile()
    looked = world.prometheus_asked - before
    assert looked <= 2
