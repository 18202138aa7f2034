"""A bad release goes back whatever happens to pods, writes, status and operators in the meantime."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.disturbed.autoscaler import Autoscaler, autoscaling
from tests.disturbed.conftest import Tidegate
from tests.disturbed.monitoring import Monitoring
from tests.disturbed.operators import stopped, until_led
from tests.disturbed.trial import OTHER_GOOD, Trial
from tests.disturbed.webhook import refusing_deployment_patches
from tests.e2e.stage import ANALYSIS, BLUE_GREEN
from tidegate_demo.kubectl import Kubectl

HALF = {"canary": {"steps": [{"weight": 50}]}}
QUARTER = {"canary": {"steps": [{"weight": 25}, {"weight": 50}]}}
CLUMPS = {**ANALYSIS, "dispersion": "20"}
"""Some 600 requests until it is said that the bad model is worse: time enough for pods to be killed before."""
HELD_SECONDS = 20
QUIET_SECONDS = 15
FROZEN_SECONDS = 40
"""Longer than the Lease lasts, and shorter than the kubelet's patience with a frozen container."""


@pytest.fixture
def usual(tidegate: Tidegate, monitoring: Monitoring) -> None:
    """An operator with the demo's Prometheus."""
    tidegate.install(monitoring.usual())


@pytest.mark.usefixtures("usual")
@pytest.mark.disturbed("A webhook refuses patches")
def test_a_webhook_refuses_deployment_patches(trial: Trial, monitoring: Monitoring, tmp_path: Path) -> None:
    trial.go_live()
    stage = trial.stage
    with trial.loaded():
        trial.release_bad()
        with refusing_deployment_patches(stage.kubectl, stage.namespace, monitoring.host, tmp_path) as refused:
            stage.run("patch", "modeldeployment", "digits", "--type=merge", "--patch", '{"spec": {"replicas": 3}}')
            status = stage.until_ended("RolledBack")
            time.sleep(QUIET_SECONDS)
        trial.stage.settled()
        trial.notes.append(f"{len(refused)} patches were refused")

    trial.nothing_lost()
    assert refused
    assert status["history"][0]["reason"] == "ErrorRateWorse"


@pytest.mark.usefixtures("usual")
@pytest.mark.disturbed("Stable's pods are killed")
def test_stables_pods_are_killed_at_half(trial: Trial) -> None:
    trial.go_live(analysis=CLUMPS)
    stage = trial.stage
    with trial.loaded():
        trial.release_bad(strategy=HALF, analysis=CLUMPS)
        stable = stage.note()["stable"]["revision"]
        with _no_new_pods(stage.kubectl):
            stage.run("delete", "pods", "--selector", f"tidegate.dev/revision={stable}", "--wait=false")
            stage.until("stable has no pod", lambda s: not s["stable"].get("readyReplicas"))
            trial.stays(HELD_SECONDS, lambda s: s["candidate"].get("readyReplicas", 0) > 0 and not s.get("history"))
            held = stage.note()
            trial.notes.append(f"held for {HELD_SECONDS} s while stable had no pod")
        status = trial.until_rolled_back()

    trial.nothing_lost()
    assert "keeps its traffic" in held["message"]
    assert status["history"][0]["reason"] in {"ErrorRateWorse", "ErrorRateAboveCeiling"}


@contextmanager
def _no_new_pods(kubectl: Kubectl) -> Iterator[None]:
    """No node takes a pod while inside."""
    nodes = kubectl.run("get", "nodes", "--output", "name").split()
    kubectl.run("cordon", *nodes)
    try:
        yield
    finally:
        kubectl.run("uncordon", *nodes)


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        pytest.param(
            {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}},
            "ErrorRateWorse",
            id="canary",
            marks=pytest.mark.disturbed("An autoscaler, canary"),
        ),
        pytest.param(
            BLUE_GREEN,
            "ErrorRateWorse",
            id="blue-green",
            marks=pytest.mark.disturbed("An autoscaler, blue-green"),
        ),
    ],
)
def test_an_autoscaler_scales(trial: Trial, strategy: dict[str, Any], reason: str) -> None:
    needed = Autoscaler().wish(pods=2, rate=100)
    stage = trial.stage
    trial.go_live(strategy=strategy, replicas=None)  # whoever has an autoscaler doesn't state them
    stage.run("scale", "modeldeployment/digits", f"--replicas={needed}")
    stage.until("all pods are ready", lambda s: s["stable"].get("readyReplicas") == needed)
    with trial.loaded() as load, autoscaling(stage, load, Autoscaler()) as scaling:
        stage.apply(OTHER_GOOD, strategy=strategy, replicas=None)
        stage.until_ended("Promoted")
        stage.settled()
        trial.release_bad(strategy=strategy, replicas=None)
        status = trial.until_rolled_back(rollouts=2)
        trial.stays(QUIET_SECONDS, lambda s: s["stable"]["revision"] == status["stable"]["revision"])
        trial.notes.append(f"the autoscaler set {scaling.set or 'nothing'}; at least {scaling.fewest_ready} pods ready")

    trial.nothing_lost()
    assert stage.versions[status["stable"]["revision"]] == OTHER_GOOD
    assert (scaling.fewest_ready or 0) >= needed
    assert status["history"][0]["reason"] == reason


@pytest.mark.usefixtures("usual")
@pytest.mark.disturbed("The status is erased")
def test_the_status_is_erased_at_a_quarter(trial: Trial) -> None:
    trial.go_live(strategy=QUARTER)
    stage = trial.stage
    stable = stage.note()["stable"]["revision"]
    with trial.loaded():
        trial.release_bad(strategy=QUARTER)
        erase = '[{"op": "remove", "path": "/status"}]'
        stage.run("patch", "modeldeployment", "digits", "--subresource=status", "--type=json", "--patch", erase)
        status = trial.until_rolled_back()

    trial.nothing_lost()
    assert status["stable"]["revision"] == stable
    # What is judged anew may be above the ceiling before there is enough of stable to compare it with.
    assert status["history"][0]["reason"] in {"ErrorRateWorse", "ErrorRateAboveCeiling"}


@pytest.mark.disturbed("The leader is frozen")
def test_the_leader_is_frozen_in_a_step(trial: Trial, tidegate: Tidegate, monitoring: Monitoring) -> None:
    tidegate.install(monitoring.usual(), operator__replicas=2)
    trial.go_live()
    stage = trial.stage
    with trial.loaded():
        trial.release_bad()
        frozen = until_led(stage.kubectl)
        began = time.monotonic()
        with stopped(frozen):
            until_led(stage.kubectl, but_by=frozen)
            ended = trial.until_rolled_back()["history"][0]
            time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - began)))
        trial.stays(QUIET_SECONDS, lambda s: is_back(s) and s["history"][0]["finishedAt"] == ended["finishedAt"])
        trial.notes.append("the other operator took over")

    trial.nothing_lost()
    assert ended["reason"] == "ErrorRateWorse"


def is_back(status: Mapping[str, Any]) -> bool:
    """Rolled back once, and no traffic on the bad model since."""
    return status["phase"] == "RolledBack" and len(status["history"]) == 1 and not status["traffic"].get("candidate", 0)
