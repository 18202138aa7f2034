"""Raw counters from Prometheus. No rate(), no increase(): the judge differences the counters itself."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import orjson
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.falls import Scraped
from tidegate.metrics.provider import CounterQuery, Readings
from tidegate.metrics.providers.prometheus_auth import NO_SECRET, PrometheusAccess
from tidegate.metrics.raw_series import read
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason
from tidegate.settings import QuerySettings

READ_TIMEOUT = 8
"""Seconds. Prometheus is told too, and gives up then."""
TIMEOUT = (3.05, READ_TIMEOUT)
"""Seconds to connect and to read."""
NOTHING_ADDED = QuerySettings()
Queried = Callable[[bool, float], None]
"""Hears of each query: whether it was answered, and after how many seconds it was, or was given up."""
WORST_CLOCK = 3.0
"""Seconds between Prometheus' clock and ours: an HTTP date has whole seconds, and an answer is some time on its way."""


class PrometheusMetrics:
    """A MetricsProvider: a real Prometheus behind its HTTP API."""

    def __init__(
        self,
        url: str,
        access: PrometheusAccess = NO_SECRET,
        queries: QuerySettings = NOTHING_ADDED,
        queried: Queried = lambda answered, seconds: None,
    ) -> None:
        session = access.session()
        session.headers.update(queries.headers)
        session.hooks["response"] += [self._note_clock, _read_quickly]
        # Nothing is tried again below our own budget: a look may last so long, and the next one is the retry. By POST
        # the client neither tries a timeout again.
        self._prometheus = PrometheusConnect(
            url=url, retry=Retry(total=0), session=session, auth=access.credentials(), method="POST"
        )
        self._url, self._queried = url, queried
        self._matchers = queries.matchers
        self._parameters = {**queries.parameters, "timeout": f"{READ_TIMEOUT}s"}
        self._ahead = 0.0
        """Seconds that Prometheus' clock was ahead of ours at its last answer."""

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        """See MetricsProvider."""
        readings = read(self, query, start, step, points)
        if readings.newest is None and self._matchers and self._raw(query.promql, start, start + (points - 1) * step):
            return replace(readings, doubt=self._nothing_matches())
        return readings

    def _nothing_matches(self) -> MetricsGap:
        return MetricsGap(
            Reason.MATCHERS_MATCH_NOTHING,
            f"Prometheus at {self._url} has such counters, but none that match prometheus.matchers, "
            f"{{{self._matchers}}}; look at their labels there, and set it to those of this cluster",
        )

    def raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        """See RawStore. Every selector is narrowed by the matchers that were given."""
        return self._raw(narrowed(promql, self._matchers), since, until)

    def _raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        seconds = max(1, math.ceil((until - since).total_seconds()))
        parameters = {"time": until.timestamp(), **self._parameters}
        answer = self._ask(lambda: self._prometheus.custom_query(f"{promql}[{seconds}s]", parameters, timeout=TIMEOUT))
        return [Scraped(each["metric"], _numbers(each["values"])) for each in answer]

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        seconds, first = int(step.total_seconds()), round(start.timestamp())
        found: list[list[float | None]] = []
        end = start + (points - 1) * step
        answer = self._ask(
            lambda: self._prometheus.custom_query_range(
                promql, start, end, f"{seconds}s", self._parameters, timeout=TIMEOUT
            )
        )
        for each in answer:
            values: list[float | None] = [None] * points
            for at, text in each["values"]:
                # A front end may have moved the points back to multiples of the step.
                index = math.ceil((round(float(at)) - first) / seconds)
                if 0 <= index < points:
                    values[index] = float(text)
            found.append(values)
        return found

    def _ask(self, query: Callable[[], Sequence[Mapping[str, Any]]]) -> Sequence[Mapping[str, Any]]:
        began, answered = monotonic(), False
        try:
            answer = query()
            answered = True
        except requests.RequestException as error:
            raise MetricsUnavailable(
                f"Prometheus at {self._url} can't be reached ({type(error).__name__}); "
                "check that it runs and that the operator's Prometheus address is right"
            ) from error
        except (PrometheusApiClientException, ValueError, KeyError) as error:
            raise MetricsUnavailable(f"Prometheus at {self._url} refused a query: {str(error)[:300]}") from error
        finally:
            self._queried(answered, monotonic() - began)
        if abs(self._ahead) > WORST_CLOCK:
            raise MetricsUnavailable(
                f"the clock of Prometheus at {self._url} is {abs(self._ahead):.0f} s "
                f"{'ahead of' if self._ahead > 0 else 'behind'} the operator's, so nobody can say which requests came "
                "before a shift of traffic; set both by the same time server"
            )
        return answer

    def _note_clock(self, response: requests.Response, *_: object, **__: object) -> None:
        said = parse_http_date(response.headers.get("Date"))
        if said is not None:
            self._ahead = (said - datetime.now(UTC)).total_seconds()  # noqa: TID251 - two clocks are compared


def narrowed(selector: str, matchers: str) -> str:
    """A selector in braces with more matchers."""
    return f"{selector.removesuffix('}')},{matchers}}}" if matchers else selector


def parse_http_date(text: str | None) -> datetime | None:
    """The instant in an HTTP `Date`, in whole seconds; None where there is none."""
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _read_quickly(response: requests.Response, *_: object, **__: object) -> None:
    """Thousands of series, many times a minute: the client's own way takes twice as long."""
    response.json = lambda **_: orjson.loads(response.content)  # type: ignore[method-assign]


def _numbers(values: Iterable[tuple[float, str]]) -> list[tuple[float, float]]:
    """Samples with their times; a NaN is none."""
    return [(at, float(text)) for at, text in values if text != "NaN"]
