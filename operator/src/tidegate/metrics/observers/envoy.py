"""What the routers' Envoys count: one cluster for each revision, and one more for what came by the preview header."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import cache
from operator import methodcaller

from tidegate.metrics.increments import (
    DURATION,
    FAILED,
    FAILED_IN_CELL,
    GRPC,
    GRPC_FAILURES,
    IN_CELL,
    REQUESTS,
    RETRIED,
    TRIED,
    TRIES,
    TURNED_AWAY,
    TURNED_AWAY_IN_CELL,
    UNDER_WAY,
    Process,
    SeriesKey,
)
from tidegate.metrics.observers.scraped import ScrapedSource
from tidegate.metrics.provider import STALE, MetricsProvider, Selection, Signal, StartGauge
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.model.slices import CELL_PATTERN
from tidegate.resources.names import GRPC_SUFFIX, MATCH_SUFFIX, MIRROR_SUFFIX, PREVIEW_SUFFIX, router_cluster

_MEASURES = {
    "envoy_cluster_upstream_rq_completed": REQUESTS,
    "envoy_cluster_upstream_rq_xx": FAILED,
    "envoy_cluster_upstream_rq": TURNED_AWAY,
}
_CALLS = {f"envoy_cluster_grpc_{status}": status for status in sorted(GRPC_FAILURES, key=int)}
"""Calls by gRPC that failed, by their grpc-status; no other status has any."""
_HOW_TRIES_END = (
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_upstream_rq_pending_failure_eject",
    "envoy_cluster_upstream_cx_none_healthy",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_rq_cancelled",
)
_TRIES = dict(zip(_HOW_TRIES_END, TRIES, strict=True))
"""A try is in one of these as soon as it is on a connection, or will never be on one."""
_UNANSWERED = {"envoy_cluster_upstream_rq_retry": RETRIED, "envoy_cluster_upstream_rq_active": UNDER_WAY}
_LATENCY = "envoy_cluster_upstream_rq_time_bucket"
"""From when a request is on its way to a pod until its answer is whole; the bounds are in milliseconds."""
_CELL = re.compile(f"envoy_cluster_({CELL_PATTERN})_(upstream_rq(?:_completed|_xx|))")
"""Once more by the group of requests that they are of, under the name of its cell."""
_MEASURES_IN_CELL = {
    "upstream_rq_completed": IN_CELL,
    "upstream_rq_xx": FAILED_IN_CELL,
    "upstream_rq": TURNED_AWAY_IN_CELL,
}
_NO_SERIES = MetricsGap(
    Reason.NO_ROUTER_SERIES,
    "Prometheus has no counters of the routers for {case}; "
    "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
)


class EnvoyCounters:
    """Requests and failures per revision, counted by Envoys, so refused connections are in it.

    A request that was turned away with 429, because the model can't keep up, has failed like one of the class 5. One
    whose client gave up is none of Envoy's completed ones: see `abandoned`.
    `clusters` is a pattern of Envoy's names of the revisions wanted, and `revision_of` reads one; with `latency`, how
    long requests took is read as well, and with `slices`, the counters of groups of requests.
    """

    start = StartGauge("envoy_server_uptime", counts_up=True)

    def __init__(
        self,
        clusters: str,
        revision_of: Callable[[str], str],
        *,
        latency: bool = False,
        slices: bool = False,
        looks_back: timedelta = STALE,
    ) -> None:
        self.looks_back = looks_back
        self._clusters = clusters
        self._revision_of = revision_of
        self._counters = (*_MEASURES, *_CALLS, *_TRIES, *([_CELL.pattern] if slices else []))
        self.promql = (
            f'{{__name__=~"{"|".join((*self._counters, *_UNANSWERED, *([_LATENCY] if latency else [])))}",'
            f'envoy_cluster_name=~"{self._clusters}",'
            'envoy_response_code_class=~"|5",envoy_response_code=~"|429"}'
        )

    def with_start(self, target: str) -> str:
        """See CounterQuery."""
        names = "|".join((self.start.name, *self._counters))
        return f'{{__name__=~"{names}",envoy_cluster_name=~"|{self._clusters}",{target}}}'

    def is_start(self, labels: Mapping[str, str]) -> bool:
        """See CounterQuery."""
        return labels["__name__"] == self.start.name

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """See CounterQuery."""
        cluster = self._revision_of(labels["envoy_cluster_name"])
        revision = cluster.replace(GRPC_SUFFIX, "")
        told = _told_by(labels, by_grpc=revision != cluster)
        if told is None:
            return None
        measure, of = told
        return SeriesKey(Process.of(labels), revision, measure, of if revision == cluster else of + GRPC)


def _told_by(labels: Mapping[str, str], *, by_grpc: bool) -> tuple[str, str] | None:
    """The measure, and of what it is; None of a series that isn't wanted."""
    name = labels["__name__"]
    if name == _LATENCY:
        return DURATION, _in_seconds(labels["le"])
    if name in _TRIES:
        return TRIED, _TRIES[name]
    if name in _UNANSWERED:
        return _UNANSWERED[name], ""
    if name in _CALLS:
        return FAILED, _CALLS[name]
    measure, cell = _MEASURES.get(name), ""
    if measure is None and (found := _CELL.fullmatch(name)):
        measure, cell = _MEASURES_IN_CELL[found[2]], found[1]
    if measure in (REQUESTS, IN_CELL):
        return measure, cell
    # What the router answers a call itself has a class by HTTP too, and would be counted twice.
    is_failure = not by_grpc and (labels.get("envoy_response_code_class"), labels.get("envoy_response_code")) in (
        ("5", None),
        (None, "429"),
    )
    return (measure, cell) if measure and is_failure else None


class RouterCounters(EnvoyCounters):
    """The same of Tidegate's own routers. With `preview`, requests that came by the preview header are named
    `REVISION/preview`, copies of requests `REVISION/mirror`, and those of a group
    `REVISION/match`."""

    def __init__(
        self,
        namespace: str,
        name: str,
        revisions: Iterable[str],
        *,
        preview: bool = False,
        latency: bool = False,
        slices: bool = False,
        looks_back: timedelta = STALE,
    ) -> None:
        prefix = router_cluster(namespace, name, "")
        clusters = [f"{prefix}{revision}(/grpc)?" for revision in revisions]
        if preview:
            suffixes = (PREVIEW_SUFFIX, MIRROR_SUFFIX, MATCH_SUFFIX)
            clusters += [cluster + suffix for suffix in suffixes for cluster in clusters]
        revision_of = methodcaller("removeprefix", prefix)
        super().__init__("|".join(clusters), revision_of, latency=latency, slices=slices, looks_back=looks_back)


def router_traffic(provider: MetricsProvider) -> ScrapedSource:
    """Requests and failures as the routers count them."""
    provides = frozenset({Signal.REQUESTS, Signal.FAILURES})
    return ScrapedSource(provider, "routers", provides, _query, _NO_SERIES)


def _query(wanted: Selection) -> RouterCounters:
    revisions = ("[^/]+",) if wanted.revisions is None else wanted.revisions
    return RouterCounters(
        wanted.namespace,
        wanted.name,
        revisions,
        preview=True,
        latency=wanted.latency,
        slices=wanted.slices,
        looks_back=wanted.looks_back,
    )


@cache
def _in_seconds(bound: str) -> str:
    return bound if bound == "+Inf" else str(float(bound) / 1000)


def key_of(labels: Mapping[str, str]) -> SeriesKey | None:
    """What a series of any ModelDeployment's counts."""
    namespace, name, *_ = (*labels.get("envoy_cluster_name", "").split("/"), "", "")
    return RouterCounters(namespace, name, ()).key(labels)
