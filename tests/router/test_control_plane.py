"""When the agent tells Envoy: what can't wait at once, and pods that come and go beside others together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

import pytest

from tests.conftest import until
from tests.router.conftest import Agent, Cluster, a_route
from tests.router.envoy_double import EnvoyDouble
from tidegate.router import xds_pb2 as pb
from tidegate.router.ads import Stream
from tidegate.router.control_plane import GATHER_SECONDS
from tidegate.router.objects import Endpoint, Service

MODELS = [f"model-{number}" for number in range(6)]
LONG = 60.0
"""Longer than a test takes: what comes hasn't waited."""

Heard = Callable[[Stream, pb.DeltaDiscoveryRequest | None], None]


class Envoy(Stream):
    """A server and its one stream; its Envoy answers at once. `came`: lines of its journal, and when they came."""

    def __init__(self, _: Path, heard: Heard) -> None:
        self.is_closed = False
        self.came: list[tuple[float, str]] = []
        self._heard, self.double = heard, EnvoyDouble()
        self._news: SimpleQueue[pb.DeltaDiscoveryRequest | None] = SimpleQueue()

    def connect(self) -> None:
        for request in self.double.connect():
            self._news.put(request)

    def send(self, response: pb.DeltaDiscoveryResponse) -> None:
        answers = self.double.take(response)
        self.came.append((monotonic(), self.double.journal[-1]))
        for each in answers:
            self._news.put(each)

    def wake(self) -> None:
        self._news.put(None)

    def wait(self, seconds: float) -> None:
        with suppress(Empty):
            self._take(self._news.get(timeout=seconds))
            while True:
                self._take(self._news.get_nowait())

    def _take(self, news: pb.DeltaDiscoveryRequest | None) -> None:
        if news is not None:
            self._heard(self, news)

    def start(self) -> None:
        """Nobody else connects."""

    stop = close = start

    def lines(self) -> list[str]:
        """What came."""
        return [line for _, line in self.came]


@dataclass
class Router:
    """An agent whose Envoy has a pod of each model."""

    cluster: Cluster
    agent: Agent
    envoy: Envoy
    pods: dict[Service, tuple[Endpoint, ...]]

    def put(self, *, at_once: bool = False, percent: int = 0, **pods: int) -> int:
        """So many pods of these revisions (`_` stands for a hyphen), and a candidate of the first with a share."""
        for name, number in pods.items():
            addresses = (f"10.0.0.{each}" for each in range(1, number + 1))
            self.pods[Service("shop", name.replace("_", "-"))] = tuple(Endpoint(each, 80) for each in addresses)
        first, *others = MODELS
        split = a_route((first, 100 - percent), ("candidate", percent), name=first)
        routes = [split, *(a_route((name, 100), name=name) for name in others)]
        version = self.cluster.put(routes, dict(self.pods))
        self.agent.control_plane.wake(at_once=at_once)
        return version

    def seen(self, lines: int) -> list[str]:
        """So many lines of what Envoy was told, when they have come; that is all."""
        until(lambda: len(self.envoy.came) >= lines)
        found = self.envoy.lines()
        assert len(found) == lines, found
        return found


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Router]:
    connected: list[Envoy] = []

    def server(path: Path, heard: Heard) -> Envoy:
        connected.append(Envoy(path, heard))
        return connected[0]

    monkeypatch.setattr("tidegate.router.control_plane.AdsServer", server)
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", 0.0)
    cluster = Cluster()
    agent = Agent(tmp_path, cluster)
    until(lambda: bool(connected))
    made = Router(cluster, agent, connected[0], {})
    made.envoy.connect()
    assert agent.has(made.put(at_once=True, **dict.fromkeys([*MODELS, "candidate"], 1)))
    made.envoy.came.clear()
    yield made
    agent.stop()


def test_the_first_change_of_pods_after_quiet_goes_at_once(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", LONG)
    router.put(model_0=2)

    assert router.seen(1) == ["endpoints shop/model-0"]


def test_changes_of_pods_that_come_close_together_go_together_and_soon(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", 0.5)
    router.put(model_0=2)
    router.seen(1)
    for number in range(2, 6):
        router.put(model_1=number)
        router.put(model_2=number)

    assert router.seen(2) == ["endpoints shop/model-0", "endpoints shop/model-1 shop/model-2"]
    (first, _), (second, _) = router.envoy.came
    assert 0.4 < second - first < 5
    assert GATHER_SECONDS <= 0.1


def test_a_last_change_of_pods_waits_for_no_other(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", 0.2)
    for number in range(2, 5):
        router.put(model_0=number)
        router.seen(number - 1)


def test_a_new_split_goes_at_once_while_pods_change(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", LONG)
    router.put(model_1=2)
    router.seen(1)
    for percent in (10, 100, 0):
        assert router.agent.has(router.put(at_once=True, percent=percent))

    assert [line.split()[0] for line in router.seen(4)] == ["endpoints", "weights", "weights", "weights"]
    assert router.envoy.double.shares(f"shop/{MODELS[0]}") == {MODELS[0]: 100, "candidate": 0}


def test_what_cannot_wait_takes_along_what_does(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.router.control_plane.GATHER_SECONDS", LONG)
    router.put(model_1=2)
    router.seen(1)
    router.put(model_2=2)
    router.put(at_once=True, model_3=0)

    assert router.seen(2)[-1] == "endpoints shop/model-2 shop/model-3"
