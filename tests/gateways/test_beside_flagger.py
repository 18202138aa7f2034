"""The same bad release by Tidegate and by Flagger, behind the same Contour and at the same time."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.e2e.stage import Stage
from tests.gateways import contour, flagger, plain
from tests.gateways.beside import FLAGGER, TIMES_FASTER, Release, write
from tests.gateways.conftest import RESULTS
from tests.gateways.gateway import Gateway, namespace
from tests.gateways.trial import TIDEGATE
from tidegate_demo.cluster.contexts import DemoCluster
from tidegate_demo.load import RunningLoad
from tidegate_demo.records import Outcome, exposure

pytestmark = pytest.mark.gateways

GOOD, BAD = "v2", "v3"
RELEASES = 3
RATE = 50.0
WARM_UP_SECONDS = 5.0
STEPS = {"canary": {"steps": [{"weight": weight} for weight in (10, 20, 30, 40, 50)]}}
"""Flagger's stepWeight and maxWeight."""
INITIALIZED_SECONDS, ENDED_SECONDS = 240.0, 900.0
LONGEST_SECONDS = 1500.0


@pytest.mark.parametrize("gateway", [contour.NAME], indirect=True)
def test_the_same_bad_release(
    behind: Stage, gateway: Gateway, cluster: DemoCluster, prometheus_url: str, tmp_path: Path
) -> None:
    image = f"{cluster.image_prefix}server:demo"
    stages = [_own(behind, f"{behind.namespace}-f{number}", tmp_path) for number in range(RELEASES)]
    try:
        with flagger.flagger(behind.kubectl, prometheus_url, RESULTS), ThreadPoolExecutor(RELEASES) as pool:
            theirs = [pool.submit(_by_flagger, stage, gateway, image, prometheus_url) for stage in stages]
            ours = _by_tidegate(behind)
            releases = [*ours, *(each.result() for each in theirs)]
    finally:
        for stage in stages:
            behind.kubectl.run("delete", "namespace", stage.namespace, "--wait=false")
    write(releases, RESULTS)

    seconds = {by: [each.seconds for each in releases if each.by == by] for by in (TIDEGATE, FLAGGER)}
    assert max(seconds[TIDEGATE]) * TIMES_FASTER <= min(seconds[FLAGGER])
    assert all(each.lost == 0 for each in releases if each.by == TIDEGATE)


def _own(stage: Stage, name: str, folder: Path) -> Stage:
    """The same with a namespace of its own."""
    stage.kubectl.apply(json.dumps(namespace(name)))
    place = folder / name
    place.mkdir()
    return replace(stage, namespace=name, folder=place, versions={}, traffic=None)


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


def _by_flagger(stage: Stage, gateway: Gateway, image: str, prometheus: str) -> Release:
    revisions = {version: f"{flagger.NAME}-{version}" for version in (GOOD, BAD)}
    stage.versions.update({revision: version for version, revision in revisions.items()})
    good, bad = (plain.deployment(stage.namespace, flagger.NAME, image, stage.model(v)) for v in (GOOD, BAD))
    stage.kubectl.apply(yaml.safe_dump_all([good, *flagger.manifests(stage, gateway.parent_ref, prometheus)]))
    _until(stage, "Initialized", INITIALIZED_SECONDS)
    with _loaded(stage) as load:
        stage.kubectl.apply(json.dumps(bad))
        _until(stage, "Failed", ENDED_SECONDS)
        time.sleep(WARM_UP_SECONDS)
    return _release(FLAGGER, stage, load, revisions[BAD])


@contextmanager
def _loaded(stage: Stage) -> Iterator[RunningLoad]:
    with stage.loaded(RATE, LONGEST_SECONDS, fresh_every=3) as load:
        time.sleep(WARM_UP_SECONDS)
        yield load


def _until(stage: Stage, phase: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (seen := flagger.phase(stage)) != phase:
        assert time.monotonic() < deadline, f"{seen!r} after {seconds:.0f} s, and not {phase}"
        time.sleep(2)


def _release(by: str, stage: Stage, load: RunningLoad, revision: str) -> Release:
    met = exposure(load.requests, revision)
    outcomes = stage.outcomes(load.requests)
    lost = [*outcomes[Outcome.LOST], *outcomes[Outcome.WRONG]]
    return Release(by, met.first_to_last_bad or 0.0, met.bad, met.requests, len(load.requests), len(lost))
