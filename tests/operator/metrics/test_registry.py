"""A source is a module and a row: what a row has to provide, and that nothing else knows what a series is called."""

import ast
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import tidegate
from tests.operator.metrics.test_accumulate import START, STEP, counted, pod
from tidegate.metrics.increments import Sample
from tidegate.metrics.provider import Readings, Selection, Signal, Sources
from tidegate.metrics.registry import DETAILS, TRAFFIC, SourceRegistry
from tidegate.model.evidence import MetricsGap

SOURCE = Path(tidegate.__file__).parent
KNOWS = ("metrics/observers", "metrics/providers", "rehearsal/")
SERIES = re.compile(r'envoy_cluster_|tidegate_server_|__name__|\{[^{}]*=~"|timestamp\(')
CRD = Path(__file__).parents[3] / "crds" / "modeldeployments.yaml"


class Nobody:
    """A provider that is never asked."""

    def readings(self, *_: object) -> Any:
        raise AssertionError("nobody asks")

    series = readings


class Fixed:
    """A source that counts always the same."""

    name = "fixed"
    provides = frozenset({Signal.LATENCY})
    reads_arms_apart = False

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def readings(self, wanted: Selection, start: datetime, step: timedelta, points: int) -> Readings:
        return Readings([self._sample] * points)

    def gap(self, namespace: str, name: str) -> MetricsGap:
        return MetricsGap("NoSeries", f"{namespace}/{name}")


def enum_of(section: str, field: str) -> list[str]:
    crd = yaml.safe_load(CRD.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    values: list[str] = spec["properties"][section]["properties"][field]["enum"]
    return values


def test_there_is_a_row_for_each_value_of_the_crd_and_no_other() -> None:
    requests_from = enum_of("analysis", "requestsFrom")
    assert set(TRAFFIC) == {*enum_of("traffic", "router"), *requests_from} - {"Router"}


@pytest.mark.parametrize("value", TRAFFIC)
def test_a_source_of_traffic_counts_requests_and_failures(value: str) -> None:
    assert TRAFFIC[value](Nobody()).provides >= {Signal.REQUESTS, Signal.FAILURES}


def test_every_other_signal_has_somebody_who_tells_it() -> None:
    provided = frozenset[Signal]().union(*(make(Nobody()).provides for make in DETAILS))
    assert provided >= {Signal.LATENCY, Signal.PREDICTIONS, Signal.PODS}


@pytest.mark.parametrize(
    ("requests_from", "name", "gap"),
    [
        pytest.param(
            "Router",
            "routers",
            MetricsGap(
                "NoRouterSeries",
                "Prometheus has no counters of the routers for shop/digits; "
                "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
            ),
            id="the routers",
        ),
        pytest.param(
            "Servers",
            "model servers",
            MetricsGap(
                "NoServerSeries",
                "Prometheus has no counters of the model servers of shop/digits; "
                "check that it scrapes their pods (port 8082, /metrics)",
            ),
            id="the model servers",
        ),
    ],
)
def test_the_user_chooses_who_counts_requests(requests_from: str, name: str, gap: MetricsGap) -> None:
    traffic = SourceRegistry(Nobody()).sources("Builtin", requests_from).traffic
    assert (traffic.name, traffic.gap("shop", "digits")) == (name, gap)


def test_details_come_from_all_who_tell_some() -> None:
    one, other = counted(pod("a", 1, 3, 4), START), counted(pod("b", 2, 5, 6), START)
    sources = Sources(Fixed({}), (Fixed(one), Fixed(other)))
    wanted = Selection("shop", "digits")

    assert sources.detail_readings(wanted, START, STEP, 2) == Readings([{**one, **other}] * 2)
    assert Sources(Fixed({}), ()).detail_readings(wanted, START, STEP, 2) == Readings([{}, {}])


def texts(module: Path) -> Iterator[str]:
    """Every string in a module that isn't a docstring, f-strings' literal parts included."""
    tree = ast.parse(module.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_only_sources_know_what_series_are_called_and_how_they_are_selected() -> None:
    modules = {module.relative_to(SOURCE).as_posix(): module for module in sorted(SOURCE.rglob("*.py"))}
    knowing = {name for name, module in modules.items() if any(SERIES.search(text) for text in texts(module))}

    assert "metrics/observers/envoy.py" in knowing
    assert {name for name in knowing if not name.startswith(KNOWS)} == set()


@pytest.mark.parametrize(("requests_from", "points"), [("Router", 0), ("Servers", 3)])
def test_servers_count_each_arm_at_a_time_of_its_own_and_a_router_both_at_once(requests_from: str, points: int) -> None:
    assert SourceRegistry(Nobody()).sources("Builtin", requests_from).points_apart(3) == points
