"""Raw counters from Prometheus. No rate(), no increase(): the judge differences the counters itself."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from tidegate.errors import MetricsUnavailable
from tidegate.judge.increments import FAILED, REQUESTS, TURNED_AWAY, Sample, SeriesKey
from tidegate.resources.names import PREVIEW_SUFFIX, router_cluster

TIMEOUT = (3.05, 8)
"""Seconds to connect and to read."""
MOST_POINTS = 5000
"""Prometheus refuses a range of more than 11,000 points."""
_MEASURES = {
    "envoy_cluster_upstream_rq_completed": REQUESTS,
    "envoy_cluster_upstream_rq_xx": FAILED,
    "envoy_cluster_upstream_rq": TURNED_AWAY,
}


class Metrics(Protocol):
    """Where counters come from. Every method raises MetricsUnavailable."""

    def samples(self, query: "CounterQuery", start: datetime, step: timedelta, points: int) -> list[Sample]:
        """The counters at start, start + step, …: one sample per point, empty where there was nothing."""


class CounterQuery(Protocol):
    """A PromQL selector, and how its series are named."""

    @property
    def promql(self) -> str:
        """An instant selector; no function is applied."""

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        """What a series counts; None for one that isn't wanted."""


class RouterCounters:
    """Requests and failures per revision, counted by the routers, so refused connections are in it.

    A request that was turned away with 429, because the model can't keep up, has failed like one of the class 5.
    With `preview`, requests that came by the preview header are named `REVISION/preview`.
    """

    def __init__(self, namespace: str, name: str, revisions: Iterable[str], *, preview: bool = False) -> None:
        self._prefix = router_cluster(namespace, name, "")
        clusters = [self._prefix + revision for revision in revisions]
        if preview:
            clusters += [cluster + PREVIEW_SUFFIX for cluster in clusters]
        self.promql = (
            f'{{__name__=~"{"|".join(_MEASURES)}",'
            f'envoy_cluster_name=~"{"|".join(clusters)}",'
            'envoy_response_code_class=~"|5",envoy_response_code=~"|429"}'
        )

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        measure = _MEASURES[labels["__name__"]]
        if measure == FAILED and labels.get("envoy_response_code_class") != "5":
            return None
        if measure == TURNED_AWAY and labels.get("envoy_response_code") != "429":
            return None
        revision = labels["envoy_cluster_name"].removeprefix(self._prefix)
        return SeriesKey(_owner(labels), revision, measure)


class ServerDurations:
    """The model servers' own latency histograms."""

    def __init__(self, namespace: str, name: str, revisions: Iterable[str]) -> None:
        self.promql = (
            "tidegate_server_request_duration_seconds_bucket{"
            f'model_deployment="{namespace}/{name}",revision=~"{"|".join(revisions)}"}}'
        )

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        return SeriesKey(_owner(labels), labels["revision"], labels["le"])


def _owner(labels: Mapping[str, str]) -> str:
    return "/".join(labels.get(name, "") for name in ("job", "instance", "pod"))


class PrometheusMetrics:
    """Metrics behind a real Prometheus."""

    def __init__(self, url: str) -> None:
        # Its own retries would hold up the rollout for seconds; the next look is the retry.
        self._prometheus = PrometheusConnect(url=url, retry=Retry(total=0))
        self._url = url

    def samples(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> list[Sample]:
        seconds = int(step.total_seconds())
        result: list[Sample] = []
        for first in range(0, points, MOST_POINTS):
            count = min(MOST_POINTS, points - first)
            begin = start + first * step
            series = self._range(query.promql, begin, begin + (count - 1) * step, seconds)
            result += _by_point(query, series, begin, seconds, count)
        return result

    def _range(self, promql: str, start: datetime, end: datetime, seconds: int) -> Sequence[Mapping[str, Any]]:
        try:
            answer = self._prometheus.custom_query_range(promql, start, end, f"{seconds}s", timeout=TIMEOUT)
        except requests.RequestException as error:
            raise MetricsUnavailable(
                f"Prometheus at {self._url} can't be reached ({type(error).__name__}); "
                "check that it runs and that the operator's Prometheus address is right"
            ) from error
        except (PrometheusApiClientException, ValueError, KeyError) as error:
            raise MetricsUnavailable(f"Prometheus at {self._url} refused a query: {str(error)[:300]}") from error
        return answer  # type: ignore[no-any-return]


def _by_point(
    query: CounterQuery, series: Sequence[Mapping[str, Any]], start: datetime, step: int, points: int
) -> list[Sample]:
    samples: list[dict[SeriesKey, float]] = [{} for _ in range(points)]
    first = round(start.timestamp())
    for each in series:
        key = query.key(each["metric"])
        if key is None:
            continue
        for at, text in each["values"]:
            index = (round(float(at)) - first) // step
            value = float(text)
            if 0 <= index < points and value == value:  # a NaN is no sample
                samples[index][key] = value
    return list(samples)
