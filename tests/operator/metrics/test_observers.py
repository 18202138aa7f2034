"""Routers and model servers each count requests in their own way; a real Prometheus is asked for both."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.operator.metrics.test_prometheus import answered, completed, metrics, scrape, turned_away  # noqa: F401
from tidegate.metrics.increments import counter_increases, counts_of
from tidegate.metrics.inputs import features_of
from tidegate.metrics.provider import Selection
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.registry import SourceRegistry
from tidegate.model.evidence import CellCounts
from tidegate.model.inputs import Values
from tidegate.model.traffic import Arms

pytestmark = pytest.mark.prometheus


def router(name: str, revision: str, code: int, requests: int) -> str:
    if code == 429:
        return turned_away(name, revision, code, requests)
    return answered(name, revision, code // 100, requests)


def server(name: str, revision: str, code: int, requests: int) -> str:
    labels = f'model_deployment="shop/{name}",revision="{revision}",code="{code}"'
    return f"tidegate_server_requests_total{{{labels}}} {requests}\n"


def everything(name: str, revision: str, requests: int, says: Callable[[str, str, int, int], str]) -> str:
    """The line that a router has beside those by code; a server has none."""
    return completed(name, revision, requests) if says is router else ""


@pytest.mark.parametrize(
    ("requests_from", "said"),
    [
        pytest.param("Router", router, id="the routers, by cluster"),
        pytest.param("Servers", server, id="the servers themselves"),
    ],
)
def test_requests_and_failures_are_told_apart_by_revision(
    requests_from: str,
    said: Callable[[str, str, int, int], str],
    metrics: PrometheusMetrics,  # noqa: F811
    scrape: Callable[..., datetime],  # noqa: F811
) -> None:
    name = f"by-{requests_from}"
    since = scrape(
        *(everything(name, revision, requests, said) for revision, requests in (("digits-a", 100), ("digits-b", 10))),
        said(name, "digits-a", 200, 100),
        said(name, "digits-a", 503, 0),
        said(name, "digits-b", 200, 10),
    )
    end = scrape(
        *(everything(name, revision, requests, said) for revision, requests in (("digits-a", 191), ("digits-b", 21))),
        everything(name, "digits-c", 50, said),
        said(name, "digits-a", 200, 190),
        said(name, "digits-a", 503, 1),
        said(name, "digits-b", 200, 18),
        said(name, "digits-b", 429, 2),
        said(name, "digits-b", 404, 1),
        said(name, "digits-c", 200, 50),
    )
    source = SourceRegistry(metrics).sources("Builtin", requests_from).traffic
    before, after = source.readings(Selection("shop", name, ("digits-a", "digits-b")), since, end - since, 2).samples
    gained = counter_increases(before, after)

    seen = {revision: counts_of(revision, gained) for revision in ("digits-a", "digits-b", "digits-c")}
    assert {revision: (counts.requests, counts.failed) for revision, counts in seen.items()} == {
        "digits-a": (91, 1),
        "digits-b": (11, 2),
        "digits-c": (0, 0),
    }


@pytest.mark.parametrize("slices", [pytest.param(True, id="wanted"), pytest.param(False, id="not wanted")])
def test_groups_of_requests_are_told_where_they_are_wanted(
    slices: bool,
    metrics: PrometheusMetrics,  # noqa: F811
    scrape: Callable[..., datetime],  # noqa: F811
) -> None:
    name, cell = f"sliced-{slices}", "slice_5ac0ffee_1_0"

    def told(counter: str, label: str, requests: int) -> str:
        labels = f'envoy_cluster_name="shop/{name}/digits-a"{label}'
        return f"envoy_cluster_{cell}_upstream_rq{counter}{{{labels}}} {requests}\n"

    since = scrape(completed(name, "digits-a", 100), told("_completed", "", 7))
    end = scrape(
        completed(name, "digits-a", 140),
        told("_completed", "", 17),
        told("_xx", ',envoy_response_code_class="2"', 14),
        told("_xx", ',envoy_response_code_class="5"', 2),
        told("", ',envoy_response_code="429"', 1),
        told("", ',envoy_response_code="503"', 2),
    )
    source = SourceRegistry(metrics).sources("Builtin", "Router").traffic
    before, after = source.readings(Selection("shop", name, slices=slices), since, end - since, 2).samples
    gained = counts_of("digits-a", counter_increases(before, after))

    assert gained.requests == 40
    assert gained.cells == ({cell: CellCounts(10, 3)} if slices else {})


def test_live_inputs_are_told_beside_those_of_the_training(
    metrics: PrometheusMetrics,  # noqa: F811
    scrape: Callable[..., datetime],  # noqa: F811
) -> None:
    def values(kind: str, bin_name: str, count: int, revision: str = "digits-b", more: str = "") -> str:
        labels = f'model_deployment="shop/inputs",revision="{revision}",feature="age",bin="{bin_name}"{more}'
        return f"tidegate_server_input_{kind}{{{labels}}} {count}\n"

    until = scrape(
        values("values_total", "18..40", 3),
        values("values_total", "above 40", 2),
        values("values_total", "18..40", 100, more=',traffic="preview"'),
        values("values_total", "18..40", 7, more=',traffic="direct"'),
        values("values_total", "18..40", 1000, revision="digits-a"),
        values("training_values", "18..40", 500),
        values("training_values", "above 40", 0),
    )
    sources = SourceRegistry(metrics).sources("Builtin", "Router")
    arms = Arms("shop", "inputs", "digits-a", "digits-b")
    found = features_of(sources, arms, until, timedelta(seconds=15))

    assert found == {"age": {"18..40": Values(3, 500), "above 40": Values(2, 0)}}
