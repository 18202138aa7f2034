"""What routers and model servers would have counted of made-up traffic that goes by the routes. Pure.

Every ModelDeployment has the same number of requests a second. Its revisions share them as its route says, from the
moment at which the route says it; all are as good and as fast as each other.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.router.bootstrap import LATENCY_MS
from tidegate_server.metrics.histogram import latency_buckets

RATE = 100.0
"""Requests a second of each ModelDeployment."""
FAILING = 0.001
ROUTERS = ("router-0", "router-1")
TYPICAL_SECONDS = 0.02
SERVER_BOUNDS = (*(f"{bound:.6g}" for bound in latency_buckets()), "+Inf")
_SPREAD = 0.25


@dataclass
class Counter:
    """What one revision has answered: a line that bends where its share changes."""

    times: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def share(self, at: float, weight: int) -> None:
        """From now on it has so many percent."""
        rate = RATE * weight / 100
        if self.rates and self.rates[-1] == rate:
            return
        self.counts.append(self.at(at))
        self.times.append(at)
        self.rates.append(rate)

    def at(self, at: float) -> float:
        """All its answers up to then."""
        index = bisect_right(self.times, at) - 1
        if index < 0:
            return 0.0
        return self.counts[index] + self.rates[index] * (at - self.times[index])


def within(seconds: float) -> float:
    """The share of the answers that take no longer: log-normal around what is typical."""
    if math.isinf(seconds):
        return 1.0
    return 0.5 * (1 + math.erf(math.log(seconds / TYPICAL_SECONDS) / _SPREAD / math.sqrt(2)))


SERVER_SHARES = tuple((bound, within(float(bound))) for bound in SERVER_BOUNDS)
ROUTER_SHARES = (*((f"{bound:g}", within(bound / 1000)) for bound in LATENCY_MS), ("+Inf", 1.0))


class Traffic:
    """All revisions of all ModelDeployments."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], dict[str, Counter]] = {}

    def routed(self, namespace: str, name: str, weights: Mapping[str, int], at: float) -> None:
        """A route says so from now on; a revision that it doesn't name any more gets nothing."""
        counters = self._counters.setdefault((namespace, name), {})
        for revision in weights.keys() | counters.keys():
            counters.setdefault(revision, Counter()).share(at, weights.get(revision, 0))

    def revisions(self, namespace: str, name: str) -> Mapping[str, Counter]:
        """Every revision that a ModelDeployment has had."""
        return self._counters.get((namespace, name), {})

    def names(self) -> Iterator[tuple[str, str]]:
        """Every ModelDeployment that has a route."""
        yield from self._counters


def router_series(answered: float) -> Sequence[tuple[str, Mapping[str, str], int]]:
    """What one router counts of a revision: the name of a series, its labels beside the cluster's name, its value."""
    done = int(answered / len(ROUTERS))
    failed = int(done * FAILING)
    nothing: Mapping[str, str] = {}
    return (
        ("envoy_cluster_upstream_rq_completed", nothing, done),
        ("envoy_cluster_upstream_rq_xx", {"envoy_response_code_class": "2"}, done - failed),
        ("envoy_cluster_upstream_rq_xx", {"envoy_response_code_class": "5"}, failed),
        ("envoy_cluster_upstream_rq_total", nothing, done),
        ("envoy_cluster_upstream_rq_active", nothing, 0),
        ("envoy_cluster_upstream_rq_retry", nothing, 0),
        ("envoy_cluster_upstream_rq_cancelled", nothing, 0),
        ("envoy_cluster_upstream_rq_pending_overflow", nothing, 0),
        ("envoy_cluster_upstream_rq_pending_failure_eject", nothing, 0),
        ("envoy_cluster_upstream_cx_none_healthy", nothing, 0),
    )


def server_series(answered: float, pods: int) -> Sequence[tuple[str, Mapping[str, str], int]]:
    """What one pod of a revision counts."""
    done = int(answered / pods)
    failed = int(done * FAILING)
    buckets = [
        ("tidegate_server_request_duration_seconds_bucket", {"le": bound}, int(done * share))
        for bound, share in SERVER_SHARES
    ]
    return (
        *buckets,
        ("tidegate_server_requests_total", {"code": "200"}, done - failed),
        ("tidegate_server_requests_total", {"code": "500"}, failed),
    )
