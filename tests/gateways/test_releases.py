"""Releases through each implementation: no request is lost, whatever happens in the middle of them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from tests.controls.timing import ask
from tests.e2e.stage import BLUE_GREEN, CANARY
from tests.gateways import plain
from tests.gateways.bare_route import PAUSE_SECONDS
from tests.gateways.trial import AWAY_SECONDS, Trial
from tidegate.model.control import Control
from tidegate_demo import place
from tidegate_demo.records import exposure

pytestmark = pytest.mark.gateways

GOOD, OTHER_GOOD, BAD = "v2", "v5", "v3"
HELD = {"canary": {"steps": [{"weight": 50, "approval": "Required"}]}}


def promotion(trial: Trial) -> None:
    """Of a good model, step by step."""
    _release(trial, OTHER_GOOD)
    trial.stage.until_ended("Promoted")


def rollback(trial: Trial) -> None:
    """Of a model that fails on a fifth of the images."""
    trial.stage.apply(BAD)
    status = trial.stage.until_ended("RolledBack")
    trial.stage.settled()
    met = exposure(trial.met(), status["history"][0]["revision"])
    trial.notes.append(f"{met.bad} bad answers in {met.first_to_last_bad or 0:.1f} s")


def rollback_by_a_lent_rule(trial: Trial) -> None:
    """The same where the rule is the user's, which marks no requests as live."""
    rollback(trial)


def _lend(trial: Trial) -> None:
    """A route of the user's, whose rule has a Service without pods until the model has it."""
    stage = trial.stage
    route = plain.route(stage.namespace, stage.host, trial.gateway.parent_ref, [("legacy", 1)])
    route["spec"]["rules"][0]["name"] = "model"
    stage.kubectl.apply(yaml.safe_dump_all([plain.service(stage.namespace, "legacy"), route]))
    stage.traffic = {
        "router": "GatewayAPI",
        "gatewayAPI": {"routeRef": {"name": route["metadata"]["name"], "rule": "model"}},
    }


def abort(trial: Trial) -> None:
    """By annotation, at half."""
    stage = trial.stage
    stage.apply(OTHER_GOOD, strategy=HELD)
    status = stage.until("it is at half", lambda s: s.get("traffic", {}).get("candidate", 0) == 50)
    ask(stage, Control.ABORT, status["candidate"]["revision"])
    stage.until_ended("Aborted")


def blue_green_there_and_back(trial: Trial) -> None:
    """All at once to a good model, and all at once from a bad one."""
    stage = trial.stage
    stage.apply(OTHER_GOOD, strategy=BLUE_GREEN)
    stage.until_ended("Promoted")
    stage.settled()
    stage.apply(BAD, strategy=BLUE_GREEN)
    stage.until_ended("RolledBack", rollouts=2)


def operator_killed(trial: Trial) -> None:
    """In the middle of a shift, without a word."""
    stage = trial.stage
    _release(trial, OTHER_GOOD)
    operator = ("--namespace", place.RELEASE_NAMESPACE, "--selector", place.OPERATOR_PODS)
    stage.kubectl.run("delete", "pod", *operator, "--grace-period=0", "--force", "--wait=false")
    stage.until_ended("Promoted")


def controller_killed(trial: Trial) -> None:
    """In the middle of a shift; nobody carries out what the route says until it is back."""
    _release(trial, OTHER_GOOD)
    trial.gateway.controller.kill()
    time.sleep(AWAY_SECONDS)
    trial.gateway.controller.start()
    trial.stage.until_ended("Promoted")


def pods_deleted(trial: Trial) -> None:
    """Each in turn, while both revisions have half."""
    stage = trial.stage
    stage.apply(OTHER_GOOD, strategy=HELD)
    stage.until("it is at half", lambda s: s.get("traffic", {}).get("candidate", 0) == 50)
    pods = stage.run("get", "pods", "--selector", "tidegate.dev/model-deployment=digits", "--output", "name").split()
    for pod in pods:
        stage.run("delete", pod, "--wait=false")
        time.sleep(PAUSE_SECONDS)
        stage.until("all pods are ready", lambda s: _ready(s, "stable") and _ready(s, "candidate"))


def _ready(status: Mapping[str, Any], which: str) -> bool:
    return bool((status.get(which) or {}).get("readyReplicas") == 2)


def _release(trial: Trial, version: str) -> None:
    """Returns when it has traffic."""
    trial.stage.apply(version)
    trial.stage.until("it has traffic", lambda s: s.get("traffic", {}).get("candidate", 0) > 0)


Event = Callable[[Trial], None]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(event, id=event.__name__.replace("_", " "))
        for event in (
            promotion,
            rollback,
            rollback_by_a_lent_rule,
            abort,
            blue_green_there_and_back,
            operator_killed,
            controller_killed,
            pods_deleted,
        )
    ],
)
def test_a_release(trial: Trial, event: Event) -> None:
    if event is rollback_by_a_lent_rule:
        _lend(trial)
    trial.stage.go_live(GOOD, strategy=BLUE_GREEN if event is blue_green_there_and_back else CANARY)
    trial.answers()
    with trial.loaded():
        event(trial)
        trial.over = True
        time.sleep(PAUSE_SECONDS)

    trial.nothing_lost()
