"""The operator's own metrics follow its decisions, and what ModelDeployments' statuses say."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.operator.exported import families
from tests.operator.world import SETTINGS, Behaviour, World
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.operator_metrics import OperatorMetrics
from tidegate.controller.reconciler import Reconciler
from tidegate.metrics.collector import MetricsCollector

DOCUMENT = Path(__file__).parents[3] / "docs" / "observability.md"
WHERE = {"model_namespace": "shop", "model_deployment": "digits"}
Samples = dict[tuple[str, ...], float]


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(20)
    return world


class Leader:
    """Leads in this term, or not at all."""

    term: int | None = 1

    def leads(self) -> bool:
        return self.term is not None


@pytest.fixture
def leader() -> Leader:
    return Leader()


@pytest.fixture
def operator_metrics(world: World, leader: Leader) -> OperatorMetrics:
    """Those of an operator that follows the world."""
    made = OperatorMetrics()
    made.rollouts.follow(
        lambda: [each for each in [world.model_deployment("shop", "digits")] if each], leader.leads, world.steady
    )
    made.evidence.follow(lambda: leader.term)
    return made


def samples(operator_metrics: OperatorMetrics) -> Samples:
    """Every sample of the object: name and the labels beyond the object's → value."""
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name not in WHERE)): sample.value
        for metric in operator_metrics.registry.collect()
        for sample in metric.samples
        if WHERE.items() <= sample.labels.items()
    }


def after_a_look(world: World, operator_metrics: OperatorMetrics) -> Samples:
    """The samples after one more reconcile."""
    judge, evidence = RolloutJudge(MetricsCollector(world)), operator_metrics.evidence
    Reconciler(world, judge, SETTINGS, evidence.observe_decision).reconcile("shop", "digits", world.now)
    return samples(operator_metrics)


def test_without_a_rollout_it_is_told_what_is_live(world: World, operator_metrics: OperatorMetrics) -> None:
    stable = world.status["stable"]["revision"]

    assert after_a_look(world, operator_metrics) == {
        ("tidegate_model_deployment_info", "Live", "True", stable): 1.0,
        ("tidegate_traffic_weight", stable): 100.0,
    }


def test_own_queries_tell_their_state_and_their_value(world: World, operator_metrics: OperatorMetrics) -> None:
    query = {"name": "accuracy", "query": "right{{candidate}}", "min": "0.5", "dryRun": True}
    world.kubectl_apply(model={"uri": "http://models/2"}, paused=False, analysis={"queries": [query]})
    world.run(3)
    world.own_series["right" + world.status["rollout"]["candidate"]] = [0.1]
    world.run(20)

    shown = after_a_look(world, operator_metrics)
    assert {key: value for key, value in shown.items() if key[0].startswith("tidegate_rollout_query")} == {
        ("tidegate_rollout_query_state", "accuracy", "Failed", "true"): 1.0,
        ("tidegate_rollout_query_value", "accuracy"): 0.1,
    }


def test_a_rollout_shows_where_it_stands_and_leaves_nothing_behind(
    world: World, operator_metrics: OperatorMetrics
) -> None:
    stable = world.status["stable"]["revision"]
    world.kubectl_apply(model={"uri": "http://models/2"}, paused=False)
    world.run(14)
    candidate, rollout = world.status["rollout"]["candidate"], world.status["rollout"]
    shown = after_a_look(world, operator_metrics)

    assert shown["tidegate_traffic_weight", stable] == 95
    assert shown["tidegate_traffic_weight", candidate] == 5
    assert shown["tidegate_rollout_step",] == 1
    assert shown["tidegate_rollout_started_timestamp_seconds",] <= world.now.timestamp() - 10
    assert shown["tidegate_rollout_step_started_timestamp_seconds",] <= world.now.timestamp()
    assert shown["tidegate_rollout_exposed_requests",] >= 0
    assert shown["tidegate_rollout_exposed_failures",] == 0
    assert [key for key in shown if key[0] == "tidegate_rollout_verdict"] == [
        ("tidegate_rollout_verdict", world.status["analysis"]["verdict"], world.status["analysis"]["reason"])
    ]
    assert [key for key in shown if key[0].startswith("tidegate_rollout_query")] == []
    assert rollout["step"] == 1
    metrics = {key[1:] for key in shown if key[0] == "tidegate_evidence"}
    assert metrics == {
        (metric, direction)
        for metric in ("errors", "latency", "ceiling", "predictions", "all")
        for direction in ("worse", "acceptable")
    }

    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(30)
    ended = after_a_look(world, operator_metrics)
    assert ended.pop(("tidegate_rollout_finished_timestamp_seconds", "Aborted", "SpecReturnedToStable")) > 0
    assert ended == {
        ("tidegate_model_deployment_info", "Live", "True", stable): 1.0,
        ("tidegate_traffic_weight", stable): 100.0,
    }


def test_of_a_model_deployment_that_is_gone_nothing_is_left(world: World, operator_metrics: OperatorMetrics) -> None:
    world.kubectl_apply(model={"uri": "http://models/2"})
    world.run(14)
    assert after_a_look(world, operator_metrics)
    world._deployment = None
    operator_metrics.evidence.forget("shop", "digits")

    assert samples(operator_metrics) == {}


def test_who_does_not_lead_tells_of_no_object(world: World, operator_metrics: OperatorMetrics, leader: Leader) -> None:
    world.kubectl_apply(model={"uri": "http://models/2"})
    world.run(14)
    assert after_a_look(world, operator_metrics)
    leader.term = None

    assert samples(operator_metrics) == {}
    assert after_a_look(world, operator_metrics) == {}


def test_evidence_from_before_another_led_is_not_shown_again(
    world: World, operator_metrics: OperatorMetrics, leader: Leader
) -> None:
    world.kubectl_apply(model={"uri": "http://models/2"})
    world.run(14)
    assert "tidegate_evidence" in names(after_a_look(world, operator_metrics))
    leader.term = 3

    assert names(samples(operator_metrics)).isdisjoint({"tidegate_evidence", "tidegate_rollout_exposed_requests"})
    assert "tidegate_evidence" in names(after_a_look(world, operator_metrics))


def test_each_metric_is_written_down_with_its_kind_and_its_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    written = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    exported = {
        f"{each.name}{'_total' if each.type == 'counter' else ''}": each
        for each in families()
        if not each.name.startswith("process_")
    }

    assert {name: kind for name, (kind, _) in written.items()} == {name: each.type for name, each in exported.items()}
    wrong = [
        (name, labels)
        for name, (_, labels) in written.items()
        for sample in exported[name].samples
        if sample.labels.keys() - {*WHERE, "name", "controller", "le"} != labels - {"name"}
    ]
    assert wrong == []


def names(found: Samples) -> set[str]:
    return {key[0] for key in found}


def test_the_age_of_an_informers_last_event_is_told_at_each_scrape() -> None:
    operator_metrics, ages = OperatorMetrics(), iter([3.0, 61.5])
    operator_metrics.export_age("Pod", "", lambda: next(ages))
    labels = {"kind": "Pod", "model_namespace": ""}

    for age in (3.0, 61.5):
        found = operator_metrics.registry.get_sample_value("tidegate_informer_last_event_age_seconds", labels)
        assert found == age
