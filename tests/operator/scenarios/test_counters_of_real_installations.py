"""Counters as real installations have them: replicas, several jobs, other grids, late samples. Verdicts stay right."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.scraping import EACH, Job, ScrapedWorld
from tests.operator.world import Behaviour
from tidegate.kube.api import DEPLOYMENTS

CANARY = {"canary": {"steps": [{"weight": 50, "minDuration": "2m"}]}}
STABLE, AS_GOOD, WORSE = Behaviour(error_rate=0.02), Behaviour(error_rate=0.02), Behaviour(error_rate=0.2)
Made = Callable[..., ScrapedWorld]
Replicas = Sequence[Sequence[Job]]
ONE: Replicas = [[Job()]]
TWO_IN_TURN: Replicas = [[Job(0)], [Job(7)]]
TWO_JOBS: Replicas = [[Job(0, {"job": "pods"}), Job(4, {"job": "monitoring/tidegate"})]]
NOT_DEDUPLICATED: Replicas = [[Job(0, {"prometheus_replica": "a"}), Job(7, {"prometheus_replica": "b"})]]


@pytest.fixture
def released(spec_schema: Mapping[str, Any]) -> Made:
    """A model live for some minutes, then another beside it."""

    def make(candidate: Behaviour, *, after: float = 300, stable: Behaviour = STABLE, **how: Any) -> ScrapedWorld:
        world = ScrapedWorld(spec_schema, {"http://models/1": stable, "http://models/2": candidate})
        for name, value in how.items():
            setattr(world, name, value)
        world.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY)
        world.run(after)
        world.kubectl_apply(model={"uri": "http://models/2"}, strategy=CANARY)
        return world

    return make


def outcome(world: ScrapedWorld) -> str:
    """How the rollout ended, or why it waits."""
    history = world.status.get("history", [])
    return str(history[0]["outcome"]) if history else str(world.condition("Reconciling")[1])


def candidate_weight(world: ScrapedWorld) -> int:
    assert world.split is not None
    return world.split.weight(world.status["candidate"]["revision"])


@pytest.mark.parametrize(
    "replicas",
    [
        pytest.param(ONE, id="one Prometheus"),
        pytest.param(TWO_IN_TURN, id="two replicas that answer in turn"),
        pytest.param(TWO_JOBS, id="each pod scraped by two jobs"),
        pytest.param(NOT_DEDUPLICATED, id="two replicas in one store, not deduplicated"),
    ],
)
@pytest.mark.parametrize(
    ("candidate", "expected"),
    [pytest.param(AS_GOOD, "Promoted", id="as good"), pytest.param(WORSE, "RolledBack", id="worse")],
)
def test_whoever_scrapes_and_answers_the_verdict_is_the_same(
    replicas: Replicas, candidate: Behaviour, expected: str, released: Made
) -> None:
    world = released(candidate, replicas=replicas)
    world.run(900)

    assert outcome(world) == expected


@pytest.mark.parametrize("chance", range(6))
def test_replicas_that_answer_in_turn_count_no_counters_whole_life(chance: int, released: Made) -> None:
    bad_then = Behaviour(error_rate=0.5)
    world = released(Behaviour(error_rate=0.04), stable=bad_then, replicas=TWO_IN_TURN, chance=chance)
    world.models = {**world.models, "http://models/1": Behaviour(error_rate=0.003)}
    world.run(600)

    assert outcome(world) != "Promoted"
    assert world.status.get("analysis", {}).get("stable", {}).get("requests", 0) < 35_000


@pytest.mark.parametrize("second", [0, 3, 7, 11, 14])
def test_it_does_not_matter_at_which_second_a_release_comes(second: int, released: Made) -> None:
    world = released(AS_GOOD, after=300 + second)
    world.run(900)

    assert outcome(world) == "Promoted"


@pytest.mark.parametrize(
    ("jobs", "named"),
    [
        pytest.param(
            [Job(0, {"cluster": "a"}), Job(4, {"cluster": "b", "instance": "another"})],
            ('{cluster="a"', 'cluster="b"'),
            id="two clusters in one store",
        ),
        pytest.param(
            [Job(0, {"cluster": "a"}), Job(4, {"cluster": "b"}, share=0.5)],
            ('{cluster="a"}', '{cluster="b"}'),
            id="two clusters whose pods have the same names",
        ),
    ],
)
def test_counters_of_two_clusters_are_told_before_any_traffic(
    jobs: Sequence[Job], named: Sequence[str], released: Made
) -> None:
    world = released(AS_GOOD, replicas=[jobs])
    world.run(120)

    assert world.status["analysis"]["reason"] == "CountedTwice"
    assert all(each in world.status["analysis"]["message"] for each in named)
    assert candidate_weight(world) == 0


def test_scrapes_that_each_reach_another_process_are_told_before_any_traffic(released: Made) -> None:
    world = released(AS_GOOD, replicas=[[Job(shares=(1.0, 0.4))]])
    world.run(120)

    assert world.status["analysis"]["reason"] == "CountersWentBack"
    assert candidate_weight(world) == 0


@pytest.mark.parametrize(
    "replicas",
    [
        pytest.param(ONE, id="one Prometheus"),
        pytest.param(TWO_IN_TURN, id="two replicas that answer in turn"),
        pytest.param(TWO_JOBS, id="each pod scraped by two jobs"),
        pytest.param(NOT_DEDUPLICATED, id="two replicas in one store, not deduplicated"),
    ],
)
@pytest.mark.parametrize(
    ("candidate", "expected"),
    [pytest.param(AS_GOOD, "Promoted", id="as good"), pytest.param(WORSE, "RolledBack", id="worse")],
)
def test_a_model_that_was_deleted_and_made_anew_just_now_is_judged_like_any_other(
    replicas: Replicas, candidate: Behaviour, expected: str, spec_schema: Mapping[str, Any]
) -> None:
    world = ScrapedWorld(spec_schema, {"http://models/1": STABLE, "http://models/2": candidate})
    world.replicas, world.tells_uptime = replicas, True
    world.kubectl_apply(model={"uri": "http://models/1"}, strategy=CANARY)
    world.run(300)
    world.be_made_anew(world.status["stable"]["revision"], 60)
    world.run(40)
    world.kubectl_apply(model={"uri": "http://models/2"}, strategy=CANARY)
    world.run(600)

    assert outcome(world) == expected
    assert "CountersWentBack" not in "".join(world.transcript)


def test_replicas_that_see_different_processes_promote_nobody(released: Made) -> None:
    world = released(AS_GOOD, replicas=[[Job(0, {"instance": "router-1"})], [Job(7, {"instance": "router-2"})]])
    world.run(900)

    assert outcome(world) != "Promoted"
    assert world.status["analysis"]["reason"] == "PrometheusReplicasDiffer"


@pytest.mark.parametrize(("candidate", "expected"), [(AS_GOOD, "Promoted"), (WORSE, "RolledBack")])
def test_samples_that_come_late_give_the_same_verdict(candidate: Behaviour, expected: str, released: Made) -> None:
    world = released(candidate, lag=timedelta(seconds=20))
    world.run(900)

    assert outcome(world) == expected


@pytest.mark.parametrize("second", [0, 6, 11])
@pytest.mark.parametrize(
    ("candidate", "leaves"),
    [
        pytest.param(AS_GOOD, "stable", id="after a promotion"),
        pytest.param(WORSE, "candidate", id="after a rollback"),
    ],
)
def test_nobody_is_retired_by_samples_from_before_the_last_shift(
    candidate: Behaviour, leaves: str, second: int, released: Made
) -> None:
    lag = timedelta(seconds=40)
    world = released(candidate, after=300 + second, lag=lag)
    world.run(5)
    leaving, last_sent = world.status[leaves]["revision"], world.now
    while leaving in world.names(DEPLOYMENTS):
        world.run(1)
        if world.split and world.split.weight(leaving) > 0:
            last_sent = world.now

    # It is seen twice after the last shift, a scrape apart, each time as late as samples come.
    assert world.now - last_sent >= lag + EACH


def test_samples_that_are_too_old_are_told_before_any_traffic(released: Made) -> None:
    world = released(AS_GOOD, lag=timedelta(seconds=100))
    world.run(120)

    assert world.status["analysis"]["reason"] == "SamplesTooOld"
    assert candidate_weight(world) == 0


def test_scrapes_that_end_in_a_rollout_promote_nobody(released: Made) -> None:
    world = released(AS_GOOD)
    world.run(90)
    world.scrapes_end_at = world.now
    world.run(200)

    assert world.status["analysis"]["reason"] == "SamplesTooOld"
    world.run(600)
    assert outcome(world) != "Promoted"
