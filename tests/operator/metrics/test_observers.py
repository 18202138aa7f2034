"""Each kind of router counts requests by revision in its own way; a real Prometheus is asked for all of them."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.operator.metrics.test_prometheus import metrics, scrape  # noqa: F401 - fixtures
from tidegate.metrics.increments import counter_increases, counts_of
from tidegate.metrics.observers import BY_ROUTER, ServerRequests, counters_for
from tidegate.metrics.providers.prometheus import PrometheusMetrics

pytestmark = pytest.mark.prometheus
SECOND = timedelta(seconds=1)


def istio(revision: str, code: int, requests: int, reporter: str = "source") -> str:
    return (
        f'istio_requests_total{{reporter="{reporter}",destination_service_namespace="shop",'
        f'destination_service_name="{revision}",response_code="{code}"}} {requests}\n'
    )


def contour(revision: str, code: int, requests: int) -> str:
    cluster = f"shop_{revision}_8080"
    return f'envoy_cluster_upstream_rq{{envoy_cluster_name="{cluster}",envoy_response_code="{code}"}} {requests}\n'


def server(revision: str, code: int, requests: int) -> str:
    labels = f'model_deployment="shop/digits",revision="{revision}",code="{code}"'
    return f"tidegate_server_requests_total{{{labels}}} {requests}\n"


@pytest.mark.parametrize(
    ("router", "said"),
    [
        pytest.param("Istio", istio, id="a mesh, by destination"),
        pytest.param("Contour", contour, id="Contour, by cluster"),
        pytest.param("EnvoyGateway", server, id="a gateway that can't tell, by the servers themselves"),
    ],
)
def test_requests_and_failures_are_told_apart_by_revision(
    router: str,
    said: Callable[[str, int, int], str],
    metrics: PrometheusMetrics,  # noqa: F811
    scrape: Callable[..., datetime],  # noqa: F811
) -> None:
    since = scrape(said("digits-a", 200, 100), said("digits-a", 503, 0), said("digits-b", 200, 10))
    end = scrape(
        said("digits-a", 200, 190),
        said("digits-a", 503, 1),
        said("digits-b", 200, 18),
        said("digits-b", 429, 2),
        said("digits-b", 404, 1),
        said("digits-c", 200, 50),
    )
    query = BY_ROUTER[router]("shop", "digits", ("digits-a", "digits-b"))
    before, after = metrics.samples(query, since, end - since, 2)
    gained = counter_increases(before, after)

    seen = {revision: counts_of(revision, gained) for revision in ("digits-a", "digits-b", "digits-c")}
    assert {revision: (counts.requests, counts.failed) for revision, counts in seen.items()} == {
        "digits-a": (91, 1),
        "digits-b": (11, 2),
        "digits-c": (0, 0),
    }


def test_the_side_that_was_asked_is_not_counted_again(
    metrics: PrometheusMetrics,  # noqa: F811
    scrape: Callable[..., datetime],  # noqa: F811
) -> None:
    at = scrape(istio("digits-a", 200, 7), istio("digits-a", 200, 7, reporter="destination"))
    (sample,) = metrics.samples(BY_ROUTER["Istio"]("shop", "digits", ("digits-a",)), at, SECOND, 1)
    assert list(sample.values()) == [7.0]


def test_servers_count_where_the_user_says_so() -> None:
    assert counters_for("Builtin", "Servers") is ServerRequests
    assert counters_for("Builtin", "Router") is BY_ROUTER["Builtin"]
