"""The queue's metrics have the names and labels that controller-runtime gives them."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from tests.conftest import until
from tidegate.controller.queue_metrics import QueueMetrics
from tidegate.controller.workqueue import Result, WorkQueue

OF_QUEUE = {"name": "modeldeployment", "controller": "modeldeployment"}
OF_CONTROLLER = {"controller": "modeldeployment"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_pass_is_counted_under_controller_runtimes_names(registry: CollectorRegistry) -> None:
    metrics = QueueMetrics(registry)
    for result in Result:
        metrics.added()
        metrics.began(urgent=True, late=0.02)
        metrics.ended(result, 0.3)
    value = registry.get_sample_value

    def passes(result: str) -> float | None:
        return value("controller_runtime_reconcile_total", {**OF_CONTROLLER, "result": result})

    assert [passes(each) for each in ("success", "requeue_after", "requeue", "error", "panic")] == [1, 1, 1, 2, None]
    assert value("controller_runtime_reconcile_errors_total", OF_CONTROLLER) == 2
    assert value("controller_runtime_reconcile_panics_total", OF_CONTROLLER) == 1
    assert value("controller_runtime_reconcile_time_seconds_bucket", {**OF_CONTROLLER, "le": "0.3"}) == 5
    assert value("workqueue_adds_total", OF_QUEUE) == 5
    assert value("workqueue_retries_total", OF_QUEUE) == 3
    assert value("workqueue_queue_duration_seconds_count", OF_QUEUE) == 5
    assert value("workqueue_work_duration_seconds_count", OF_QUEUE) == 5
    assert value("tidegate_look_lateness_seconds_count", {"rollout": "true"}) == 5


def test_it_is_told_how_long_ago_anything_was_looked_at(registry: CollectorRegistry) -> None:
    metrics = QueueMetrics(registry)
    metrics.follow(WorkQueue(lambda *_: None, workers=1, may_work=lambda: True), lambda: True)
    assert registry.get_sample_value("tidegate_last_look_age_seconds") is None

    metrics.ended(Result.SUCCESS, 0.1)
    age = registry.get_sample_value("tidegate_last_look_age_seconds")
    assert age is not None
    assert 0 <= age < 5


def test_what_the_queue_is_like_is_read_at_each_scrape(registry: CollectorRegistry) -> None:
    metrics = QueueMetrics(registry)
    queue = WorkQueue(lambda *_: None, workers=3, may_work=lambda: False, urgent=lambda _, name: name == "rollout")
    metrics.follow(queue, lambda: True)
    for name in ("one", "two", "rollout"):
        queue.enqueue("shop", name)
    queue.enqueue("shop", "later", after=timedelta(minutes=1).total_seconds())
    value = registry.get_sample_value

    until(lambda: value("workqueue_depth", {**OF_QUEUE, "priority": "0"}) == 2)
    assert value("workqueue_depth", {**OF_QUEUE, "priority": "100"}) == 1
    assert value("workqueue_unfinished_work_seconds", OF_QUEUE) == 0
    assert value("workqueue_longest_running_processor_seconds", OF_QUEUE) == 0
    assert value("controller_runtime_active_workers", OF_CONTROLLER) == 0
    assert value("controller_runtime_max_concurrent_reconciles", OF_CONTROLLER) == 3


def test_of_one_who_does_not_lead_nothing_is_due(registry: CollectorRegistry) -> None:
    metrics = QueueMetrics(registry)
    queue = WorkQueue(lambda *_: None, workers=3, may_work=lambda: False)
    metrics.follow(queue, lambda: False)
    queue.enqueue("shop", "digits", after=-60.0)

    assert registry.get_sample_value("workqueue_depth", {**OF_QUEUE, "priority": "0"}) == 0
