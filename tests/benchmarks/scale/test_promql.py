"""Selectors as the operator writes them."""

import pytest

from benchmarks.scale.promql import parse
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.observers.model_server import ServerCounters


@pytest.mark.parametrize(
    ("query", "labels", "wanted"),
    [
        ('a{b="x"}[30s]', {"__name__": "a", "b": "x"}, True),
        ('a{b="x"}[30s]', {"__name__": "c", "b": "x"}, False),
        ('{b=~"x|y.*"}[30s]', {"b": "yes"}, True),
        ('{b=~"x"}[30s]', {"b": "xx"}, False),
        ('{b!="x"}[30s]', {}, True),
        ('{b!~"x|"}[30s]', {}, False),
        (r'{b="say \"x\""}[30s]', {"b": 'say "x"'}, True),
    ],
)
def test_a_series_is_selected_by_all_its_conditions(query: str, labels: dict[str, str], wanted: bool) -> None:
    found = parse(query)
    assert found is not None
    assert found.seconds == 30
    assert found.wants(labels) is wanted


def test_the_operators_own_queries_are_understood() -> None:
    routers = parse(RouterCounters("shop", "m", ["m-1", "m-2"], preview=True).promql + "[300s]")
    servers = parse(ServerCounters("shop", "m", ["m-1"]).promql + "[300s]")
    assert routers is not None
    assert routers.wants(
        {
            "__name__": "envoy_cluster_upstream_rq_xx",
            "envoy_cluster_name": "shop/m/m-2/preview",
            "envoy_response_code_class": "5",
        }
    )
    assert servers is not None
    assert servers.value_of("model_deployment") == "shop/m"


@pytest.mark.parametrize("query", ["up", "rate(a[5m])", "a{b"])
def test_anything_else_is_not(query: str) -> None:
    assert parse(query) is None
