"""Raw counters from Prometheus. No rate(), no increase(): the judge differences the counters itself."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import Sample, SeriesKey
from tidegate.metrics.provider import CounterQuery
from tidegate.metrics.providers.prometheus_auth import NO_SECRET, PrometheusAccess

TIMEOUT = (3.05, 8)
"""Seconds to connect and to read."""
WORST_CLOCK = 3.0
"""Seconds between Prometheus' clock and ours: an HTTP date has whole seconds, and an answer is some time on its way."""
MOST_POINTS = 5000
"""Prometheus refuses a range of more than 11,000 points."""


class PrometheusMetrics:
    """A MetricsProvider: a real Prometheus behind its HTTP API."""

    def __init__(self, url: str, access: PrometheusAccess = NO_SECRET) -> None:
        session = access.session()
        session.hooks["response"].append(self._note_clock)
        # Its own retries would hold up the rollout for seconds; the next reconcile is the retry.
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
