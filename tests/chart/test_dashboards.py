"""Each panel of each dashboard asks a query that Prometheus can read, about metrics that there are."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.chart.conftest import CHART, Manifest
from tests.conftest import Scraped
from tests.operator.exported import families, series_names

FOLDER = CHART / "monitoring" / "dashboards"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
ENVOY = Path(__file__).parents[1] / "router" / "golden" / "metrics.txt"
SERVER = Path(__file__).parents[2] / "docs" / "server-metrics.md"
VARIABLE = re.compile(r"\$(\w+)")
INTERVALS = {"__rate_interval": "1m", "__range": "1h"}
each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each panel's title and query, with something in the place of Grafana's variables."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], VARIABLE.sub(lambda found: INTERVALS.get(found[1], "x"), target["expr"])


def known() -> set[str]:
    """The names of all series of the operator, the routers and the model servers."""
    of_servers = set(re.findall(r"`(tidegate_server_\w+)`", SERVER.read_text()))
    buckets = {f"{name}_bucket" for name in of_servers}
    return {*series_names(families()), *ENVOY.read_text().split(), *of_servers, *buckets}


def selected(node: Any) -> Iterator[str]:
    """The names of the series that a query reads, from Prometheus' own tree of it."""
    if isinstance(node, list):
        for each in node:
            yield from selected(each)
    if isinstance(node, dict):
        if node.get("type") == "vectorSelector":
            yield node["name"]
        for each in node.values():
            yield from selected(each)


@pytest.mark.prometheus
@each_dashboard
def test_each_query_can_be_read_and_is_about_metrics_that_there_are(name: str, prometheus_server: Scraped) -> None:
    names, wrong = known(), []
    for title, query in queries(DASHBOARDS[name]):
        answer = requests.get(f"{prometheus_server.url}/api/v1/parse_query", {"query": query}, timeout=10).json()
        if answer["status"] != "success":
            wrong.append((title, answer["error"]))
        else:
            wrong += [(title, metric) for metric in selected(answer["data"]) if metric not in names]

    assert wrong == []


@each_dashboard
def test_variables_list_the_values_of_labels_of_metrics_that_there_are(name: str) -> None:
    variables = [each for each in DASHBOARDS[name]["templating"]["list"] if each["type"] == "query"]
    listed = [re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, \w+\)", each["query"]["query"]) for each in variables]

    assert variables
    assert [found and found[1] for found in listed if not found or found[1] not in known()] == []


@each_dashboard
def test_each_variable_that_a_query_names_is_there(name: str) -> None:
    dashboard = DASHBOARDS[name]
    named = {found for panel in dashboard["panels"] for found in VARIABLE.findall(json.dumps(panel.get("targets", ())))}
    there = {each["name"] for each in dashboard["templating"]["list"]}

    assert named - there <= {*INTERVALS, "1"}  # the last is a group of label_replace


@each_dashboard
def test_panels_have_places_and_numbers_of_their_own(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_dashboards_are_known_by_names_of_their_own() -> None:
    assert {name: each["uid"] for name, each in DASHBOARDS.items()} == {
        name: f"tidegate-{name}" for name in ("fleet", "model-servers", "rollout", "router")
    }


@pytest.mark.helm
def test_each_dashboard_is_in_a_config_map_that_grafanas_sidecar_finds(render: Callable[..., list[Manifest]]) -> None:
    flags = ("--set", "grafana.dashboards.enabled=true,grafana.dashboards.namespace=monitoring")
    maps = [each for each in render(*flags) if each["kind"] == "ConfigMap"]

    assert {each["metadata"]["name"] for each in maps} == {f"tidegate-dashboard-{name}" for name in DASHBOARDS}
    assert {each["metadata"]["namespace"] for each in maps} == {"monitoring"}
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)
    assert {name: json.loads(text) for each in maps for name, text in each["data"].items()} == {
        f"tidegate-{name}.json": each for name, each in DASHBOARDS.items()
    }
