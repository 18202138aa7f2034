"""Routers and model servers each count requests in their own way; a real Prometheus is asked for both."""

from collections.abc import Callable
from datetime import datetime

import pytest

from tests.operator.metrics.test_prometheus import answered, completed, metrics, scrape, turned_away  # noqa: F401
from tidegate.metrics.increments import counter_increases, counts_of
from tidegate.metrics.provider import Selection
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.registry import SourceRegistry

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
