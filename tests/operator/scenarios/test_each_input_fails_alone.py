"""A source of numbers that fails takes its own metric away, and a rollback by another one doesn't wait for it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.operator.world import Behaviour, World
from tidegate.errors import MetricsUnavailable
from tidegate.metrics.observers.model_server import ServerCounters
from tidegate.metrics.provider import CounterQuery, Readings

MODELS = {
    "http://models/1": Behaviour(),
    "http://models/2": Behaviour(),
    "http://models/failing": Behaviour(error_rate=0.3),
    "http://models/slow": Behaviour(latency=0.04),
}
STEPS = {"canary": {"steps": [{"weight": 50, "minDuration": "10m"}]}}
BY_ERRORS = ("ErrorRateWorse", "ErrorRateAboveCeiling")
OWN_QUERY = {"name": "queue", "query": 'queue{revision="{{candidate}}"}', "max": 5, "onFailure": "Hold"}


class PartlyBlind(World):
    """Its Prometheus answers some queries and not others."""

    own_queries_fail = servers_fail = False
    other_bounds_of = ""
    """A revision whose servers have latency buckets of their own."""

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        if self.servers_fail and isinstance(query, ServerCounters):
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        return super().readings(query, start, step, points)

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        if self.own_queries_fail and promql.startswith("queue"):
            raise MetricsUnavailable("Prometheus at http://prometheus can't be reached")
        return [[1.0] * points] if promql.startswith("queue") else super().series(promql, start, step, points)

    def labels(self, revision: str, measure: str) -> dict[str, str]:
        found = super().labels(revision, measure)
        if revision == self.other_bounds_of and "le" in found and found["le"] != "+Inf":
            found["le"] = str(float(found["le"]) * 1.01)
        return found


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> PartlyBlind:
    """v1 is live, and a candidate has half of the traffic in a step that lasts."""
    world = PartlyBlind(spec_schema, MODELS)
    release(world, "http://models/1")
    world.run(120)
    release(world, "http://models/2")
    world.run(60)
    assert world.status["traffic"]["candidate"] == 50
    return world


def release(world: World, uri: str) -> None:
    world.kubectl_apply(model={"uri": uri}, strategy=STEPS, analysis={"queries": [OWN_QUERY]})


def turns(world: World, uri: str) -> None:
    """The candidate behaves as another model from now on."""
    world.models = {**world.models, "http://models/2": MODELS[uri]}


def rolled_back_within(world: World, seconds: int) -> str:
    """Why."""
    world.run(seconds)
    newest = world.status["history"][0]
    assert newest["outcome"] == "RolledBack"
    return str(newest["reason"])


def test_a_failing_candidate_goes_back_while_an_own_query_fails(world: PartlyBlind) -> None:
    world.own_queries_fail = True
    turns(world, "http://models/failing")
    assert rolled_back_within(world, 30) in BY_ERRORS


def test_a_failing_candidate_goes_back_while_the_servers_cannot_be_asked(world: PartlyBlind) -> None:
    world.servers_fail = True
    turns(world, "http://models/failing")
    assert rolled_back_within(world, 30) in BY_ERRORS


def test_a_failing_candidate_goes_back_after_a_restart_without_the_servers(world: PartlyBlind) -> None:
    world.servers_fail = True
    world.restart()
    turns(world, "http://models/failing")
    assert rolled_back_within(world, 60) in BY_ERRORS


def test_a_failing_candidate_with_other_latency_buckets_goes_back(world: PartlyBlind) -> None:
    world.other_bounds_of = world.status["candidate"]["revision"]
    world.run(30)
    assert world.status["analysis"]["reason"] == "HistogramsDiffer"
    turns(world, "http://models/failing")
    assert rolled_back_within(world, 30) in BY_ERRORS


def test_a_slow_candidate_goes_back_while_an_own_query_fails(world: PartlyBlind) -> None:
    world.own_queries_fail = True
    turns(world, "http://models/slow")
    assert rolled_back_within(world, 120) == "LatencyWorse"


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        pytest.param({"own_queries_fail": True}, "QueryUnusable", id="an own query"),
        pytest.param({"servers_fail": True}, "MetricsUnavailable", id="the servers' counters"),
        pytest.param({"prometheus_up": False}, "MetricsUnavailable", id="all of Prometheus"),
    ],
)
def test_what_is_missing_withholds_a_promotion_and_says_so(
    world: PartlyBlind, fails: Mapping[str, bool], reason: str
) -> None:
    vars(world).update(fails)
    world.run(1200)
    assert world.status["traffic"]["candidate"] == 50
    assert world.status["analysis"]["reason"] == reason

    vars(world).update(dict.fromkeys(fails, False), prometheus_up=True)
    world.run(300)
    assert world.status["history"][0]["outcome"] == "Promoted"


@pytest.mark.parametrize(("before", "after"), [("10s", "5s"), ("5s", "10s"), ("5s", "1m"), ("30s", "5s")])
def test_an_edit_of_the_interval_neither_blinds_nor_invents(
    spec_schema: Mapping[str, Any], before: str, after: str
) -> None:
    world = World(spec_schema, MODELS)
    for uri in ("http://models/1", "http://models/2"):
        world.kubectl_apply(model={"uri": uri}, strategy=STEPS, analysis={"interval": before})
        world.run(200)
    world.kubectl_apply(model={"uri": "http://models/2"}, strategy=STEPS, analysis={"interval": after})
    world.run(60)
    turns(world, "http://models/failing")

    assert rolled_back_within(world, 120) in BY_ERRORS
    assert world.status["history"][0]["exposure"]["requests"] <= world.rps * 60 * 8


def test_numbers_alone_are_written_twice_a_minute(world: PartlyBlind) -> None:
    before = world.status_writes
    world.run(300)

    assert world.status_writes - before <= 11
    assert world.status["analysis"]["updatedAt"]


def test_what_happens_is_written_at_once(world: PartlyBlind) -> None:
    world.run(31)
    world.prometheus_up = False
    world.run(7)
    assert world.status["analysis"]["reason"] == "MetricsUnavailable"


def spoil(world: World, **change: Any) -> None:
    """The spec as an API server hands it over whose CRD isn't the operator's."""
    assert world._deployment is not None
    before = world._deployment
    metadata = {**before["metadata"], "generation": before["metadata"]["generation"] + 1}
    world._deployment = {**before, "metadata": metadata, "spec": {**before["spec"], **change}}


def test_a_spec_that_cannot_be_read_holds_the_rollout_and_says_so(world: PartlyBlind) -> None:
    spoil(world, progressDeadline="soon", model={"uri": "http://models/1"})
    world.run(1200)

    assert world.status["traffic"]["candidate"] == 50
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert {each["observedGeneration"] for each in world.status["conditions"]} == {3}
    assert len([line for line in world.transcript if "event InvalidSpec" in line]) == 1


def test_a_failing_candidate_goes_back_while_the_spec_cannot_be_read(world: PartlyBlind) -> None:
    spoil(world, progressDeadline="soon")
    world.run(20)
    turns(world, "http://models/failing")

    assert rolled_back_within(world, 30) in BY_ERRORS
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.condition("Ready")[0] == "True"


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"progressDeadline": "soon"}, id="a deadline"),
        pytest.param({"analysis": {"deadline": "soon"}}, id="the analysis"),
        pytest.param({"progressDeadline": "soon", "model": {"uri": "http://models/3"}}, id="beside another model"),
    ],
)
def test_a_failing_candidate_goes_back_though_a_restart_forgot_the_spec_that_could_be_read(
    world: PartlyBlind, field: Mapping[str, Any]
) -> None:
    spoil(world, **field)
    world.run(20)
    world.restart()
    world.run(20)
    assert world.status["traffic"]["candidate"] == 50
    turns(world, "http://models/failing")

    assert rolled_back_within(world, 60) in BY_ERRORS
    assert world.condition("Stalled") == ("True", "InvalidSpec")


def test_fields_that_the_crd_does_not_know_have_their_defaults(world: PartlyBlind) -> None:
    assert world._deployment is not None
    analysis = world._deployment["spec"]["analysis"]
    spoil(world, analysis={name: value for name, value in analysis.items() if name not in ("dispersion", "latency")})
    world.run(30)
    assert world.condition("Stalled") == ("False", "Progressing")
    turns(world, "http://models/failing")

    assert rolled_back_within(world, 30) in BY_ERRORS
