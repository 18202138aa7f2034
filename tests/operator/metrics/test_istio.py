"""The names by which Istio's proxies count a revision's requests, as its documentation has them."""

from typing import Any

import pytest

from tests.operator.world import selects
from tidegate.metrics.increments import ANSWERED, Process, SeriesKey, counts_of
from tidegate.metrics.observers.istio import _query
from tidegate.metrics.provider import Selection

CANDIDATE = "digits-6f9c1d2e"
PROXY = {"namespace": "edge", "pod": "public-istio-1", "instance": "10.0.0.7:15090"}


def series(**more: str) -> dict[str, str]:
    labels = {
        "__name__": "istio_requests_total",
        "reporter": "source",
        "destination_service_namespace": "shop",
        "destination_service_name": CANDIDATE,
        "response_code": "200",
        "request_protocol": "http",
        **PROXY,
    }
    return {**labels, **more}


def counted(*found: dict[str, str]) -> Any:
    """Ten requests of each series."""
    query = _query(Selection("shop", "digits", (CANDIDATE,)))
    keys = [query.key(labels) for labels in found if selects(query.promql, labels)]
    assert len(set(keys)) == len(keys)
    counts = counts_of(CANDIDATE, {key: 10 for key in keys if key})
    return counts.requests, counts.failed


def test_requests_are_counted_by_service_and_by_how_they_ended() -> None:
    assert counted(series(), series(response_code="503"), series(response_code="404")) == (30, 10)
    assert counted(series(response_flags="-"), series(response_flags="DC", response_code="0")) == (20, 10)


def test_calls_by_grpc_have_failed_where_their_status_says_so() -> None:
    def call(status: str) -> dict[str, str]:
        return series(request_protocol="grpc", grpc_response_status=status)

    assert counted(call("0"), call("3"), call("13"), call("14")) == (40, 20)


def test_a_series_is_a_process_and_a_revisions() -> None:
    key = _query(Selection("shop", "digits", None)).key(series())

    assert isinstance(key, SeriesKey)
    assert key[:3] == (Process("edge", "public-istio-1", "10.0.0.7:15090"), CANDIDATE, ANSWERED)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(series(destination_service_name="digits-v2-6f9c1d2e"), id="another model whose name begins alike"),
        pytest.param(series(destination_service_namespace="bank"), id="another namespace's"),
        pytest.param(series(reporter="destination"), id="counted once more where it came"),
    ],
)
def test_what_is_not_asked_for_is_not_read(labels: dict[str, str]) -> None:
    assert not selects(_query(Selection("shop", "digits")).promql, labels)


def test_a_process_tells_when_it_began_beside_its_counters() -> None:
    query = _query(Selection("shop", "digits", (CANDIDATE,)))
    began = {"__name__": "envoy_server_uptime", **PROXY}

    selector = query.with_start('instance="10.0.0.7:15090"')
    assert selects(selector, began)
    assert selects(selector, series())
    assert query.is_start(began)
