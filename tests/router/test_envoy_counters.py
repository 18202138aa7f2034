"""Exactly the clusters that were asked for are read, in as many questions as Envoy bears."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from benchmarks.programs import free_ports
from tidegate.resources.sampling import MOST_CLUSTERS
from tidegate.router.bootstrap import STARTED
from tidegate.router.envoy_counters import (
    LONGEST_PATTERN,
    EnvoyCounters,
    EnvoyUnavailable,
    Reading,
    merged,
    patterns,
    started_of,
)

CLUSTER = "shop/sentiment/sentiment-6f9c1d2e"


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        (f"cluster.{CLUSTER}.upstream_rq_completed", True),
        (f"cluster.{CLUSTER}.upstream_rq_time", True),
        (f"cluster.{CLUSTER}.upstream_rq_5xx", True),
        (f"cluster.{CLUSTER}.upstream_rq_429", True),
        (f"cluster.{CLUSTER}.upstream_cx_none_healthy", True),
        (f"cluster.{CLUSTER}.upstream_rq_2xx", False),
        (f"cluster.{CLUSTER}.membership_total", False),
        (f"cluster.{CLUSTER}.upstream_rq_completed_too", False),
        (f"cluster.{CLUSTER}/preview.upstream_rq_completed", False),
        (f"cluster.{CLUSTER}0.upstream_rq_completed", False),
        (f"cluster.x{CLUSTER}.upstream_rq_completed", False),
        (f"http.cluster.{CLUSTER}.upstream_rq_completed", False),
        (f"clusterx{CLUSTER}.upstream_rq_completed", False),
    ],
)
def test_what_is_read_of_one_cluster(name: str, is_read: bool) -> None:
    (pattern,) = patterns([CLUSTER])

    assert bool(re.search(unquote(pattern), name)) is is_read


def test_the_longest_request_becomes_several_questions_that_hold_each_cluster_once() -> None:
    part = "x" * 59
    clusters = [f"{part}/{part}/{part}{number:04d}/preview" for number in range(MOST_CLUSTERS)]
    found = list(patterns([*clusters, *clusters]))

    asked = [cluster for each in found for cluster in unquote(each).split("(")[1].split(")")[0].split("|")]
    assert asked == clusters
    assert len(found) > 5
    assert all(len(unquote(each)) < LONGEST_PATTERN + 500 for each in found)


def test_several_texts_become_one_with_each_metric_in_one_place() -> None:
    texts = ["# TYPE a counter\na{x} 1\n\n# TYPE b histogram\nb{x} 2\n", "# TYPE b histogram\nb{y} 3\n", ""]

    assert merged(texts) == "# TYPE a counter\na{x} 1\n# TYPE b histogram\nb{x} 2\nb{y} 3\n"


@pytest.mark.parametrize("info", ["{}", '{"node": []}', '{"node": {"metadata": {}}}', "", "[]"])
def test_an_envoy_that_does_not_say_when_it_was_started_is_not_read(info: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        started_of(info)


class FakeEnvoy(ThreadingHTTPServer):
    """An admin port. Each connection is closed after `answers` of them."""

    def __init__(self, started: float) -> None:
        self.started, self.connections, self.answers, self.pause = started, 0, 1000, 0.0
        self.status = 200
        self.port: int
        super().__init__(("127.0.0.1", 0), _Admin)
        self.daemon_threads = True
        self.port = self.server_port
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that has stopped waiting is part of the tests."""


class _Admin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeEnvoy

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.left = self.server.answers

    def do_GET(self) -> None:
        info = json.dumps({"node": {"metadata": {STARTED: str(self.server.started)}}})
        body = info.encode() if self.path == "/server_info" else b"envoy_x 7\n"
        time.sleep(self.server.pause)
        self.send_response(200 if self.path == "/server_info" else self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.left -= 1
        self.close_connection = self.left == 0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Quiet."""


Connect = Callable[..., EnvoyCounters]


@pytest.fixture
def connect() -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:

        def made(port: int, **bounds: float) -> EnvoyCounters:
            return stack.enter_context(contextlib.closing(EnvoyCounters(port, **bounds)))

        yield made


@pytest.fixture
def envoy() -> Iterator[FakeEnvoy]:
    server = FakeEnvoy(1767225600.25)
    yield server
    server.shutdown()
    server.server_close()


def test_one_connection_is_kept_and_asked_once_whose_it_is(envoy: FakeEnvoy, connect: Connect) -> None:
    counters = connect(envoy.port)
    readings = [counters.read([CLUSTER]) for _ in range(3)]

    assert [(reading.started, reading.metrics) for reading in readings] == [(1767225600.25, "envoy_x 7\n")] * 3
    assert [reading.time for reading in readings] == sorted(reading.time for reading in readings)
    assert envoy.connections == 1


def test_a_connection_that_ended_is_made_anew_and_asked_again_whose_it_is(envoy: FakeEnvoy, connect: Connect) -> None:
    envoy.answers = 2
    counters = connect(envoy.port)
    first = counters.read([CLUSTER])
    envoy.started += 60

    assert (first.started, counters.read([CLUSTER]).started) == (1767225600.25, 1767225660.25)
    assert envoy.connections == 2


def test_what_two_runs_of_envoy_have_counted_is_never_in_one_reading(envoy: FakeEnvoy, connect: Connect) -> None:
    envoy.answers = 3  # the second question of the second reading meets another run
    counters = connect(envoy.port)
    counters.read([CLUSTER])
    envoy.started += 60
    long = "x" * 60
    many = [f"{long}/{long}/{long}{number}" for number in range(100, 190)]

    reading = counters.read(many)

    assert len(list(patterns(many))) == 2
    assert (reading.started, envoy.connections) == (1767225660.25, 2)


def test_an_envoy_that_hangs_is_not_waited_for_long(envoy: FakeEnvoy, connect: Connect) -> None:
    envoy.pause = 1.0
    counters = connect(envoy.port, timeout_seconds=0.1)

    with pytest.raises(EnvoyUnavailable, match="Envoy doesn't answer: timed out"):
        counters.read([CLUSTER])


def test_an_envoy_that_refuses_is_told(envoy: FakeEnvoy, connect: Connect) -> None:
    envoy.status = 431

    with pytest.raises(EnvoyUnavailable, match="status 431 of /stats/prometheus"):
        connect(envoy.port).read([CLUSTER])


def test_where_no_envoy_is_none_answers(connect: Connect) -> None:
    (port,) = free_ports(1)

    with pytest.raises(EnvoyUnavailable, match=r"Envoy doesn't answer: .*refused"):
        connect(port).read([CLUSTER])


def test_questions_wait_for_their_turn_and_not_for_ever(envoy: FakeEnvoy, connect: Connect) -> None:
    envoy.pause = 0.5
    counters = connect(envoy.port, wait_seconds=0.1)
    found: list[Reading] = []
    first = threading.Thread(target=lambda: found.append(counters.read([CLUSTER])))
    first.start()
    time.sleep(0.1)

    with pytest.raises(EnvoyUnavailable, match="still busy"):
        counters.read([CLUSTER])
    first.join()
    assert len(found) == 1
