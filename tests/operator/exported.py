"""The names of what the operator exports, from its own registry."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from tidegate.controller.operator_metrics import OperatorMetrics
from tidegate.controller.workqueue import Result, WorkQueue

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def families() -> list[Metric]:
    """Every metric of an operator that leads."""
    made = OperatorMetrics()
    made.client.follow("10.0.0.1:443", "tidegate-operator", lambda: True, dict)
    made.queue.follow(WorkQueue(lambda *_: None, workers=1, may_work=lambda: True), lambda: True)
    made.queue.ended(Result.SUCCESS, 0.1)
    made.rollouts.follow(list, lambda: True, lambda: 0.0)
    made.evidence.follow(lambda: 1)
    return list(made.registry.collect())


def series_names(exported: list[Metric]) -> Iterator[str]:
    """As they are asked for in PromQL."""
    for family in exported:
        yield from (f"{family.name}{suffix}" for suffix in SUFFIXES.get(family.type, ("",)))
