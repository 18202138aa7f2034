"""Which clusters stay, and for how long."""

from tidegate.resources.model_route import Backend, Route
from tidegate.router.cluster_lifecycle import (
    DRAIN_SECONDS,
    UNKNOWN_SECONDS,
    DrainingCluster,
    confirmed,
    draining_clusters,
    next_end,
    timeouts_of,
)
from tidegate.router.xds import ClusterKey

A, B, C = (ClusterKey("shop", "sentiment", f"sentiment-{letter * 8}") for letter in "abc")


def test_a_cluster_no_route_names_starts_to_leave() -> None:
    assert draining_clusters([A, B], (), {A}, now=5.0) == (DrainingCluster(B),)


def test_its_time_runs_from_when_envoy_has_the_routes_without_it() -> None:
    assert confirmed((DrainingCluster(A), DrainingCluster(B, 3.0)), now=9.0) == (
        DrainingCluster(A, 9.0),
        DrainingCluster(B, 3.0),
    )


def test_it_stays_until_its_time_is_over() -> None:
    leaving = (DrainingCluster(A, 10.0, DRAIN_SECONDS), DrainingCluster(B))
    assert draining_clusters([C], leaving, {C}, now=10.0 + DRAIN_SECONDS - 0.1) == leaving
    assert draining_clusters([C], leaving, {C}, now=10.0 + DRAIN_SECONDS) == (DrainingCluster(B),)


def test_it_stays_as_long_as_one_of_its_requests_may_take() -> None:
    timeouts = timeouts_of([Route("shop", "sentiment", "h", 600, (Backend(A.revision, 50), Backend(B.revision, 50)))])

    assert draining_clusters([A, C], (), (), 5.0, timeouts) == (
        DrainingCluster(A, seconds=610.0),
        DrainingCluster(C, seconds=UNKNOWN_SECONDS),
    )


def test_one_that_is_routed_again_is_no_departure() -> None:
    assert draining_clusters([A], (DrainingCluster(A, 0.0),), {A}, now=100.0) == ()


def test_the_next_end_is_the_first_one() -> None:
    assert next_end((DrainingCluster(A, 7.0, 9.0), DrainingCluster(B, 3.0, 20.0), DrainingCluster(C))) == 16.0
    assert next_end((DrainingCluster(A),)) is None
