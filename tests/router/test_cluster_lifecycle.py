"""Which clusters stay, and for how long."""

import pytest

from tidegate.resources.model_route import Backend, Route
from tidegate.router.cluster_key import ClusterKey
from tidegate.router.cluster_lifecycle import (
    COUNTS_SECONDS,
    DRAIN_SECONDS,
    MOST_KEPT,
    UNKNOWN_SECONDS,
    DrainingCluster,
    confirmed,
    draining_clusters,
    next_end,
    timeouts_of,
)

A, B, C = (ClusterKey("shop", "sentiment", f"sentiment-{letter * 8}") for letter in "abc")


def test_a_cluster_no_route_names_starts_to_leave() -> None:
    assert draining_clusters([A, B], (), {A}, now=5.0) == (DrainingCluster(B),)


def test_its_time_runs_from_when_envoy_has_the_routes_without_it() -> None:
    assert confirmed((DrainingCluster(A), DrainingCluster(B, 3.0)), now=9.0) == (
        DrainingCluster(A, 9.0),
        DrainingCluster(B, 3.0),
    )


@pytest.mark.parametrize(
    ("seconds", "stays"),
    [
        pytest.param(DRAIN_SECONDS, COUNTS_SECONDS, id="its requests end sooner than its counts are of no use"),
        pytest.param(1000.0, 1000.0, id="its requests take longer"),
    ],
)
def test_it_stays_until_its_time_is_over(seconds: float, stays: float) -> None:
    leaving = (DrainingCluster(A, 10.0, seconds), DrainingCluster(B))
    assert draining_clusters([C], leaving, {C}, now=10.0 + stays - 0.1) == leaving
    assert draining_clusters([C], leaving, {C}, now=10.0 + stays) == (DrainingCluster(B),)


def test_of_those_that_stay_for_their_counts_alone_the_first_to_leave_go_when_there_are_too_many() -> None:
    keys = [ClusterKey("shop", "sentiment", f"sentiment-{number:08}") for number in range(MOST_KEPT + 2)]
    leaving = [DrainingCluster(key, float(number), DRAIN_SECONDS) for number, key in enumerate(keys)]
    one_more = DrainingCluster(A, 1.0, seconds=300.0)

    after_all = len(keys) + DRAIN_SECONDS
    assert draining_clusters([], [*leaving, one_more], (), after_all) == (*leaving[2:], one_more)


def test_it_stays_as_long_as_one_of_its_requests_may_take() -> None:
    timeouts = timeouts_of([Route("shop", "sentiment", "h", 600, (Backend(A.revision, 50), Backend(B.revision, 50)))])

    assert draining_clusters([A, C], (), (), 5.0, timeouts) == (
        DrainingCluster(A, seconds=610.0),
        DrainingCluster(C, seconds=UNKNOWN_SECONDS),
    )


def test_one_that_is_routed_again_is_no_departure() -> None:
    assert draining_clusters([A], (DrainingCluster(A, 0.0),), {A}, now=100.0) == ()


def test_the_next_end_is_the_first_one() -> None:
    leaving = (DrainingCluster(A, 7.0, 900.0), DrainingCluster(B, 3.0, 2000.0), DrainingCluster(C))
    assert next_end(leaving) == 907.0
    assert next_end((DrainingCluster(A),)) is None
