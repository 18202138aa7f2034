"""Who is asked when, and what becomes of an answer that comes late, or never."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.providers.router_samples import RouterPod, RouterSamples
from tidegate.metrics.providers.routers import FAILURES, LIMIT, PAUSE, RouterPoller
from tidegate.resources.sampling import MOST_CLUSTERS, SamplesAnswer

A, B = RouterPod("tidegate", "router-a", "10.0.0.1:9903"), RouterPod("tidegate", "router-b", "10.0.0.2:9903")


class Clock:
    """Both of a wall and one that nobody sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Network:
    """Routers that count a request each second. An answer takes `takes` seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes: dict[str, float] = {}
        self.silent: set[str] = set()
        self.fails_from = 1_000_000
        """The question from which on nothing comes."""
        self.most = 1000
        """Clusters about which an answer still comes in time."""
        self.asked: list[tuple[str, int]] = []

    def ask(self, pod: RouterPod, clusters: Sequence[str]) -> SamplesAnswer:
        self.asked.append((pod.name, len(clusters)))
        if pod.name in self.silent or len(clusters) > self.most or len(self.asked) >= self.fails_from:
            raise MetricsUnavailable("it can't be asked")
        self.clock.now += self.takes.get(pod.name, 0.0)
        count = self.clock.now - 999_000
        text = "".join(
            f'envoy_cluster_upstream_rq_completed{{envoy_cluster_name="{each}"}} {count:.0f}\n' for each in clusters
        )
        return SamplesAnswer("", pod.full_name, 5.0, 5.0 + count, text)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(clock: Clock) -> Network:
    return Network(clock)


@pytest.fixture
def pods() -> list[RouterPod]:
    return [A, B]


@pytest.fixture
def samples(clock: Clock) -> RouterSamples:
    return no_samples(clock)


@pytest.fixture
def read() -> list[tuple[str, str]]:
    """The models of which there may be something new."""
    return []


@pytest.fixture
def poller(
    clock: Clock, network: Network, pods: list[RouterPod], samples: RouterSamples, read: list[tuple[str, str]]
) -> RouterPoller:
    return RouterPoller(samples, lambda: pods, network, lambda *model: read.append(model), steady=clock)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def silent(samples: RouterSamples, poller: RouterPoller) -> dict[str, str] | None:
    """Who isn't heard of, and why; None where nobody is."""
    told = DirectRouters(samples, poller).since("shop", "digits", at(0))
    return None if told is None else dict(told.silent)


def test_nobody_is_asked_while_there_is_no_rollout(poller: RouterPoller, network: Network) -> None:
    poller.round()

    assert network.asked == []


def test_who_does_not_lead_any_more_asks_nobody(
    samples: RouterSamples, pods: list[RouterPod], network: Network
) -> None:
    leads = [True]
    poller = RouterPoller(samples, lambda: pods, network, lambda *_: None, may_ask=lambda: leads[0])
    poller.watch("shop", "digits", ["digits-a"], quick=False)
    poller.round()
    asked = len(network.asked)
    leads[0] = False
    poller.round()

    assert asked
    assert len(network.asked) == asked


def test_each_router_is_asked_once_for_all_rollouts(
    poller: RouterPoller, network: Network, read: list[tuple[str, str]]
) -> None:
    poller.watch("shop", "digits", ["digits-1", "digits-2"], quick=False)
    poller.watch("bank", "fraud", ["fraud-1"], quick=False)
    poller.round()

    assert sorted(network.asked) == [("router-a", 6), ("router-b", 6)]
    assert sorted(read) == [("bank", "fraud"), ("shop", "digits")]


def test_only_rollouts_whose_evidence_rises_are_asked_about_in_between(
    poller: RouterPoller, network: Network, read: list[tuple[str, str]]
) -> None:
    poller.watch("shop", "digits", ["digits-1"], quick=True)
    poller.watch("bank", "fraud", ["fraud-1"], quick=False)
    poller.round(quick_only=True)

    assert sorted(network.asked) == [("router-a", 2), ("router-b", 2)]
    assert read == [("shop", "digits")]


def test_more_clusters_than_one_question_holds_are_asked_for_in_several(
    poller: RouterPoller, network: Network, pods: list[RouterPod]
) -> None:
    pods[:] = [A]
    poller.watch("shop", "digits", [f"digits-{number}" for number in range(300)], quick=False)
    poller.round()

    assert network.asked == [("router-a", MOST_CLUSTERS), ("router-a", 600 - MOST_CLUSTERS)]


def test_an_answer_is_as_of_the_middle_of_its_question(
    poller: RouterPoller, network: Network, pods: list[RouterPod], samples: RouterSamples
) -> None:
    pods[:] = [A]
    network.takes["router-a"] = 0.4
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    poller.round()
    told = DirectRouters(samples, poller).since("shop", "digits", at(0))

    assert told is not None
    assert {counted.at for counted in told.readings.samples[0].values()} == {1_000_000.2}


def test_an_answer_that_took_too_long_is_no_evidence(
    poller: RouterPoller, network: Network, samples: RouterSamples, clock: Clock
) -> None:
    network.takes["router-b"] = LIMIT + 0.1
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    for _ in range(4):
        poller.round()
        clock.now += 1.0

    found = silent(samples, poller)
    assert found is not None
    assert found["router-b"].startswith("its answer took 0.9 s, and 0.8 s is the most")


def test_a_router_that_does_not_answer_is_asked_again_after_a_pause(
    poller: RouterPoller, network: Network, clock: Clock
) -> None:
    network.silent.add("router-b")
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    for _ in range(FAILURES + 2):
        poller.round()
        clock.now += 0.1
    assert [name for name, _ in network.asked].count("router-b") == FAILURES

    clock.now += PAUSE[1]
    poller.round()
    assert [name for name, _ in network.asked].count("router-b") == FAILURES + 1


def test_a_router_that_answers_in_between_is_silent_about_whom_it_never_tells(
    poller: RouterPoller, network: Network, pods: list[RouterPod], samples: RouterSamples, clock: Clock
) -> None:
    pods[:] = [A]
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    poller.watch("bank", "fraud", ["fraud-1"], quick=True)
    poller.round()
    network.most = 2
    for tick in range(12):
        clock.now += 0.5
        poller.round(quick_only=tick % 2 == 0)

    fraud = DirectRouters(samples, poller).since("bank", "fraud", at(0))
    assert fraud is not None
    assert not fraud.silent
    assert silent(samples, poller) is None


def test_half_of_what_a_router_counts_is_not_taken(
    poller: RouterPoller, network: Network, pods: list[RouterPod], samples: RouterSamples
) -> None:
    pods[:] = [A]
    network.fails_from = 2
    poller.watch("shop", "digits", [f"digits-{number}" for number in range(300)], quick=False)
    poller.round()

    assert len(network.asked) == 2
    assert silent(samples, poller) is None


def test_a_router_that_does_not_say_where_it_is_asked_is_silent(
    poller: RouterPoller, pods: list[RouterPod], samples: RouterSamples, clock: Clock
) -> None:
    pods[1] = B._replace(address="")
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    for _ in range(5):
        poller.round()
        clock.now += 1.0

    assert silent(samples, poller) == {"router-b": "it doesn't say where it can be asked"}


def test_a_router_that_lives_no_more_is_not_missed(
    poller: RouterPoller, network: Network, pods: list[RouterPod], samples: RouterSamples, clock: Clock
) -> None:
    network.silent.add("router-b")
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    for _ in range(5):
        poller.round()
        clock.now += 1.0
    del pods[1]
    poller.round()

    assert silent(samples, poller) == {}


def test_without_any_router_nothing_is_told(
    poller: RouterPoller, pods: list[RouterPod], samples: RouterSamples
) -> None:
    pods.clear()
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    poller.round()

    assert silent(samples, poller) is None


def test_what_is_kept_does_not_grow(
    poller: RouterPoller, pods: list[RouterPod], samples: RouterSamples, clock: Clock
) -> None:
    pods[:] = [A]
    poller.watch("shop", "digits", ["digits-1"], quick=False)
    for _ in range(200):
        poller.round()
        clock.now += 1.0
    told = DirectRouters(samples, poller).since("shop", "digits", at(0))

    assert told is not None
    assert len(told.instants) == 60


def test_of_rollouts_that_have_ended_nothing_is_kept(poller: RouterPoller, samples: RouterSamples) -> None:
    for number in range(20):
        poller.watch("shop", "digits", ["digits-0", f"digits-{number}"], quick=False)
        poller.round()
        poller.forget("shop", "digits")

    for router in samples._routers.values():
        assert router.reader._heads == {}
        assert (router.clusters, router.heard) == ({}, {})
