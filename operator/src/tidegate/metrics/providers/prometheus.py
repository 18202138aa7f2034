"""Raw counters from Prometheus. No rate(), no increase(): the judge differences the counters itself."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import (
    CLASS,
    DURATION,
    FAILED,
    FAILED_IN_POD,
    REQUESTS,
    SCORE,
    TURNED_AWAY,
    Sample,
    SeriesKey,
    owner_of,
)
from tidegate.metrics.providers.prometheus_auth import NO_SECRET, PrometheusAccess
from tidegate.resources.names import PREVIEW_SUFFIX, router_cluster

TIMEOUT = (3.05, 8)
"""Seconds to connect and to read."""
WORST_CLOCK = 3.0
"""Seconds between Prometheus' clock and ours: an HTTP date has whole seconds, and an answer is some time on its way."""
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

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        """Any expression: the values of each of its series at the same points, None where it has none."""


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
        return SeriesKey(owner_of(labels), revision, measure)


class ServerCounters:
    """What the model servers count themselves, pod by pod: latency, failures, predictions. One query for all."""

    _NAMES: Mapping[str, tuple[str, str]] = {
        "tidegate_server_request_duration_seconds_bucket": (DURATION, "le"),
        "tidegate_server_requests_total": (FAILED_IN_POD, "code"),
        "tidegate_server_predictions_total": (CLASS, "class"),
        "tidegate_server_prediction_score_bucket": (SCORE, "le"),
    }

    def __init__(self, namespace: str, name: str, revisions: Iterable[str]) -> None:
        self.promql = (
            f'{{__name__=~"{"|".join(self._NAMES)}",model_deployment="{namespace}/{name}",'
            f'revision=~"{"|".join(revisions)}",code=~"|429|5.."}}'
        )

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        measure, label = self._NAMES[labels["__name__"]]
        return SeriesKey(owner_of(labels), labels["revision"], measure, labels[label])


class StableHistory:
    """What stable's pods did before a rollout: failures, and requests up to a few bounds of latency."""

    def __init__(self, namespace: str, name: str, stable: str, bounds: Iterable[str]) -> None:
        self._counters = ServerCounters(namespace, name, (stable,))
        wanted = "|".join(bound.replace("+", r"\\+") for bound in (*bounds, "+Inf"))
        self.promql = (
            '{__name__=~"tidegate_server_request_duration_seconds_bucket|tidegate_server_requests_total",'
            f'model_deployment="{namespace}/{name}",revision="{stable}",code=~"|429|5..",le=~"|{wanted}"}}'
        )

    def key(self, labels: Mapping[str, str]) -> SeriesKey | None:
        return self._counters.key(labels)


class PrometheusMetrics:
    """Metrics behind a real Prometheus."""

    def __init__(self, url: str, access: PrometheusAccess = NO_SECRET) -> None:
        session = access.session()
        session.hooks["response"].append(self._note_clock)
        # Its own retries would hold up the rollout for seconds; the next look is the retry.
        self._prometheus = PrometheusConnect(
            url=url, retry=Retry(total=0), session=session, auth=access.credentials(), method="POST"
        )
        self._url = url
        self._ahead = 0.0
        """Seconds that Prometheus' clock was ahead of ours at its last answer."""

    def samples(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> list[Sample]:
        seconds = int(step.total_seconds())
        result: list[Sample] = []
        for first in range(0, points, MOST_POINTS):
            count = min(MOST_POINTS, points - first)
            begin = start + first * step
            series = self._range(query.promql, begin, begin + (count - 1) * step, seconds)
            result += _by_point(query, series, begin, seconds, count)
        return result

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        seconds, first = int(step.total_seconds()), round(start.timestamp())
        found: list[list[float | None]] = []
        for each in self._range(promql, start, start + (points - 1) * step, seconds):
            values: list[float | None] = [None] * points
            for at, text in each["values"]:
                values[(round(float(at)) - first) // seconds] = float(text)
            found.append(values)
        return found

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
        if abs(self._ahead) > WORST_CLOCK:
            raise MetricsUnavailable(
                f"the clock of Prometheus at {self._url} is {abs(self._ahead):.0f} s "
                f"{'ahead of' if self._ahead > 0 else 'behind'} the operator's, so nobody can say which requests came "
                "before a shift of traffic; set both by the same time server"
            )
        return answer  # type: ignore[no-any-return]

    def _note_clock(self, response: requests.Response, *_: object, **__: object) -> None:
        said = parse_http_date(response.headers.get("Date"))
        if said is not None:
            self._ahead = (said - datetime.now(UTC)).total_seconds()  # noqa: TID251 - two clocks are compared


def parse_http_date(text: str | None) -> datetime | None:
    """The instant in an HTTP `Date`, in whole seconds; None where there is none."""
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


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
            if not 0 <= index < points or value != value:  # a NaN is no sample
                continue
            if key in samples[index]:
                raise MetricsUnavailable(
                    f"two series count the same: {_sentence(each['metric'])}; make Prometheus scrape each process "
                    "once, or have its replicas deduplicated"
                )
            samples[index][key] = value
    return list(samples)


def _sentence(labels: Mapping[str, str]) -> str:
    shown = {name: value for name, value in labels.items() if name != "__name__"}
    return f"{labels.get('__name__', '')}{{{', '.join(f'{name}={value}' for name, value in sorted(shown.items()))}}}"
