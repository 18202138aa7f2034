"""What a real Envoy counts of requests whose clients give up, and that nothing else is taken for one."""

import contextlib
import http.client
import itertools
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.router.conftest import Bench, Router, ask
from tidegate.metrics.falls import Scraped
from tidegate.metrics.increments import counter_increases, counts_of
from tidegate.metrics.observers.envoy import RouterCounters
from tidegate.metrics.raw_series import read
from tidegate.model.evidence import Counts
from tidegate.router.objects import Endpoint

pytestmark = pytest.mark.router

REVISION = "sentiment-a"
GIVES_UP_AFTER = 0.3
QUERY = RouterCounters("shop", "sentiment", (REVISION,))
STEP = timedelta(seconds=1)
_CLUSTER = r'envoy_cluster_name="shop/sentiment/[^/"]+(?:/grpc)?"'
_LINE = re.compile(rf"^(envoy_cluster_\w+)\{{(.*{_CLUSTER}.*)\}} (\S+)$", re.MULTILINE)


@dataclass
class Scraper:
    """Reads a router's metrics page as Prometheus does, as often as it is told, one second apart by its own clock."""

    router: Router

    def __post_init__(self) -> None:
        self._pages: list[str] = []

    def scrape(self, times: int = 1, pause_seconds: float = 0.0) -> None:
        """Also the pages of a router that is asked by clients all the time are read in parts, one after another."""
        for _ in range(times):
            self._pages.append(ask(self.router.metrics_port, "GET", "/stats/prometheus", {}).text)
            time.sleep(pause_seconds)

    def counted(self) -> Counts:
        """Between the first scrape and the last."""
        start = datetime(2026, 1, 1, tzinfo=UTC)
        samples = read(self, QUERY, start, STEP, len(self._pages)).samples
        gains = (counts_of(REVISION, counter_increases(*each)) for each in itertools.pairwise(samples))
        return sum(gains, Counts())

    def raw(self, promql: str, since: datetime, until: datetime) -> Sequence[Scraped]:
        """See RawStore."""
        names = re.search(r'__name__=~"([^"]*)"', promql)
        assert names is not None
        found: dict[str, list[tuple[float, float]]] = {}
        for number, page in enumerate(self._pages):
            at = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + number
            for name, labels, value in _LINE.findall(page):
                if name in names[1].split("|") and _is_wanted(labels):
                    found.setdefault(f'__name__="{name}",{labels}', []).append((at, float(value)))
        return [Scraped(dict(re.findall(r'(\w+)="([^"]*)"', text)), samples) for text, samples in found.items()]


def _is_wanted(labels: str) -> bool:
    return not re.search(r'envoy_response_code(_class)?="(?!5"|429")', labels)


def asked(router: Router, times: int, patience: float = GIVES_UP_AFTER) -> None:
    """Clients that each ask once, and leave where there is no answer within `patience` seconds."""
    for _ in range(times):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", router.port, timeout=patience)) as connection:
            connection.request("GET", "/", headers={"Host": "sentiment.shop"})
            with contextlib.suppress(TimeoutError):
                connection.getresponse().read()


@pytest.fixture
def never_connects() -> Iterator[Endpoint]:
    """An address whose queue of new connections is full, so that nobody gets one."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.4", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield Endpoint(*listening.getsockname())


@pytest.fixture
def scraper(bench: Bench) -> Callable[..., Scraper]:
    def make(*servers: object, timeout: int = 60) -> Scraper:
        router = bench.router()
        router.start([bench.route((REVISION, 100), timeout=timeout)], bench.endpoints(*servers))
        made = Scraper(router)
        made.scrape()
        return made

    return make


def test_requests_of_a_model_that_hangs_have_failed_when_their_clients_give_up(
    bench: Bench, scraper: Callable[..., Scraper]
) -> None:
    hanging = scraper(bench.server(REVISION, slow_seconds=5.0))
    asked(hanging.router, 4)
    hanging.scrape(2, pause_seconds=0.1)

    assert hanging.counted() == Counts(4, 4, abandoned=4)


def test_a_client_that_gives_up_before_there_is_a_connection_is_counted(
    never_connects: Endpoint, scraper: Callable[..., Scraper]
) -> None:
    unreachable = scraper(SimpleNamespace(revision=REVISION, endpoint=never_connects))
    asked(unreachable.router, 2)
    unreachable.scrape(2, pause_seconds=0.1)

    assert unreachable.counted() == Counts(2, 2, abandoned=2)


def test_a_healthy_model_under_load_has_none_that_gave_up(bench: Bench, scraper: Callable[..., Scraper]) -> None:
    healthy = scraper(bench.server(REVISION, "127.0.0.2"), bench.server(REVISION, "127.0.0.3"))
    load = bench.load(healthy.router.port)
    load.start(clients=6, pause_seconds=0.0)
    healthy.scrape(30, pause_seconds=0.05)
    answered = load.stop()
    healthy.scrape(2)

    assert healthy.counted() == Counts(answered["200"])


@pytest.mark.parametrize("behaviour", ["fail", "die", "refuse", "nobody", "one refuses", "too slow"])
def test_what_fails_otherwise_is_counted_once(bench: Bench, scraper: Callable[..., Scraper], behaviour: str) -> None:
    how = {"too slow": {"slow_seconds": 1.5}}.get(behaviour, {"behaviour": behaviour})
    first, second = bench.server(REVISION, "127.0.0.2", **how), bench.server(REVISION, "127.0.0.3")
    servers = {"nobody": (), "one refuses": (first, second)}.get(behaviour, (first,))
    if "refuse" in behaviour:
        first.close()
    router = scraper(*servers, timeout=1)
    asked(router.router, 6 if behaviour == "one refuses" else 2, patience=10.0)
    router.scrape(2, pause_seconds=0.1)

    assert router.counted() == (Counts(6) if behaviour == "one refuses" else Counts(2, 2))


def test_a_change_of_pods_makes_no_failures(bench: Bench, scraper: Callable[..., Scraper]) -> None:
    old, new = bench.server(REVISION, "127.0.0.2"), bench.server(REVISION, "127.0.0.3")
    router = scraper(old)
    asked(router.router, 5)
    router.scrape()
    router.router.publish([bench.route((REVISION, 100))], bench.endpoints(new))
    while not new.requests:
        asked(router.router, 1)
    router.scrape(2)

    assert router.counted().abandoned == 0
    assert router.counted().requests == old.requests + new.requests
