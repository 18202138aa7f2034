"""What the made-up Prometheus and routers say is what the operator reads."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.scale.synthetic import Prometheus, Routers, World, scrapes
from benchmarks.scale.traffic import RATE, ROUTERS, Counter
from tidegate.metrics.falls import Scraped
from tidegate.metrics.increments import ANSWERED, DURATION, FAILED, REQUESTS
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.observers.model_server import ServerCounters
from tidegate.metrics.provider import CounterQuery
from tidegate.metrics.raw_series import read
from tidegate.resources.sampling import SamplesRequest, read_answer, request_body

KEY = b"0" * 32


@pytest.fixture
def world() -> World:
    """Half of a model's requests go to each of two revisions, of which one has three pods."""
    found = World()
    metadata = {"namespace": "shop", "name": "m"}
    backends = [{"revision": "m-1", "weight": 50}, {"revision": "m-2", "weight": 50}]
    found.take_route("ADDED", {"metadata": metadata, "spec": {"backends": backends}})
    pods = {"metadata": {"namespace": "shop", "name": "m-1"}, "spec": {"replicas": 3}}
    found.take_deployment("ADDED", pods)
    return found


class Store:
    """Asks the made-up Prometheus as the real one's client does."""

    def __init__(self, world: World) -> None:
        self._prometheus = Prometheus(world)

    def raw(self, promql: str, since: datetime, until: datetime) -> list[Scraped]:
        seconds = int((until - since).total_seconds())
        document = json.loads(self._prometheus.answer(f"{promql}[{seconds}s]", until.timestamp()))
        return [
            Scraped(each["metric"], [(float(at), float(value)) for at, value in each["values"]])
            for each in document["data"]["result"]
        ]


def counted(world: World, query: CounterQuery, measure: str) -> Mapping[str, float]:
    """Per revision, what all processes together count in a minute's time."""
    at = datetime.fromtimestamp(time.time() + 120, UTC)  # noqa: TID251 - the made-up world's clock
    (sample,) = read(Store(world), query, at, timedelta(seconds=1), 1).samples
    found: dict[str, float] = {}
    for key, value in sample.items():
        if key.measure == measure:
            found[key.revision] = found.get(key.revision, 0.0) + value.value
    return found


def test_the_routers_counters_are_read(world: World) -> None:
    query = RouterCounters("shop", "m", ["m-1", "m-2"])
    requests = counted(world, query, REQUESTS)
    assert requests.keys() == {"m-1", "m-2"}
    assert all(RATE / 2 * 90 < value < RATE / 2 * 130 for value in requests.values())
    assert counted(world, query, FAILED).keys() == {"m-1", "m-2"}


def test_the_servers_buckets_are_read_pod_by_pod(world: World) -> None:
    query = ServerCounters("shop", "m", ["m-1", "m-2"])
    assert counted(world, query, DURATION).keys() == {"m-1", "m-2"}


def test_nobody_else_is_told_of(world: World) -> None:
    assert counted(world, RouterCounters("shop", "other", ["m-1"]), REQUESTS) == {}
    assert counted(world, ServerCounters("shop", "m", ["m-2"]), ANSWERED) == {}


def test_a_router_answers_what_it_is_asked_with_its_signature(world: World) -> None:
    request = SamplesRequest(("shop/m/m-1", "shop/m/m-1/preview", "shop/m/gone"), "0" * 32)
    body, signature = Routers(world, KEY).answer("tidegate/router-0", request_body(request))
    answer = read_answer(KEY, body, signature, router="tidegate/router-0", nonce=request.nonce)
    clusters = {line.partition('cluster_name="')[2].partition('"')[0] for line in answer.metrics.splitlines()}
    assert clusters == {"shop/m/m-1", "shop/m/m-1/preview"}


def test_a_counter_bends_where_its_share_changes() -> None:
    counter = Counter()
    counter.share(100.0, 50)
    counter.share(110.0, 0)
    assert [counter.at(at) for at in (90.0, 100.0, 105.0, 110.0, 200.0)] == [
        0.0,
        0.0,
        RATE / 2 * 5,
        RATE / 2 * 10,
        RATE / 2 * 10,
    ]


def test_scrapes_are_at_whole_intervals() -> None:
    assert scrapes(100.0, 40) == [75.0, 90.0]
    assert scrapes(90.0, 15) == [90.0]
    assert len(ROUTERS) == 2
