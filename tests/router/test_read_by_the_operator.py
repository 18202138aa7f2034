"""What a real Envoy counts arrives at the operator's fold: by the agent, over HTTP, signed, by the operator's clock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.router.conftest import NEW, OLD, Bench, Router, Well
from tests.router.test_sampling_envoy import KEY, NAME, send
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics.direct import DirectRouters, no_samples
from tidegate.metrics.increments import Sample, counter_increases, counts_of
from tidegate.metrics.providers.router_client import HttpRouterClient
from tidegate.metrics.providers.router_samples import RouterPod
from tidegate.metrics.providers.routers import RouterPoller
from tidegate.model.evidence import CellCounts, Counts, Increment
from tidegate.model.slices import Slice, cells_of
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.router.sampling_server import serve

pytestmark = pytest.mark.router


@pytest.fixture
def router(bench: Bench) -> Router:
    """Half of the requests go to a revision that answers, half to one that fails."""
    old, new = bench.server(OLD), bench.server(NEW, behaviour="fail")
    router = bench.router()
    router.start([bench.route((OLD, 50), (NEW, 50))], bench.endpoints(old, new))
    return router


@pytest.fixture
def pod(router: Router, tmp_path: Path) -> Iterator[RouterPod]:
    with asked(router, tmp_path) as pod:
        yield pod


@contextmanager
def asked(router: Router, tmp_path: Path) -> Iterator[RouterPod]:
    """The router, whose agent tells its counters."""
    (tmp_path / "key").write_bytes(KEY)
    server = serve(0, Well(), NAME, tmp_path, router.admin_port)
    namespace, name = NAME.split("/")
    yield RouterPod(namespace, name, f"127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


class Operator:
    """Asks one router, round by round."""

    def __init__(self, pod: RouterPod, *, grpc: bool = False) -> None:
        samples = no_samples(time.time)  # noqa: TID251 - a real one
        client = HttpRouterClient(lambda: KEY, lambda: None)
        self.poller = RouterPoller(samples, lambda: [pod], client, lambda namespace, name: None)
        self.direct = DirectRouters(samples, self.poller)
        calls = (f"{OLD}/grpc", f"{NEW}/grpc") if grpc else ()
        self.direct.watch("shop", "sentiment", (OLD, NEW, *calls), quick=True)

    def read(self) -> Sample:
        self.poller.round()
        told = self.direct.since("shop", "sentiment", datetime.now(UTC) - timedelta(minutes=1))  # noqa: TID251
        assert told is not None
        assert told.silent == {}
        assert told.readings.doubt is None
        return told.readings.samples[-1]

    def gained(self, before: Sample, revision: str) -> Counts:
        return counts_of(revision, counter_increases(before, self.read()))


def test_requests_failures_and_latency_arrive(router: Router, pod: RouterPod) -> None:
    operator = Operator(pod)
    before = operator.read()
    statuses = send(router, 200)
    sent = {OLD: statuses["200"], NEW: statuses["500"]}
    time.sleep(1.5)  # histograms are those of Envoy's last flush

    after = {revision: operator.gained(before, revision) for revision in (OLD, NEW)}
    assert {revision: counts.requests for revision, counts in after.items()} == sent
    assert {revision: counts.failed for revision, counts in after.items()} == {OLD: 0, NEW: sent[NEW]}
    assert {revision: counts.durations.total for revision, counts in after.items()} == sent
    assert after[OLD].durations.bounds == after[NEW].durations.bounds
    assert len(after[OLD].durations.bounds) > 30


def test_an_envoy_that_began_anew_is_known_as_such(bench: Bench, router: Router, pod: RouterPod) -> None:
    operator = Operator(pod)
    send(router, 100)
    before = operator.read()
    router.restart()
    sent = send(router, 20)

    assert operator.gained(before, OLD).requests + operator.gained(before, NEW).requests == sum(sent.values())


def test_groups_of_requests_arrive_with_their_failures(bench: Bench, router: Router, pod: RouterPod) -> None:
    slices = (Slice("tenant", "x-tenant", ("acme", "umbrella")),)
    route = replace(bench.route((OLD, 0), (NEW, 100)), slices=slices)
    assert router.publish([route], {service: found.endpoints for service, found in router.cluster.services.items()})
    operator = Operator(pod)
    router.get()
    before = operator.read()
    for _ in range(3):
        router.get(X_Tenant="acme")
    router.get(X_Tenant="umbrella")
    gained = operator.gained(before, NEW)
    groups = {group: cells for (_, group), (cells,) in cells_of(slices).items()}

    assert (gained.requests, gained.failed) == (4, 4)
    assert gained.cells == {groups["acme"]: CellCounts(3, 3), groups["umbrella"]: CellCounts(1, 1)}


def test_a_candidate_that_fails_one_tenant_is_told_from_one_that_fails_all(bench: Bench, tmp_path: Path) -> None:
    """From a real Envoy's counters, read second by second, to the judge's evidence: the whole fails as often."""
    analysis = ModelDeploymentSpec.parse({"model": {"uri": "http://models/1"}}).analysis
    slices = (Slice("tenant", "x-tenant", ("acme",)),)
    analysis = replace(analysis, slices=slices, error_rate=replace(analysis.error_rate, ceiling=0.9))
    old, new = bench.server(OLD, fails_for="umbrella"), bench.server(NEW, "127.0.0.3", fails_for="acme")
    router = bench.router()
    router.start([replace(bench.route((OLD, 50), (NEW, 50)), slices=slices)], bench.endpoints(old, new))
    with asked(router, tmp_path) as pod:
        operator, test = Operator(pod), SequentialTest(SequentialTestParameters(analysis))
        router.get()
        before = operator.read()
        for second in range(1, 11):
            for _ in range(10):
                for tenant in ("acme", "umbrella", "initech"):
                    router.get(X_Tenant=tenant)
            after = operator.read()
            gained, before = counter_increases(before, after), after
            at = datetime.now(UTC) + timedelta(seconds=5 * second)  # noqa: TID251 - a real one
            test.update(Increment(at, counts_of(OLD, gained), counts_of(NEW, gained)))

    assert test.slices
    assert test.rejected_at
    assert test.rejected_at.heaviest == "slices"
    assert str(test.slices.heaviest()) == "slice tenant, acme"
    assert test.errors.log_worse() < 0.0
