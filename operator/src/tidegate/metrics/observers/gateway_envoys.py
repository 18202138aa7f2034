"""What the Envoys of a Gateway count, where each backend of a route is a cluster with a name of its own.

Contour names a cluster's counters NAMESPACE_SERVICE_PORT. A Service is a revision, so all that it was sent is in them,
whichever route it came by. Its calls by gRPC go to a port of their own.
"""

import re

from tidegate.metrics.observers.envoy import EnvoyCounters
from tidegate.metrics.observers.scraped import ScrapedSource
from tidegate.metrics.provider import MetricsProvider, Selection, Signal
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.resources.names import GRPC_PORT, GRPC_SUFFIX, SERVER_PORT

ANY_REVISION = "[0-9a-f]{8}"
_CLUSTER = re.compile(r"[^_]+_(?P<revision>[^_]+)_(?P<port>\d+)")
_NO_SERIES = MetricsGap(
    Reason.NO_ROUTER_SERIES,
    "Prometheus has no counters of the Gateway's Envoys for {case}; check that it scrapes their pods "
    "(Contour: port 8002, /stats/prometheus), or set spec.analysis.requestsFrom to Servers",
)


def gateway_envoys_traffic(provider: MetricsProvider) -> ScrapedSource:
    """Requests and failures as a Gateway's Envoys count them."""
    provides = frozenset({Signal.REQUESTS, Signal.FAILURES})
    return ScrapedSource(provider, "Gateway's Envoys", provides, _query, _NO_SERIES)


def _query(wanted: Selection) -> EnvoyCounters:
    revisions = (f"{wanted.name}-{ANY_REVISION}",) if wanted.revisions is None else wanted.revisions
    clusters = "|".join(f"{wanted.namespace}_{revision}_({SERVER_PORT}|{GRPC_PORT})" for revision in revisions)
    return EnvoyCounters(clusters, _revision_of, latency=wanted.latency, looks_back=wanted.looks_back)


def _revision_of(cluster: str) -> str:
    found = _CLUSTER.fullmatch(cluster)
    if found is None:
        return cluster
    return found["revision"] + (GRPC_SUFFIX if found["port"] == str(GRPC_PORT) else "")
