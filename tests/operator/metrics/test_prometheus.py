"""Counters from a real Prometheus, and what the collector makes of them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import Scraped, until
from tidegate.errors import MetricsUnavailable
from tidegate.judge.case import Criteria
from tidegate.metrics.collector import MetricsCollector
from tidegate.metrics.increments import Process, SeriesKey
from tidegate.metrics.look import Look, Measured
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.observers.model_server import ServerCounters
from tidegate.metrics.provider import StartGauge
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.model.evidence import Counts, Durations, MetricsGap
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Arms

pytestmark = pytest.mark.prometheus
SECOND = timedelta(seconds=1)


def whole_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - Prometheus stamps by the real clock


def completed(name: str, revision: str, requests: float) -> str:
    return f'envoy_cluster_upstream_rq_completed{{envoy_cluster_name="shop/{name}/{revision}"}} {requests}\n'


def answered(name: str, revision: str, code: int, requests: float) -> str:
    labels = f'envoy_cluster_name="shop/{name}/{revision}",envoy_response_code_class="{code}"'
    return f"envoy_cluster_upstream_rq_xx{{{labels}}} {requests}\n"


def turned_away(name: str, revision: str, code: int, requests: float) -> str:
    labels = f'envoy_cluster_name="shop/{name}/{revision}",envoy_response_code="{code}"'
    return f"envoy_cluster_upstream_rq{{{labels}}} {requests}\n"


def buckets(name: str, revision: str, fast: int, all_of_them: int) -> str:
    labels = f'model_deployment="shop/{name}",revision="{revision}"'
    metric = "tidegate_server_request_duration_seconds_bucket"
    return f'{metric}{{{labels},le="0.5"}} {fast}\n{metric}{{{labels},le="+Inf"}} {all_of_them}\n'


@pytest.fixture
def metrics(prometheus_server: Scraped) -> PrometheusMetrics:
    return PrometheusMetrics(prometheus_server.url)


@pytest.fixture
def scrape(prometheus_server: Scraped) -> Callable[..., datetime]:
    """Says the lines, waits until Prometheus has taken them, and gives back a whole second at which it had."""

    def run(*lines: str) -> datetime:
        taken = len(prometheus_server.taken)
        prometheus_server.says = "".join(lines)
        until(lambda: len(prometheus_server.taken) > taken + 1)
        began = whole_second()
        until(lambda: whole_second() > began)
        return whole_second()

    return run


def router_sample(metrics: PrometheusMetrics, name: str, at: datetime) -> dict[SeriesKey, float]:
    (sample,) = metrics.readings(RouterCounters("shop", name, ("a", "b")), at, SECOND, 1).samples
    return {SeriesKey(Process(), key.revision, key.measure): counted.value for key, counted in sample.items()}


def test_requests_and_failures_are_read_and_nothing_else(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape(
        completed("one", "a", 100),
        completed("one", "a/preview", 7),
        completed("one", "c", 8),
        completed("other", "a", 9),
        answered("one", "a", 2, 95),
        answered("one", "a", 5, 5),
        turned_away("one", "a", 429, 3),
        turned_away("one", "a", 404, 4),
        completed("one", "b", math.nan),
    )

    assert router_sample(metrics, "one", at) == {
        SeriesKey(Process(), "a", "requests"): 100.0,
        SeriesKey(Process(), "a", "failed"): 5.0,
        SeriesKey(Process(), "a", "turned away"): 3.0,
    }


def test_each_process_that_counts_is_an_owner_of_its_own(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime], prometheus_server: Scraped
) -> None:
    at = scrape(completed("owned", "a", 1), buckets("owned", "a", 3, 4))
    (router,) = metrics.readings(RouterCounters("shop", "owned", ("a",)), at, SECOND, 1).samples
    (server,) = metrics.readings(ServerCounters("shop", "owned", ("a",)), at, SECOND, 1).samples
    owner = Process(instance=prometheus_server.target)

    assert {key: counted.value for key, counted in router.items()} == {SeriesKey(owner, "a", "requests"): 1.0}
    assert {key: counted.value for key, counted in server.items()} == {
        SeriesKey(owner, "a", "duration", "0.5"): 3.0,
        SeriesKey(owner, "a", "duration", "+Inf"): 4.0,
    }


def test_a_range_has_a_sample_per_point_also_where_there_was_nothing(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape(completed("ranged", "a", 100))
    long_ago = metrics.readings(RouterCounters("shop", "ranged", ("a",)), at - 6000 * SECOND, SECOND, 6001)

    assert len(long_ago.samples) == 6001
    assert long_ago.samples[0] == {}
    assert [counted.value for counted in long_ago.samples[-1].values()] == [100.0]


MeasurementsOf = Callable[..., Measured]


@pytest.fixture
def measurements_of(metrics: PrometheusMetrics, a_spec: Callable[..., ModelDeploymentSpec]) -> MeasurementsOf:
    """What is measured of a rollout of `b` beside `a`, whose canary began at `since`, up to `end`."""
    spec = replace(a_spec(), analysis=replace(a_spec().analysis, interval=SECOND))

    def measure(name: str, since: datetime, end: datetime, collector: MetricsCollector | None = None) -> Measured:
        rollout = Rollout("b", since, 1, since, (Shift(since, 10),))
        look = Look(Arms("shop", name, "a", "b"), rollout, spec, Criteria(spec.analysis, 0.05), SECOND, end)
        measured = (collector or MetricsCollector(metrics)).measure(look)
        assert isinstance(measured, Measured)
        return measured

    return measure


def test_the_first_failure_of_a_series_that_is_born_with_it_is_counted(
    measurements_of: MeasurementsOf, scrape: Callable[..., datetime]
) -> None:
    since = scrape(completed("born", "a", 100), completed("born", "b", 10), buckets("born", "a", 90, 100))
    settled = scrape(completed("born", "a", 100), completed("born", "b", 10), buckets("born", "a", 90, 100))
    until(lambda: whole_second() > settled + SECOND)
    end = scrape(
        completed("born", "a", 190),
        completed("born", "b", 20),
        answered("born", "b", 5, 3),
        buckets("born", "a", 180, 190),
        buckets("born", "b", 4, 10),
    )
    test, measurements, _ = measurements_of("born", since, end)

    assert measurements.exposed == Counts(10, 3)
    assert measurements.reference == Durations((0.5, math.inf), (90, 100))
    bounds = (0.5, math.inf)
    assert test.candidate == Counts(10, 3, Durations(bounds, (4, 10)))
    assert test.stable == Counts(90, 0, Durations(bounds, (90, 90)))


def test_a_restarted_operator_sees_the_same(
    metrics: PrometheusMetrics, measurements_of: MeasurementsOf, scrape: Callable[..., datetime]
) -> None:
    since = scrape(completed("again", "a", 100), completed("again", "b", 10))
    middle = scrape(completed("again", "a", 150), completed("again", "b", 14))
    end = scrape(completed("again", "a", 190), completed("again", "b", 20))
    collector = MetricsCollector(metrics)

    measurements_of("again", since, middle, collector)
    gone_on, anew = measurements_of("again", since, end, collector), measurements_of("again", since, end)
    assert (gone_on.measurements, gone_on.test.last) == (anew.measurements, anew.test.last)
    assert (gone_on.test.stable, gone_on.test.candidate) == (anew.test.stable, anew.test.candidate)


def test_a_share_counts_live_and_preview_apart(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime], a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    since = scrape(completed("shared", "a", 100), completed("shared", "b", 10), completed("shared", "b/preview", 5))
    end = scrape(completed("shared", "a", 190), completed("shared", "b", 20), completed("shared", "b/preview", 6))

    share = MetricsCollector(metrics).share("shop", "shared", a_spec(), end - since, end)
    assert share is not None
    assert (share.live, share.preview) == ({"a": 90, "b": 10}, {"b": 1})
    assert share.since <= since < share.until <= end  # as it was counted


def test_without_series_of_the_routers_nothing_can_be_seen(
    metrics: PrometheusMetrics,
    measurements_of: MeasurementsOf,
    scrape: Callable[..., datetime],
    a_spec: Callable[..., ModelDeploymentSpec],
) -> None:
    at = scrape()

    assert MetricsCollector(metrics).share("shop", "nobody", a_spec(), SECOND, at) is None
    assert measurements_of("nobody", at - 3 * SECOND, at).measurements.missing == (
        MetricsGap(
            "NoRouterSeries",
            "Prometheus has no counters of the routers for shop/nobody; "
            "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
        ),
    )


def test_a_query_that_prometheus_refuses_is_told_with_its_reason(metrics: PrometheusMetrics) -> None:
    class Nonsense:
        promql = "{"
        start = StartGauge("up", counts_up=False)
        looks_back = SECOND

        def with_start(self, target: str) -> str:
            """Never asked, either."""
            return target

        def is_start(self, labels: object) -> bool:
            """Nor this."""
            return False

        def key(self, labels: object) -> None:
            """Never asked."""

    with pytest.raises(MetricsUnavailable, match=r"Prometheus at http://127.0.0.1:\d+ refused a query: .*parse error"):
        metrics.readings(Nonsense(), whole_second(), SECOND, 1)


def test_prometheus_away_is_told_with_its_address(
    closed_port: int, measurements_of: MeasurementsOf, a_spec: Callable[..., ModelDeploymentSpec]
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    metrics = PrometheusMetrics(url)

    with pytest.raises(MetricsUnavailable, match=f"Prometheus at {url} can't be reached"):
        metrics.readings(RouterCounters("shop", "one", ("a",)), whole_second(), SECOND, 1)
    away = measurements_of("one", whole_second(), whole_second(), MetricsCollector(metrics))
    assert {gap.reason for gap in away.measurements.missing} == {"MetricsUnavailable"}
    assert MetricsCollector(metrics).share("shop", "one", a_spec(), SECOND, whole_second()) is None


def twice(name: str, one: float, other: float) -> str:
    cluster, metric = f'envoy_cluster_name="shop/{name}/a"', "envoy_cluster_upstream_rq_completed"
    return f'{metric}{{{cluster},replica="0"}} {one}\n{metric}{{{cluster},replica="1"}} {other}\n'


def test_the_same_counter_in_two_series_is_counted_once(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape(twice("same", 5, 5))
    readings = metrics.readings(RouterCounters("shop", "same", ("a",)), at, SECOND, 1)

    assert readings.doubt is None
    assert [counted.value for counted in readings.samples[0].values()] == [5.0]


def test_two_series_that_count_the_same_and_do_not_agree_are_told_and_judged_by_nobody(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape(twice("twice", 5, 7))
    readings = metrics.readings(RouterCounters("shop", "twice", ("a",)), at, SECOND, 1)

    assert readings.samples == [{}]
    assert readings.doubt is not None
    assert readings.doubt.reason == "CountedTwice"
    assert """don't agree, {replica="1"} and {replica="0"}: the count went back from 7 to 5""" in readings.doubt.message


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        pytest.param(60, r"is (59|60|61) s ahead of the operator's", id="a minute ahead"),
        pytest.param(-60, r"is (59|60|61) s behind the operator's", id="a minute behind"),
    ],
)
def test_a_prometheus_with_another_clock_is_told_and_judged_by_nobody(
    seconds: int, sentence: str, answering: Callable[..., str]
) -> None:
    date = format_datetime(whole_second() + seconds * SECOND, usegmt=True)
    metrics = PrometheusMetrics(answering({"Date": date}))

    with pytest.raises(MetricsUnavailable, match=sentence):
        metrics.readings(RouterCounters("shop", "one", ("a",)), whole_second(), SECOND, 1)


@pytest.mark.parametrize(
    ("files", "authorization"),
    [
        pytest.param({}, None, id="nothing: nothing"),
        pytest.param({"token": "abc\n"}, "Bearer abc", id="a token"),
        pytest.param({"username": "me", "password": "secret"}, "Basic bWU6c2VjcmV0", id="a name and a password"),
    ],
)
def test_what_the_secret_holds_is_shown_to_prometheus_and_may_rotate(
    files: dict[str, str],
    authorization: str | None,
    answering: Callable[..., str],
    asked: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    metrics = PrometheusMetrics(answering({}), PrometheusAccess(tmp_path))
    for name, content in files.items():
        (tmp_path / name).write_text(content)  # after the start: it is read at each request

    metrics.readings(RouterCounters("shop", "one", ("a",)), whole_second(), SECOND, 1)
    assert asked[-1].get("Authorization") == authorization


def test_an_own_query_has_the_values_of_each_series(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    since = scrape(completed("asked", "a", 4), completed("asked", "b", 6))
    end = scrape(completed("asked", "a", 5))
    name = 'envoy_cluster_upstream_rq_completed{envoy_cluster_name=~"shop/asked/.*"}'

    assert metrics.series(f"max({name})", since, end - since, 2) == [[6.0, 5.0]]
    assert metrics.series("vector(1) / 0", end, SECOND, 1) == [[math.inf]]
    assert metrics.series("nothing_of_that_name", end, SECOND, 2) == []


@pytest.fixture
def asked() -> list[dict[str, str]]:
    """The headers of each request that `answering` got."""
    return []


@pytest.fixture
def answering(asked: list[dict[str, str]]) -> Iterator[Callable[..., str]]:
    """Starts something that answers every query with nothing, and these headers; gives back its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(headers: dict[str, str]) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(dict(self.headers))
                body = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
                self.send_response_only(200)
                for name, value in ({"Date": self.date_time_string()} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
