"""Rollouts with queries of the user's own: dry runs, queries of a step, limits, and templates."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.scenarios.test_more_than_counters import gives, outcome, told
from tests.operator.scenarios.test_scenarios import model
from tests.operator.world import Behaviour, World
from tidegate.model.units import parse_instant

QUERY = 'sum(right{revision="{{candidate}}"})'


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    world.kubectl_apply(**model("1"))
    world.run(60)
    gives(world, world.status["stable"]["revision"], 0.9)
    return world


def release(world: World, *queries: Mapping[str, Any], **spec: Any) -> None:
    """Applies a second model that is judged by these queries, up to where it has begun."""
    named = [{"name": "accuracy", "query": QUERY, "min": "0.5", **each} for each in queries]
    analysis = {"queries": named, **spec.pop("analysis", {})}
    world.kubectl_apply(**model("2", analysis=analysis, **spec))
    world.run(3)


def results(world: World) -> dict[str, tuple[str, str]]:
    """State and sentence of each query, as the status has them."""
    return {each["name"]: (each["state"], each["message"]) for each in world.status["analysis"].get("queries", ())}


@pytest.mark.parametrize(
    ("values", "reason", "state"),
    [
        pytest.param([0.1], "DryRunFailed", "Failed", id="beyond its limit all the time"),
        pytest.param([], "DryRunInconclusive", "Inconclusive", id="no value"),
        pytest.param([float("nan")], "DryRunInconclusive", "Inconclusive", id="NaN"),
        pytest.param([0.9, 0.8], "DryRunInconclusive", "Inconclusive", id="two series"),
    ],
)
def test_a_dry_run_is_told_once_and_decides_nothing(values: list[float], reason: str, state: str, world: World) -> None:
    release(world, {"dryRun": True})
    gives(world, world.status["rollout"]["candidate"], *values)
    world.run(20)
    assert results(world)["accuracy"][0] == state

    world.run(300)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")
    assert len(told(world, reason)) == 1


def test_a_dry_run_that_makes_no_sense_for_stable_keeps_no_rollout_from_starting(world: World) -> None:
    gives(world, world.status["stable"]["revision"])
    release(world, {"dryRun": True})
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_a_query_in_force_decides_beside_a_dry_run(world: World) -> None:
    other = QUERY.replace("right", "cheap")
    world.own_series[other.replace("{{candidate}}", world.status["stable"]["revision"])] = [1.0]
    release(world, {"dryRun": True}, {"name": "cost", "query": other, "min": "0.5", "onFailure": "Rollback"})
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.1)
    world.own_series[other.replace("{{candidate}}", candidate)] = [0.2]
    world.run(60)

    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")
    assert "spec.analysis.queries[cost] gives 0.2, below the least that is allowed, 0.5" in world.status["message"]


def test_the_state_of_each_query_is_told_with_its_value(world: World) -> None:
    release(world, {"dryRun": True}, {"name": "recall"})
    gives(world, world.status["rollout"]["candidate"], 0.7)
    world.run(20)

    told = {"state": "Successful", "message": "gives 0.7, at least 0.5 is allowed", "value": "0.7"}
    assert world.status["analysis"]["queries"] == [
        {"name": "accuracy", **told, "dryRun": True},
        {"name": "recall", **told, "dryRun": False},
    ]


STEPS = [{"weight": 10}, {"weight": 25}, {"weight": 50}]


def steps(**queries: str) -> dict[str, Any]:
    """A canary whose steps name queries: `second="accuracy"`."""
    order = ("first", "second", "third")
    named = [
        {**step, "analysis": {"queries": [queries[at]]}} if at in queries else step
        for at, step in zip(order, STEPS, strict=True)
    ]
    return {"strategy": {"canary": {"steps": named}}}


def weights(world: World) -> list[int]:
    """The candidate's, from the oldest to the newest."""
    rollout = world.status.get("rollout") or world.status["history"][0]
    return [shift["weight"] for shift in rollout.get("shifts", ())]


def test_a_query_that_the_second_step_names_is_judged_there_and_not_before(world: World) -> None:
    release(world, {"onFailure": "Rollback"}, **steps(second="accuracy"))
    gives(world, world.status["rollout"]["candidate"], 0.1)
    world.run_until(lambda: weights(world) == [10, 25])
    assert results(world) == {}

    world.run(60)
    assert (outcome(world), weights(world)) == (("RolledBack", "QueryBeyondLimit"), [10, 25])


def test_a_query_that_the_second_step_names_is_judged_no_longer_after_it(world: World) -> None:
    release(world, {"onFailure": "Rollback"}, **steps(second="accuracy"))
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.9)
    world.run_until(lambda: weights(world) == [10, 25, 50])
    gives(world, candidate, 0.1)
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_a_step_does_not_end_before_its_query_was_asked_twice(world: World) -> None:
    release(world, {}, **steps(first="accuracy"), analysis={"interval": "10s"})
    gives(world, world.status["rollout"]["candidate"], 0.9)
    world.run_until(lambda: weights(world) == [10])
    since = world.now
    world.run_until(lambda: weights(world) == [10, 25])

    assert (world.now - since).total_seconds() > 20
    assert results(world) == {}


@pytest.mark.parametrize("values", [[], [float("nan")], [0.9, 0.8]], ids=["nothing", "NaN", "two series"])
def test_a_query_of_a_step_that_gives_no_number_holds_that_step(values: list[float], world: World) -> None:
    release(world, {"onFailure": "Rollback"}, **steps(second="accuracy"))
    gives(world, world.status["rollout"]["candidate"], *values)
    world.run(300)

    assert (weights(world), world.status["analysis"]["reason"]) == ([10, 25], "QueryUnusable")


def test_a_query_with_a_starting_step_is_judged_from_there_to_the_end(world: World) -> None:
    release(world, {"onFailure": "Rollback", "startingStep": 2}, **steps())
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.1)
    world.run_until(lambda: weights(world) == [10, 25])
    gives(world, candidate, 0.9)
    world.run_until(lambda: weights(world) == [10, 25, 50, 100])
    gives(world, candidate, 0.1)
    world.run(60)

    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")


def test_a_query_of_the_last_step_alone_is_asked_before_the_old_revision_goes(world: World) -> None:
    release(world, {"onFailure": "Rollback", "startingStep": 4}, **steps(), analysis={"bake": "0s"})
    gives(world, world.status["rollout"]["candidate"], 0.1)
    world.run(300)

    assert (outcome(world), weights(world)) == (("RolledBack", "QueryBeyondLimit"), [10, 25, 50, 100])


def blue_green(**analysis: str) -> dict[str, Any]:
    """Blue-green that names queries: `prePromotionAnalysis="accuracy"`."""
    named = {moment: {"queries": [query]} for moment, query in analysis.items()}
    return {"strategy": {"blueGreen": {"verifyFor": "20s", "keepOld": "30s", **named}}}


@pytest.mark.parametrize(
    ("value", "on_failure", "expected"),
    [
        pytest.param([0.1], "Rollback", ("RolledBack", "QueryBeyondLimit", []), id="beyond its limit: back"),
        pytest.param([0.1], "Hold", ("Held", "QueryBeyondLimit", []), id="beyond its limit: held without traffic"),
        pytest.param([], "Rollback", ("Held", "QueryUnusable", []), id="no value: held without traffic"),
        pytest.param([0.9], "Rollback", ("Live", "StableServing", [100]), id="within it: switched and promoted"),
    ],
)
def test_a_query_before_the_switch(
    value: list[float], on_failure: str, expected: tuple[str, str, list[int]], world: World
) -> None:
    gives(world, world.status["stable"]["revision"])
    release(world, {"onFailure": on_failure}, **blue_green(prePromotionAnalysis="accuracy"))
    gives(world, world.status["rollout"]["candidate"], *value)
    world.run(300)

    phase = world.status["phase"]
    condition = {"Held": "Reconciling", "RolledBack": "Stalled"}.get(phase, "Ready")
    assert (phase, world.condition(condition)[1], weights(world)) == expected


def test_a_query_before_the_switch_is_not_asked_after_it(world: World) -> None:
    release(world, {"onFailure": "Rollback"}, **blue_green(prePromotionAnalysis="accuracy"))
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.9)
    world.run_until(lambda: weights(world) == [100])
    gives(world, candidate, 0.1)
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_a_query_after_the_switch_takes_it_back(world: World) -> None:
    release(world, {"onFailure": "Rollback"}, **blue_green(postPromotionAnalysis="accuracy"))
    gives(world, world.status["rollout"]["candidate"], 0.1)
    world.run(300)

    assert (outcome(world), weights(world)) == (("RolledBack", "QueryBeyondLimit"), [100])


def test_a_query_before_the_switch_waits_for_prometheus(world: World) -> None:
    release(world, {}, **blue_green(prePromotionAnalysis="accuracy"))
    gives(world, world.status["rollout"]["candidate"], 0.9)
    world.prometheus_up = False
    world.run(120)
    assert weights(world) == []

    world.prometheus_up = True
    world.run(300)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_as_many_polls_may_fail_as_the_limit_says(world: World) -> None:
    release(world, {"onFailure": "Rollback", "failureLimit": 100})
    gives(world, world.status["rollout"]["candidate"], 0.1)
    world.run(60)
    assert "beyond that at" in results(world)["accuracy"][1]

    world.run(200)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_one_poll_more_rolls_back_although_they_were_not_in_a_row(world: World) -> None:
    release(world, {"onFailure": "Rollback", "failureLimit": 2})
    candidate = world.status["rollout"]["candidate"]
    gives(world, candidate, 0.9)
    world.run_until(lambda: bool(weights(world)))
    for value in (0.1, 0.9) * 6:
        gives(world, candidate, value)
        world.run(5)

    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")
    assert "failureLimit is 2" in world.status["message"]


def test_polls_without_a_number_are_a_failure_beyond_their_limit(world: World) -> None:
    release(world, {"onFailure": "Rollback", "inconclusiveLimit": 4})
    world.run(20)
    assert results(world)["accuracy"][0] == "Inconclusive"

    world.run(60)
    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")
    assert "gave no number at 5 of 5 polls; inconclusiveLimit is 4" in world.status["message"]


def test_a_restarted_operator_counts_the_same_polls(world: World) -> None:
    release(world, {"failureLimit": 1000, "min": "0.95"})
    gives(world, world.status["rollout"]["candidate"], 0.9)
    world.run_until(lambda: bool(weights(world)))
    began = parse_instant(world.status["rollout"]["shifts"][0]["at"])
    world.run(20)
    world.restart()
    world.run(20)

    looked = parse_instant(world.status["analysis"]["updatedAt"])
    polls = int(results(world)["accuracy"][1].partition("beyond that at ")[2].split()[0])
    assert abs((looked - began).total_seconds() / 5 - polls) <= 1.5


TEMPLATED = {"name": "accuracy", "templateRef": {"name": "accuracy"}, "onFailure": "Rollback"}


def by_template(world: World) -> str:
    """Applies a second model that is judged by a template; the candidate's name."""
    world.kubectl_apply(**model("2", analysis={"queries": [TEMPLATED]}))
    world.run(3)
    candidate: str = world.status["rollout"]["candidate"]
    return candidate


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.9, ("Promoted", "EvidenceAcceptable")), (0.1, ("RolledBack", "QueryBeyondLimit"))],
    ids=["within its limits", "beyond them"],
)
def test_a_template_judges(value: float, expected: tuple[str, str], world: World) -> None:
    world.put_template(query=QUERY, min="0.5")
    gives(world, by_template(world), value)
    world.run(300)

    assert outcome(world) == expected


def test_without_its_template_a_rollout_gets_no_traffic_and_says_why(world: World) -> None:
    by_template(world)
    world.run(120)

    assert (weights(world), world.status["phase"]) == ([], "Held")
    assert world.condition("Reconciling") == ("True", "QueryUnusable")
    assert "spec.analysis.queries[accuracy]: there is no MetricTemplate accuracy in this" in world.status["message"]
    assert world.condition("Ready") == ("True", "StableServing")

    world.put_template(query=QUERY, min="0.5")
    gives(world, world.status["rollout"]["candidate"], 0.9)
    world.run(300)
    assert outcome(world) == ("Promoted", "EvidenceAcceptable")


def test_a_template_that_is_deleted_holds_the_rollout_and_never_promotes(world: World) -> None:
    world.put_template(query=QUERY, min="0.5")
    gives(world, by_template(world), 0.9)
    world.run_until(lambda: bool(results(world)))
    assert world.status["analysis"]["queries"][0]["template"] == "accuracy, generation 1"
    world.delete_template()
    world.run(300)

    assert (weights(world), world.status["analysis"]["reason"]) == ([10], "QueryUnusable")
    assert len(told(world, "TemplateChanged")) == 1


def test_a_template_that_is_edited_judges_as_it_is_now_and_an_event_says_so(world: World) -> None:
    world.put_template(query=QUERY, min="0.5")
    candidate = by_template(world)
    gives(world, candidate, 0.9)
    world.run_until(lambda: bool(results(world)))
    other = QUERY.replace("right", "cheap")
    world.own_series[other.replace("{{candidate}}", candidate)] = [0.1]
    world.put_template(query=other, min="0.5")
    world.run(60)

    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")
    (event,) = told(world, "TemplateChanged")
    assert "was made from MetricTemplate accuracy, generation 1: it is accuracy, generation 2 now" in event


def test_an_edit_of_a_template_begins_no_rejected_revision_anew(world: World) -> None:
    world.put_template(query=QUERY, min="0.5")
    gives(world, by_template(world), 0.1)
    world.run(120)
    assert outcome(world) == ("RolledBack", "QueryBeyondLimit")

    world.put_template(query=QUERY, min="0.05")
    world.run(120)
    assert (world.status["phase"], len(world.status["history"])) == ("RolledBack", 1)


def test_a_dry_run_without_its_template_decides_nothing(world: World) -> None:
    query = {"name": "a", "templateRef": {"name": "none"}, "dryRun": True}
    world.kubectl_apply(**model("2", analysis={"queries": [query]}))
    world.run(300)

    assert outcome(world) == ("Promoted", "EvidenceAcceptable")
