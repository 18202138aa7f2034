"""What the model servers say is evidence only as far as it is live traffic."""

import re

import pytest

from tidegate.metrics.observers.model_server import PodCounters, PredictionCounters, ServerCounters, ServerRequests

QUERIES = {
    "latency, predictions and pods": ServerCounters("shop", "digits", ("digits-a", "digits-b")).promql,
    "failures and latency of pods": PodCounters("shop", "digits", ("digits-a",), ("0.005",)).promql,
    "predictions": PredictionCounters("shop", "digits", ("digits-a",)).promql,
    "requestsFrom Servers": ServerRequests("shop", "digits", None).promql,
}


@pytest.mark.parametrize("promql", QUERIES.values(), ids=QUERIES)
def test_previews_and_direct_calls_are_no_evidence(promql: str) -> None:
    matchers = re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', promql)

    assert ("traffic", "=", "") in matchers
