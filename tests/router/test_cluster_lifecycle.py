"""Which clusters stay, for how long, and which get a file of their own."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.resources.model_route import Backend, Route
from tidegate.router.cluster_lifecycle import (
    DRAIN_SECONDS,
    UNKNOWN_SECONDS,
    DrainingCluster,
    choose_eds_clusters,
    confirmed,
    draining_clusters,
    next_end,
    timeouts_of,
)
from tidegate.router.xds import ClusterKey, cluster_keys

A, B, C = (ClusterKey("shop", "sentiment", f"sentiment-{letter * 8}") for letter in "abc")
IDLE = Route("shop", "idle", "h", 60, (Backend("idle-00000001", 100),))
SPLIT = Route("shop", "split", "h", 60, (Backend("split-00000001", 90), Backend("split-00000002", 10)))
KEYS = cluster_keys([IDLE, SPLIT])


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


def test_splits_get_files_before_idle_models() -> None:
    assert choose_eds_clusters((), KEYS, [IDLE, SPLIT], limit=2) == cluster_keys([SPLIT])


def test_who_has_a_file_keeps_it_while_no_split_needs_it() -> None:
    keys = frozenset({A, B, C})
    assert choose_eds_clusters({C}, keys, [], limit=1) == {C}


@given(st.frozensets(st.sampled_from(sorted(KEYS))), st.integers(0, 4))
def test_never_more_files_than_the_limit(before: frozenset[ClusterKey], limit: int) -> None:
    chosen = choose_eds_clusters(before, KEYS, [IDLE, SPLIT], limit)
    assert chosen <= KEYS
    assert len(chosen) == min(limit, len(KEYS))
    assert choose_eds_clusters(chosen, KEYS, [IDLE, SPLIT], limit) == chosen
