"""How Prometheus is asked: once, within a budget, with what its installation wants, by the samples' own times."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from urllib.parse import parse_qs, urlsplit

import pytest

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.increments import Counted, Process, SeriesKey
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.providers import prometheus as module
from tidegate.metrics.providers.prometheus import PrometheusMetrics
from tidegate.metrics.providers.prometheus_auth import PrometheusAccess
from tidegate.settings import QuerySettings

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HANGS = 30.0  # seconds
QUERY = RouterCounters("shop", "digits", ("a",))
SERIES = {
    "metric": {"__name__": "envoy_cluster_upstream_rq_completed", "envoy_cluster_name": "shop/digits/a", "pod": "r-1"},
    "values": [[AT.timestamp() - 17.25, "8"], [AT.timestamp() - 2.25, "9"], [AT.timestamp() - 1, "NaN"]],
}


@dataclass
class Store:
    """Answers every query, and keeps what it was asked."""

    url: str = ""
    status: int = 200
    answers: Callable[[str], list[Mapping[str, object]]] = lambda query: [SERIES]
    headers: dict[str, str] = field(default_factory=dict)
    hangs: Event = field(default_factory=Event)
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    """Path, parameters and headers of each request."""

    def __post_init__(self) -> None:
        self.hangs.set()


@pytest.fixture
def store() -> Iterator[Store]:
    """An HTTP server of its own."""
    store = Store()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            url = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(url.query).items()}
            store.asked.append((url.path, parameters, dict(self.headers)))
            store.hangs.wait(HANGS)
            result = store.answers(parameters["query"])
            body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()
            self.send_response_only(store.status)
            now = datetime.now(UTC)  # noqa: TID251 - as a real Prometheus says it
            for name, value in ({"Date": format_datetime(now, usegmt=True)} | store.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield store
    store.hangs.set()
    server.shutdown()
    server.server_close()


def test_a_front_end_that_aligns_ranges_to_its_step_changes_nothing(store: Store) -> None:
    """Nothing is asked for by a range of points: a selector's own samples, with their own times."""
    readings = PrometheusMetrics(store.url).readings(QUERY, AT - 3 * SECOND, SECOND, 4)
    key = SeriesKey(Process(pod="r-1"), "a", "requests")

    assert [path for path, _, _ in store.asked] == ["/api/v1/query"]
    assert store.asked[0][1]["query"].endswith("[303s]")
    assert store.asked[0][1]["time"] == str(AT.timestamp())
    before, after = Counted(8, AT.timestamp() - 17.25), Counted(9, AT.timestamp() - 2.25)
    assert [sample[key] for sample in readings.samples] == [before, after, after, after]
    assert (readings.newest, readings.interval) == (AT.timestamp() - 2.25, 15.0)


def test_an_own_query_has_its_values_where_a_front_end_has_moved_its_points(store: Store) -> None:
    step, start = 10 * SECOND, AT + 7 * SECOND
    moved = {"metric": {}, "values": [[AT.timestamp() + 10 * point, str(point)] for point in range(3)]}
    store.answers = lambda query: [moved]

    assert PrometheusMetrics(store.url).series("up", start, step, 3) == [[0.0, 1.0, 2.0]]


def test_matchers_headers_and_parameters_are_in_every_query(store: Store, tmp_path: Path) -> None:
    (tmp_path / "header.X-Scope-OrgID").write_text("secret-team\n")
    queries = QuerySettings('cluster="a"', {"X-Shard": "1"}, {"nocache": "1"})
    metrics = PrometheusMetrics(store.url, PrometheusAccess(tmp_path), queries)
    metrics.readings(QUERY, AT, SECOND, 1)
    metrics.series("up", AT, SECOND, 1)

    (_, first, headers), (_, second, others) = store.asked
    assert ',cluster="a"}[' in first["query"]
    assert second["query"] == "up"  # a query of the user's own says itself what it means
    assert {each["nocache"] for each in (first, second)} == {"1"}
    assert {(each["X-Scope-OrgID"], each["X-Shard"]) for each in (headers, others)} == {("secret-team", "1")}


def test_matchers_that_match_nothing_are_told(store: Store) -> None:
    store.answers = lambda query: [] if "cluster" in query.replace("envoy_cluster", "") else [SERIES]
    readings = PrometheusMetrics(store.url, queries=QuerySettings('cluster="typo"')).readings(QUERY, AT, SECOND, 1)

    assert readings.doubt is not None
    assert readings.doubt.reason == "MatchersMatchNothing"
    assert 'none that match prometheus.matchers, {cluster="typo"}' in readings.doubt.message


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_is_busy_is_not_asked_again_at_once(status: int, store: Store) -> None:
    store.status, store.headers = status, {"Retry-After": "60"}
    began = monotonic()

    with pytest.raises(MetricsUnavailable, match=f"HTTP Status Code {status}"):
        PrometheusMetrics(store.url).readings(QUERY, AT, SECOND, 1)
    assert len(store.asked) == 1
    assert monotonic() - began < 60


def test_a_store_that_hangs_is_given_up_after_the_budget(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (1, 0.5))
    store.hangs.clear()
    began = monotonic()

    with pytest.raises(MetricsUnavailable, match=r"can't be reached \(ReadTimeout\)"):
        PrometheusMetrics(store.url).readings(QUERY, AT, SECOND, 1)
    assert len(store.asked) == 1
    assert monotonic() - began < HANGS


@pytest.mark.parametrize("status", [200, 503])
def test_each_query_is_told_with_how_it_went_and_how_long_it_took(status: int, store: Store) -> None:
    told: list[tuple[bool, float]] = []
    store.status = status
    metrics = PrometheusMetrics(store.url, queried=lambda answered, seconds: told.append((answered, seconds)))
    with nullcontext() if status == 200 else pytest.raises(MetricsUnavailable):
        metrics.series("up", AT, SECOND, 2)

    assert [(answered, 0 < seconds < 10) for answered, seconds in told] == [(status == 200, True)]
