"""Error rates and latency on a page: what Prometheus' counters come to, and what is said where it doesn't answer."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import until
from tests.operator.dashboard.conftest import Begin
from tests.operator.dashboard.test_pages import ROLLOUT, text_of
from tidegate.dashboard.charts import error_chart, latency_chart
from tidegate.dashboard.measures import STEP, Arms, Measured, MeasuredPoint, Measures, measured
from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import ALL, DURATION, FAILED, REQUESTS, Counted, Process, Sample, SeriesKey
from tidegate.metrics.provider import CounterQuery, Readings

START = datetime(2026, 11, 30, 2, 30, tzinfo=UTC)
ARMS = Arms("sentiment-5d0c77e1", "sentiment-81aa22bb")
ROUTER = Process("tidegate", "router-0")


def sample(at: float, *, requests: int, failed: int) -> Sample:
    """A tenth of the candidate's requests takes up to 0.4 s, the others 0.1 s at most; stable has no requests."""
    counters = {
        SeriesKey(ROUTER, ARMS.candidate, REQUESTS): requests,
        SeriesKey(ROUTER, ARMS.candidate, FAILED): failed,
        SeriesKey(ROUTER, ARMS.candidate, DURATION, "0.1"): requests * 9 // 10,
        SeriesKey(ROUTER, ARMS.candidate, DURATION, "0.4"): requests,
        SeriesKey(ROUTER, ARMS.candidate, DURATION, ALL): requests,
    }
    return {key: Counted(value, at) for key, value in counters.items()}


class Prometheus:
    """A MetricsProvider that has the same samples whenever it is asked, or doesn't answer."""

    def __init__(self, samples: Sequence[Sample] = (), trouble: str = "") -> None:
        self._samples, self._trouble = samples, trouble

    def readings(self, query: CounterQuery, start: datetime, step: timedelta, points: int) -> Readings:
        if self._trouble:
            raise MetricsUnavailable(self._trouble)
        return Readings(self._samples)

    def series(self, promql: str, start: datetime, step: timedelta, points: int) -> list[list[float | None]]:
        raise NotImplementedError


SAMPLES = (
    sample(0, requests=1000, failed=0),
    sample(30, requests=2000, failed=20),
    sample(60, requests=2000, failed=20),
)


def test_what_was_counted_between_two_samples_is_an_error_rate_and_a_percentile() -> None:
    nothing = Measured(None, None)
    points = measured(Readings(SAMPLES), ARMS, START)

    assert points == (
        MeasuredPoint(START + STEP, nothing, Measured(2.0, pytest.approx(250.0))),  # type: ignore[arg-type]
        MeasuredPoint(START + 2 * STEP, nothing, nothing),
    )


def test_a_chart_leaves_out_what_wasnt_counted() -> None:
    points = measured(Readings((*SAMPLES, sample(90, requests=3000, failed=20))), ARMS, START)
    chart = error_chart(points)

    assert chart is not None
    assert [line.label for line in chart.lines] == ["candidate"]
    assert chart.in_words == "Error rate: now candidate 0%"
    assert [values for _, values in chart.rows] == [("2%",), ("–",), ("0%",)]


def test_there_is_no_chart_of_nothing() -> None:
    assert (error_chart(()), latency_chart(measured(Readings(SAMPLES[1:]), ARMS, START))) == (None, None)


def test_a_page_shows_them_and_asks_prometheus_for_nobody_else(begin: Begin) -> None:
    browser = begin(metrics=Prometheus(SAMPLES)).sign_in()

    until(lambda: "Error rate: now nothing known" in browser.get(ROLLOUT).text)
    page = browser.get(ROLLOUT).text
    assert "Latency, 95th percentile" in text_of(page)
    assert "0 to 2%" in text_of(page)


def test_a_page_says_that_prometheus_doesnt_answer_and_is_there_all_the_same(begin: Begin) -> None:
    browser = begin(metrics=Prometheus(trouble="Prometheus at http://nowhere can't be reached")).sign_in()

    until(
        lambda: (
            "Error rates and latency: Prometheus at http://nowhere can't be reached"
            in text_of(browser.get(ROLLOUT).text)
        )
    )


def test_what_nobody_looks_at_is_asked_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.dashboard.measures.LOOKED_AT_SECONDS", -math.inf)
    measures = Measures(Prometheus(SAMPLES), lambda key: None)
    measures.of(("shop", "sentiment"), ARMS)
    monkeypatch.setattr("tidegate.dashboard.measures.LOOKED_AT_SECONDS", -1.0)

    assert measures._due() is None
