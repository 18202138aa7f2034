"""Counters from a real Prometheus, and what the Witness makes of them."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Scraped, until
from tidegate.clients.prometheus import PrometheusMetrics, RouterCounters, ServerDurations
from tidegate.clients.sight import Witness
from tidegate.errors import MetricsUnavailable
from tidegate.judge.increments import Sample, SeriesKey
from tidegate.model.evidence import Blindness, Counts, Durations, Sight, total
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Share

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


def router_sample(metrics: PrometheusMetrics, name: str, at: datetime) -> Sample:
    (sample,) = metrics.samples(RouterCounters("shop", name, ("a", "b")), at, SECOND, 1)
    return {SeriesKey("", key.revision, key.measure): value for key, value in sample.items()}


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
        SeriesKey("", "a", "requests"): 100.0,
        SeriesKey("", "a", "failed"): 5.0,
        SeriesKey("", "a", "turned away"): 3.0,
    }


def test_each_process_that_counts_is_an_owner_of_its_own(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime], prometheus_server: Scraped
) -> None:
    at = scrape(completed("owned", "a", 1), buckets("owned", "a", 3, 4))
    (router,) = metrics.samples(RouterCounters("shop", "owned", ("a",)), at, SECOND, 1)
    (server,) = metrics.samples(ServerDurations("shop", "owned", ("a",)), at, SECOND, 1)
    owner = f"tests/{prometheus_server.target}/"

    assert dict(router) == {SeriesKey(owner, "a", "requests"): 1.0}
    assert dict(server) == {SeriesKey(owner, "a", "0.5"): 3.0, SeriesKey(owner, "a", "+Inf"): 4.0}


def test_a_range_has_a_sample_per_point_also_where_there_was_nothing(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape(completed("ranged", "a", 100))
    long_ago = metrics.samples(RouterCounters("shop", "ranged", ("a",)), at - 6000 * SECOND, SECOND, 6001)

    assert len(long_ago) == 6001
    assert long_ago[0] == {}
    assert list(long_ago[-1].values()) == [100.0]


def sight_of(metrics: PrometheusMetrics, name: str, since: datetime, until_then: datetime) -> Sight | Blindness:
    rollout = Rollout("b", since, 1, since, (Shift(since, 10),))
    return Witness(metrics).sight("shop", name, "a", rollout, step=SECOND, settle=SECOND, until=until_then)


def test_the_first_failure_of_a_series_that_is_born_with_it_is_counted(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
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
    sight = sight_of(metrics, "born", since, end)

    assert isinstance(sight, Sight)
    assert sight.exposed == Counts(10, 3)
    assert sight.reference == Durations((0.5, math.inf), (90, 100))
    bounds = (0.5, math.inf)
    assert total([poll.candidate for poll in sight.polls]) == Counts(10, 3, Durations(bounds, (4, 10)))
    assert total([poll.stable for poll in sight.polls]) == Counts(90, 0, Durations(bounds, (90, 90)))


def test_a_restarted_operator_sees_the_same(metrics: PrometheusMetrics, scrape: Callable[..., datetime]) -> None:
    since = scrape(completed("again", "a", 100), completed("again", "b", 10))
    middle = scrape(completed("again", "a", 150), completed("again", "b", 14))
    end = scrape(completed("again", "a", 190), completed("again", "b", 20))
    rollout = Rollout("b", since, 1, since, (Shift(since, 10),))
    witness = Witness(metrics)

    def look(with_witness: Witness, then: datetime) -> Sight | Blindness:
        return with_witness.sight("shop", "again", "a", rollout, step=SECOND, settle=SECOND, until=then)

    look(witness, middle)
    assert look(witness, end) == look(Witness(metrics), end)


def test_a_share_counts_live_and_preview_apart(metrics: PrometheusMetrics, scrape: Callable[..., datetime]) -> None:
    since = scrape(completed("shared", "a", 100), completed("shared", "b", 10), completed("shared", "b/preview", 5))
    end = scrape(completed("shared", "a", 190), completed("shared", "b", 20), completed("shared", "b/preview", 6))

    assert Witness(metrics).share("shop", "shared", since, end) == Share(since, end, {"a": 90, "b": 10}, {"b": 1})


def test_without_series_of_the_routers_nothing_can_be_seen(
    metrics: PrometheusMetrics, scrape: Callable[..., datetime]
) -> None:
    at = scrape()

    assert Witness(metrics).share("shop", "nobody", at - SECOND, at) is None
    assert sight_of(metrics, "nobody", at - 3 * SECOND, at) == Blindness(
        "NoRouterSeries",
        "Prometheus has no counters of the routers for shop/nobody; "
        "check that it scrapes the router's pods (port 9902, /stats/prometheus)",
    )


def test_a_query_that_prometheus_refuses_is_told_with_its_reason(metrics: PrometheusMetrics) -> None:
    class Nonsense:
        promql = "{"

        def key(self, labels: object) -> None:
            """Never asked."""

    with pytest.raises(MetricsUnavailable, match=r"Prometheus at http://127.0.0.1:\d+ refused a query: .*parse error"):
        metrics.samples(Nonsense(), whole_second(), SECOND, 1)


def test_prometheus_away_is_told_with_its_address(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    metrics = PrometheusMetrics(url)

    with pytest.raises(MetricsUnavailable, match=f"Prometheus at {url} can't be reached"):
        metrics.samples(RouterCounters("shop", "one", ("a",)), whole_second(), SECOND, 1)
    assert isinstance(sight_of(metrics, "one", whole_second(), whole_second()), Blindness)
    assert Witness(metrics).share("shop", "one", whole_second(), whole_second() + SECOND) is None
