"""The same bad release by Tidegate and by Flagger, behind the same Contour and at the same time."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
import yaml

from tests.e2e.stage import Stage
from tests.gateways import contour, flagger, page, plain
from tests.gateways.beside import FLAGGER, TIMES_FASTER, Release, write
from tests.gateways.conftest import RESULTS
from tests.gateways.gateway import Gateway
from tests.gateways.trial import TIDEGATE, listed, lost_of
from tidegate_demo.cluster.contexts import DemoCluster
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.load import RunningLoad
from tidegate_demo.models import Models
from tidegate_demo.records import exposure

pytestmark = pytest.mark.gateways

GOOD, BAD = "v2", "v3"
RELEASES = 3
RATE = 50.0
WARM_UP_SECONDS = 5.0
STEPS = {"canary": {"steps": [{"weight": weight} for weight in (10, 20, 30, 40, 50)]}}
"""Flagger's stepWeight and maxWeight."""
INITIALIZED_SECONDS, ENDED_SECONDS = 480.0, 900.0
LONGEST_SECONDS = 1500.0


@dataclass
class Beside:
    """Flagger's releases, which take minutes, under way; and what came of Tidegate's."""

    theirs: list[Future[Release]]
    cut_short: threading.Event
    """Set when nobody waits for theirs any more."""
    ours: list[Release] = field(default_factory=list)


@pytest.fixture(scope="module")
def beside(
    gateway: Gateway,
    kubectl: Kubectl,
    digits: Models,
    served: str,
    cluster: DemoCluster,
    prometheus_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Beside]:
    """All of Flagger's begin at once."""
    image, router = f"{cluster.image_prefix}server:demo", f"http://127.0.0.1:{gateway.port}"
    names = [f"e2e-flagger-{number}" for number in range(1, RELEASES + 1)]
    stages = [Stage(kubectl, name, digits, served, router, tmp_path_factory.mktemp(name)) for name in names]
    with (
        _namespaces(kubectl, names),
        flagger.flagger(kubectl, prometheus_url, tmp_path_factory.mktemp("flagger")),
        ThreadPoolExecutor(RELEASES) as pool,
    ):
        cut_short = threading.Event()
        theirs = [pool.submit(_by_flagger, stage, gateway, image, prometheus_url, cut_short) for stage in stages]
        yield Beside(theirs, cut_short)
        cut_short.set()


@contextmanager
def _namespaces(kubectl: Kubectl, names: list[str]) -> Iterator[None]:
    with ExitStack() as held:
        for name in names:
            held.enter_context(kubectl.namespace(name))
        yield


@pytest.mark.parametrize("gateway", [contour.NAME], indirect=True)
def test_tidegate_takes_a_bad_release_back(behind: Stage, beside: Beside) -> None:
    beside.ours += _by_tidegate(behind)

    write(beside.ours, RESULTS)
    assert all(each.lost == 0 for each in beside.ours)


@pytest.mark.parametrize("gateway", [contour.NAME], indirect=True)
def test_flagger_takes_longer_for_the_same_release(gateway: Gateway, beside: Beside) -> None:
    theirs = [each.result() for each in beside.theirs]

    write([*beside.ours, *theirs], RESULTS)
    page.write(RESULTS)
    assert max(each.seconds for each in beside.ours) * TIMES_FASTER <= min(each.seconds for each in theirs)


def _by_tidegate(stage: Stage) -> list[Release]:
    """One after the other, each from the good model alone."""
    stage.go_live(GOOD, strategy=STEPS)
    releases = []
    for number in range(1, RELEASES + 1):
        with _loaded(stage) as load:
            stage.apply(BAD, strategy=STEPS)
            ended = stage.until_ended("RolledBack", rollouts=number)["history"][0]
            time.sleep(WARM_UP_SECONDS)
        releases.append(_release(TIDEGATE, stage, load, ended["revision"]))
        stage.apply(GOOD, strategy=STEPS)
        stage.until("it is calm", lambda s: s.get("phase") == "Live" and not s.get("rejected"))
        stage.settled()
    return releases


def _by_flagger(stage: Stage, gateway: Gateway, image: str, prometheus: str, cut_short: threading.Event) -> Release:
    revisions = {version: f"{flagger.NAME}-{version}" for version in (GOOD, BAD)}
    stage.versions.update({revision: version for version, revision in revisions.items()})
    good, bad = (plain.deployment(stage.namespace, flagger.NAME, image, stage.model(v)) for v in (GOOD, BAD))
    stage.kubectl.apply(yaml.safe_dump_all([good, *flagger.manifests(stage, gateway.parent_ref, prometheus)]))
    _until(stage, "Initialized", INITIALIZED_SECONDS, cut_short)
    with _loaded(stage) as load:
        stage.kubectl.apply(json.dumps(bad))
        _until(stage, "Failed", ENDED_SECONDS, cut_short)
        time.sleep(WARM_UP_SECONDS)
    return _release(FLAGGER, stage, load, revisions[BAD])


@contextmanager
def _loaded(stage: Stage) -> Iterator[RunningLoad]:
    with stage.loaded(RATE, LONGEST_SECONDS, fresh_every=3) as load:
        time.sleep(WARM_UP_SECONDS)
        yield load


def _until(stage: Stage, phase: str, seconds: float, cut_short: threading.Event) -> None:
    deadline = time.monotonic() + seconds
    while (seen := flagger.phase(stage)) != phase:
        assert time.monotonic() < deadline, f"{seen!r} after {seconds:.0f} s, and not {phase}"
        assert not cut_short.wait(2), f"cut short while it was {seen!r}"


def _release(by: str, stage: Stage, load: RunningLoad, revision: str) -> Release:
    met = exposure(load.requests, revision)
    lost = lost_of(stage, load.requests)
    seconds = met.first_to_last_bad or 0.0
    return Release(by, seconds, met.bad, met.requests, len(load.requests), sum(lost.values()), listed(lost))
