"""What a real Envoy has counted is what its router tells whoever has the key: exactly that, and at once."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.router.conftest import LIVE_NEW, LIVE_OLD, NEW, OLD, Bench, Router, Well, until
from tidegate.resources.sampling import (
    PATH,
    SIGNATURE,
    SamplesAnswer,
    SamplesRequest,
    read_answer,
    request_body,
    sign_request,
)
from tidegate.router.sampling_server import SamplingServer, serve

pytestmark = pytest.mark.router
KEY, NAME = b"k" * 32, "tidegate/tidegate-router-x"


@dataclass
class Reader:
    """An operator that reads one router."""

    port: int
    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, *clusters: str) -> SamplesAnswer:
        with self.lock:
            self.number += 1
            nonce = f"{self.number:032x}"
        body = request_body(SamplesRequest(clusters, nonce))
        reply = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        reply.request("POST", PATH, body, {SIGNATURE: sign_request(KEY, NAME, body)})
        response = reply.getresponse()
        text = response.read()
        assert response.status == 200, text
        answer = read_answer(KEY, text, response.headers[SIGNATURE], router=NAME, nonce=nonce)
        reply.close()
        return answer


Series = dict[tuple[str, str, str], float]


def series_of(answer: SamplesAnswer) -> Series:
    """(series, cluster, its other label) → value."""
    return {
        (sample.name, sample.labels["envoy_cluster_name"], other_label(sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.metrics)
        for sample in family.samples
    }


def other_label(labels: dict[str, str]) -> str:
    return next((value for name, value in labels.items() if name != "envoy_cluster_name"), "")


Serve = Callable[[Router], Reader]


@pytest.fixture
def reader_of(tmp_path: Path) -> Iterator[Serve]:
    (tmp_path / "key").write_bytes(KEY)
    servers: list[SamplingServer] = []

    def start(router: Router) -> Reader:
        server = serve(0, Well(), NAME, tmp_path, router.admin_port)
        servers.append(server)
        return Reader(server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def router(bench: Bench) -> Router:
    """Half of the requests go to a revision that answers, half to one that fails."""
    old, new = bench.server(OLD), bench.server(NEW, behaviour="fail")
    other = bench.server("other-cccccccc")
    router = bench.router()
    routes = [bench.route((OLD, 50), (NEW, 50)), bench.route(("other-cccccccc", 100), name="other")]
    router.start(routes, bench.endpoints(old, new, other))
    return router


def send(router: Router, number: int) -> dict[str, int]:
    """How many requests were answered with which status."""
    statuses = [router.get().status for _ in range(number)]
    return {str(status): statuses.count(status) for status in statuses}


def test_the_counts_are_those_of_what_was_sent_and_of_nothing_else(
    router: Router, reader_of: Serve, bench: Bench
) -> None:
    reader = reader_of(router)
    sent = send(router, 40)
    for _ in range(3):
        router.get(host="other.shop")
        router.get(x_tidegate_revision=NEW)
    found = series_of(reader.read(LIVE_OLD, LIVE_NEW))

    assert {cluster for _, cluster, _ in found} == {LIVE_OLD, LIVE_NEW}
    assert found["envoy_cluster_upstream_rq_completed_total", LIVE_OLD, ""] == sent["200"]
    assert found["envoy_cluster_upstream_rq_completed_total", LIVE_NEW, ""] == sent["500"]
    assert found["envoy_cluster_upstream_rq_xx_total", LIVE_NEW, "5"] == sent["500"]
    assert ("envoy_cluster_upstream_rq_xx_total", LIVE_OLD, "5") not in found
    preview = series_of(reader.read(f"{LIVE_NEW}/preview"))
    assert preview["envoy_cluster_upstream_rq_completed_total", f"{LIVE_NEW}/preview", ""] == 3


def test_clusters_that_the_router_does_not_have_are_missing(router: Router, reader_of: Serve) -> None:
    assert reader_of(router).read("shop/sentiment/sentiment-ffffffff").metrics == ""


def test_counters_are_told_at_once_and_histograms_within_about_a_second(router: Router, reader_of: Serve) -> None:
    reader = reader_of(router)

    def read() -> Series:
        return series_of(reader.read(LIVE_OLD, LIVE_NEW))

    for sent in (20, 40, 60):
        send(router, 20)
        ended = time.monotonic()
        assert answers(read()) == sent
        while timed(read()) < sent:
            time.sleep(0.01)
        assert time.monotonic() - ended < 10  # a second, and more where the machine has other work
        assert timed(read()) == sent


def answers(found: Series) -> float:
    return sum(value for (name, _, _), value in found.items() if name == "envoy_cluster_upstream_rq_completed_total")


def timed(found: Series) -> float:
    return sum(value for (name, _, _), value in found.items() if name == "envoy_cluster_upstream_rq_time_count")


def test_what_takes_longer_is_in_other_buckets(bench: Bench, reader_of: Serve) -> None:
    fast, slow = bench.server(OLD, slow_seconds=0.02), bench.server(NEW, slow_seconds=0.12)
    router = bench.router()
    router.start([bench.route((OLD, 50), (NEW, 50))], bench.endpoints(fast, slow))
    reader = reader_of(router)
    sent = 2 * 10
    for revision in (OLD, NEW) * 10:
        assert router.get(x_tidegate_revision=revision).status == 200
    previews = (f"{LIVE_OLD}/preview", f"{LIVE_NEW}/preview")
    until(lambda: timed(series_of(reader.read(*previews))) == sent, "all are timed", 3)
    found = series_of(reader.read(*previews))

    assert found["envoy_cluster_upstream_rq_time_bucket", previews[0], "18"] == 0
    assert found["envoy_cluster_upstream_rq_time_bucket", previews[1], "100"] == 0


def test_a_restart_of_envoy_between_two_readings_changes_when_it_was_started(router: Router, reader_of: Serve) -> None:
    reader = reader_of(router)
    send(router, 10)
    first, again = reader.read(LIVE_OLD), reader.read(LIVE_OLD)
    restarted_at = time.time()  # noqa: TID251 - compared with what the router says by the same clock
    router.restart()
    second = reader.read(LIVE_OLD)

    assert first.started == again.started < restarted_at <= second.started <= second.time
    assert answers(series_of(first)) > 0
    assert answers(series_of(second)) == 0


def test_fifty_that_read_at_once_are_all_answered(router: Router, reader_of: Serve) -> None:
    reader = reader_of(router)
    send(router, 10)
    found: list[SamplesAnswer] = []
    threads = [threading.Thread(target=lambda: found.append(reader.read(LIVE_OLD, LIVE_NEW))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({answer.nonce for answer in found}) == 50
    assert {answers(series_of(answer)) for answer in found} == {10}


def test_five_hundred_clusters_of_the_longest_names_are_read(router: Router, reader_of: Serve) -> None:
    part = "x" * 63
    names = [f"{part}/{part}/{'y' * 59}{number:04d}/preview" for number in range(510)]
    send(router, 4)
    found = series_of(reader_of(router).read(*names, LIVE_OLD, LIVE_NEW))

    assert answers(found) == 4
