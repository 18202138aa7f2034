"""The names by which a Gateway's Envoys count a revision's requests, as Contour 1.33.8 with Envoy 1.40.0 gives them."""

import pytest

from tests.operator.world import selects
from tidegate.metrics.increments import FAILED, REQUESTS, Process, SeriesKey
from tidegate.metrics.observers.gateway_envoys import _query
from tidegate.metrics.provider import Selection

ENVOY = {"namespace": "projectcontour", "pod": "envoy-1", "instance": "10.0.0.7:8002"}
COMPLETED, BY_CLASS = "envoy_cluster_upstream_rq_completed", "envoy_cluster_upstream_rq_xx"


def series(cluster: str, name: str = COMPLETED, **more: str) -> dict[str, str]:
    return {"__name__": name, "envoy_cluster_name": cluster, **ENVOY, **more}


def key(measure: str, of: str = "") -> SeriesKey:
    return SeriesKey(Process("projectcontour", "envoy-1", "10.0.0.7:8002"), "digits-6f9c1d2e", measure, of)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(series("shop_digits-6f9c1d2e_8080"), key(REQUESTS), id="requests"),
        pytest.param(
            series("shop_digits-6f9c1d2e_8080", BY_CLASS, envoy_response_code_class="5"), key(FAILED), id="failures"
        ),
        pytest.param(series("shop_digits-6f9c1d2e_8081"), key(REQUESTS, "/grpc"), id="calls by gRPC"),
        pytest.param(
            series("shop_digits-6f9c1d2e_8081", "envoy_cluster_grpc_13"), key(FAILED, "13/grpc"), id="calls that failed"
        ),
    ],
)
@pytest.mark.parametrize("revisions", [("digits-6f9c1d2e",), None], ids=["of one revision", "of all"])
def test_what_contour_counts_is_read(
    labels: dict[str, str], expected: SeriesKey, revisions: tuple[str, ...] | None
) -> None:
    query = _query(Selection("shop", "digits", revisions))

    assert selects(query.promql, labels)
    assert query.key(labels) == expected


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(series("shop_digits-v2-6f9c1d2e_8080"), id="another model whose name begins alike"),
        pytest.param(series("bank_digits-6f9c1d2e_8080"), id="another namespace's"),
        pytest.param(series("shop_digits-6f9c1d2e_8082"), id="another port"),
        pytest.param(series("shop_digits-6f9c1d2e_8080", BY_CLASS, envoy_response_code_class="2"), id="no failure"),
        pytest.param(series("httproute/shop/digits/rule/0"), id="Envoy Gateway's, of a whole rule"),
    ],
)
def test_what_is_not_asked_for_is_not_read(labels: dict[str, str]) -> None:
    assert not selects(_query(Selection("shop", "digits")).promql, labels)
