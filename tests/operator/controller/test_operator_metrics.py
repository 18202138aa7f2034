"""The operator's own metrics follow its decisions."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.operator.world import SETTINGS, Behaviour, World
from tidegate.controller.judging import RolloutJudge
from tidegate.controller.operator_metrics import OperatorMetrics
from tidegate.controller.reconciler import Reconciler
from tidegate.metrics.collector import MetricsCollector

WHERE = {"model_namespace": "shop", "model_deployment": "digits"}


@pytest.fixture
def world(spec_schema: Mapping[str, Any]) -> World:
    world = World(spec_schema, {"http://models/1": Behaviour(), "http://models/2": Behaviour()})
    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(20)
    return world


def samples_of(world: World, operator_metrics: OperatorMetrics) -> dict[tuple[str, ...], float]:
    """After one more reconcile, every sample: name and the labels beyond the object's → value."""
    Reconciler(world, RolloutJudge(MetricsCollector(world)), SETTINGS, operator_metrics.observe_decision).reconcile(
        "shop", "digits", world.now
    )
    return {
        (sample.name, *(value for name, value in sample.labels.items() if name not in WHERE)): sample.value
        for metric in operator_metrics.registry.collect()
        for sample in metric.samples
        if WHERE.items() <= sample.labels.items()
    }


def test_without_a_rollout_there_is_one_weight_and_no_evidence(world: World) -> None:
    stable = world.status["stable"]["revision"]

    assert samples_of(world, OperatorMetrics()) == {
        ("tidegate_traffic_weight", stable): 100.0,
        ("tidegate_rollout_step",): 0.0,
    }


def test_a_rollout_shows_its_weights_its_step_and_its_evidence_and_leaves_nothing_behind(world: World) -> None:
    operator_metrics, stable = OperatorMetrics(), world.status["stable"]["revision"]
    world.kubectl_apply(model={"uri": "http://models/2"}, paused=False)
    world.run(14)
    candidate = world.status["rollout"]["candidate"]
    shown = samples_of(world, operator_metrics)

    assert shown["tidegate_traffic_weight", stable] == 95
    assert shown["tidegate_traffic_weight", candidate] == 5
    assert shown["tidegate_rollout_step",] == 1
    metrics = {key[1:] for key in shown if key[0] == "tidegate_evidence"}
    assert metrics == {
        (metric, direction)
        for metric in ("errors", "latency", "ceiling", "predictions", "all")
        for direction in ("worse", "acceptable")
    }

    world.kubectl_apply(model={"uri": "http://models/1"})
    world.run(30)
    assert samples_of(world, operator_metrics) == {
        ("tidegate_traffic_weight", stable): 100.0,
        ("tidegate_rollout_step",): 0.0,
    }


def test_the_age_of_an_informers_last_event_is_told_at_each_scrape() -> None:
    operator_metrics, ages = OperatorMetrics(), iter([3.0, 61.5])
    operator_metrics.export_age("Pod", "", lambda: next(ages))
    labels = {"kind": "Pod", "model_namespace": ""}

    for age in (3.0, 61.5):
        found = operator_metrics.registry.get_sample_value("tidegate_informer_last_event_age_seconds", labels)
        assert found == age
