"""What Prometheus remembers of the story: the series of the picture, read over its HTTP API."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from tidegate_demo.place import NAME, NAMESPACE

STEP_SECONDS = 1.0
RATE_WINDOW = "6s"  # three scrapes
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Series:
    """One line: its labels, and (Unix seconds, value) in order of time. Instants without a value are left out."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class History:
    """Requests and errors a second per revision; latency in seconds per revision and quantile; percent; evidence."""

    requests: tuple[Series, ...]
    errors: tuple[Series, ...]
    latency: Mapping[float, tuple[Series, ...]]
    weights: tuple[Series, ...]
    evidence: tuple[Series, ...]


@dataclass(frozen=True)
class Span:
    """A chapter on the time axis, Unix seconds; `label` may have two lines."""

    label: str
    began: float
    ended: float


class HistoryUnavailableError(Exception):
    """Prometheus didn't answer, or not with what was asked for."""


LIVE = f'envoy_cluster_name=~"{NAMESPACE}/{NAME}/[^/]+"'
OBJECT = f'model_namespace="{NAMESPACE}",model_deployment="{NAME}"'
REQUESTS = f"sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_completed{{{LIVE}}}[{RATE_WINDOW}]))"
ERRORS = (
    "sum by (envoy_cluster_name) (rate(envoy_cluster_upstream_rq_xx"
    f'{{envoy_response_code_class="5",{LIVE}}}[{RATE_WINDOW}]))'
)
BUCKETS = f'tidegate_server_request_duration_seconds_bucket{{model_deployment="{NAMESPACE}/{NAME}"}}'
WEIGHTS = f"max by (revision) (tidegate_traffic_weight{{{OBJECT}}})"
EVIDENCE = f'max by (direction) (tidegate_evidence{{{OBJECT},metric="all"}})'
QUANTILES = (0.5, 0.9)


def latency_query(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (revision, le) (rate({BUCKETS}[{RATE_WINDOW}])))"


def read(prometheus: str, began: float, ended: float) -> History:
    """Everything between two Unix times. Raises HistoryUnavailableError."""

    def of(query: str) -> tuple[Series, ...]:
        return _query_range(prometheus, query, began, ended)

    return History(
        requests=of(REQUESTS),
        errors=of(ERRORS),
        latency={quantile: of(latency_query(quantile)) for quantile in QUANTILES},
        weights=of(WEIGHTS),
        evidence=of(EVIDENCE),
    )


def _query_range(prometheus: str, query: str, began: float, ended: float) -> tuple[Series, ...]:
    step = max(STEP_SECONDS, (ended - began) / 5_000)  # Prometheus gives at most 11,000 points of a series
    given = {"query": query, "start": f"{began:.3f}", "end": f"{ended:.3f}", "step": f"{step:.3f}"}
    try:
        answer = requests.get(f"{prometheus}/api/v1/query_range", params=given, timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        return tuple(_series(result) for result in answer.json()["data"]["result"])
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise HistoryUnavailableError(f"Prometheus at {prometheus} doesn't answer {query!r}: {error}") from error


def _series(result: Mapping[str, Any]) -> Series:
    points = ((float(at), float(value)) for at, value in result["values"])
    return Series(dict(result["metric"]), tuple(point for point in points if math.isfinite(point[1])))


def revision_of(series: Series) -> str:
    """From the label `revision`, or from an Envoy cluster's name `demo/digits/digits-6f9c1d2e`."""
    return series.labels.get("revision") or series.labels.get("envoy_cluster_name", "").rsplit("/", 1)[-1]


def by_version(all_series: Sequence[Series], versions: Mapping[str, str]) -> dict[str, Series]:
    """Of each version its series, in the versions' order; revisions that the story hasn't seen are left out."""
    named = {versions[revision_of(series)]: series for series in all_series if revision_of(series) in versions}
    return dict(sorted(named.items()))
