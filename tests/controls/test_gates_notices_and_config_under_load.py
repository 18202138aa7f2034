"""Gates, notifications and configuration on a real cluster under load: what holds, holds, and no request is lost."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.controls.scene import SOON_CONTENT
from tests.disturbed.servers import Call, Reply, listening
from tests.e2e.stage import Stage
from tidegate.resources.names import REVISION
from tidegate_demo import place
from tidegate_demo.cluster.contexts import DemoCluster

pytestmark = pytest.mark.controls

STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50}]}}
FREEZE, TESTS, QUALITY = "freeze", "tests", "quality"
NO = {"allowed": False, "message": "a freeze is on", "retryAfter": 2}
YES = {"allowed": True, "message": "all clear"}
LOOKS_AT_THE_REVIEW = "import json, os; assert json.loads(os.environ['TIDEGATE_REVIEW'])['gate'] == 'tests'"


@dataclass
class Desk:
    """Answers gates, and takes notifications in. `frozen` says no to everybody who asks whether to start."""

    frozen: bool = True
    reviews: list[Mapping[str, Any]] = field(default_factory=list)
    notices: list[Mapping[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, call: Call) -> Reply:
        body = json.loads(call.body)
        with self.lock:
            if call.path == "/notices":
                self.notices.append(body["data"])
                return 200, b"{}"
            self.reviews.append(body)
            return 200, json.dumps(NO if body["gate"] == FREEZE and self.frozen else YES).encode()

    def asked(self, candidate: str) -> list[str]:
        """Which gates were asked about a revision, each once, in the order of their first question."""
        with self.lock:
            return list(
                dict.fromkeys(each["gate"] for each in self.reviews if each["rollout"]["candidate"] == candidate)
            )

    def told(self, candidate: str) -> list[tuple[str, str]]:
        """What was told of it, each once: a notification may come twice."""
        with self.lock:
            return list(
                dict.fromkeys(
                    (each["happening"], each["message"])
                    for each in self.notices
                    if each["rollout"]["candidate"] == candidate
                )
            )


@contextmanager
def _desk(cluster: DemoCluster) -> Iterator[tuple[Desk, str]]:
    desk = Desk()
    with listening(place.host_address(cluster), desk.handle) as address:
        yield desk, f"http://{address}"


def _spec(cluster: DemoCluster, url: str) -> dict[str, Any]:
    job = {
        "image": f"{cluster.image_prefix}server:{place.IMAGE_TAG}",
        "command": ["python", "-c", LOOKS_AT_THE_REVIEW],
        "deadline": "2m",
    }
    return {
        "analysis": SOON_CONTENT,
        "strategy": STEPS,
        "gates": [
            {"name": FREEZE, "at": "Start", "url": f"{url}/gates"},
            {"name": TESTS, "at": "Step", "steps": [2], "job": job},
            {"name": QUALITY, "at": "Promotion", "url": f"{url}/gates"},
        ],
        "notifications": [
            {"name": "ops", "url": f"{url}/notices", "when": ["Started", "Stepped", "Held", "Promoted", "Aborted"]}
        ],
        "server": {
            "env": [{"name": "THRESHOLD", "valueFrom": {"configMapKeyRef": {"name": "thresholds", "key": "LEAST"}}}]
        },
    }


def _configure(stage: Stage, least: str) -> None:
    named = {"name": "thresholds", "namespace": stage.namespace}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"LEAST": least}}
    stage.kubectl.apply(json.dumps(content))


def test_gates_notices_and_config_under_load(further: DemoCluster, stage: Stage) -> None:
    with _desk(further) as (desk, url):
        spec = _spec(further, url)
        _configure(stage, "0.5")
        stage.go_live("v2", **spec)
        assert desk.asked(stage.note()["stable"]["revision"]) == []
        with stage.loaded(rate=50.0, seconds=900) as load:
            _a_release_asks_all_gates(stage, desk, spec)
            _a_change_of_config_is_a_release_and_is_undone(stage, desk)
            _what_was_promoted_goes_back_at_once(stage, desk)
        stage.nothing_lost(load)


def _a_release_asks_all_gates(stage: Stage, desk: Desk, spec: Mapping[str, Any]) -> None:
    stage.apply("v5", **spec)
    status = stage.until("a gate says no", lambda s: "a freeze is on" in s.get("message", ""))
    candidate = status["candidate"]["revision"]
    assert status["traffic"]["candidate"] == 0
    desk.frozen = False
    status = stage.until_ended("Promoted", rollouts=1)
    assert desk.asked(candidate) == [FREEZE, QUALITY]
    jobs = json.loads(stage.run("get", "jobs", "--output", "json"))["items"]
    assert [each["status"].get("succeeded") for each in jobs] == [1]
    told = desk.told(candidate)
    assert [happening for happening, _ in told] == ["Started", "Held", "Stepped", "Stepped", "Stepped", "Promoted"]
    assert "a freeze is on" in dict(told)["Held"]
    assert dict(told)["Promoted"] == status["history"][0]["message"]
    stage.settled()


def _a_change_of_config_is_a_release_and_is_undone(stage: Stage, desk: Desk) -> None:
    """The ConfigMap is put back while a gate holds the new content."""
    stable = stage.note()["stable"]["revision"]
    desk.frozen = True
    _configure(stage, "0.9")
    status = stage.until("a gate says no", lambda s: "a freeze is on" in s.get("message", ""))
    candidate = status["candidate"]["revision"]
    assert candidate != stable
    assert _thresholds(stage) == {stable: {"0.5"}, candidate: {"0.9"}}
    _configure(stage, "0.5")
    status = stage.until_ended("Aborted", rollouts=2)
    assert (status["stable"]["revision"], status["history"][0]["revision"]) == (stable, candidate)
    assert [happening for happening, _ in desk.told(candidate)] == ["Started", "Held", "Aborted"]
    stage.settled()
    desk.frozen = False


def _what_was_promoted_goes_back_at_once(stage: Stage, desk: Desk) -> None:
    """New content goes through all steps; the old one returns in one shift, and nobody is asked."""
    before = stage.note()["stable"]["revision"]
    _configure(stage, "0.7")
    status = stage.until_ended("Promoted", rollouts=3)
    after = status["stable"]["revision"]
    stage.settled()
    assert _thresholds(stage) == {after: {"0.7"}}
    asked = len(desk.reviews)
    _configure(stage, "0.5")
    status = stage.until_ended("Promoted", rollouts=4)
    assert (status["stable"]["revision"], len(desk.reviews)) == (before, asked)
    stage.settled()
    assert _thresholds(stage) == {before: {"0.5"}}


def _thresholds(stage: Stage) -> dict[str, set[str]]:
    """What the pods of each revision were given, in the copies of the ConfigMap that they name."""
    found: dict[str, set[str]] = {}
    for pod in json.loads(stage.run("get", "pods", "--output", "json"))["items"]:
        revision = pod["metadata"]["labels"].get(REVISION)
        if revision is None or pod["metadata"].get("deletionTimestamp"):
            continue
        variables = (each for container in pod["spec"]["containers"] for each in container.get("env", ()))
        reference = next(each["valueFrom"]["configMapKeyRef"] for each in variables if each["name"] == "THRESHOLD")
        copy = json.loads(stage.run("get", "configmap", reference["name"], "--output", "json"))
        assert copy["immutable"]
        found.setdefault(revision, set()).add(copy["data"][reference["key"]])
    return found
