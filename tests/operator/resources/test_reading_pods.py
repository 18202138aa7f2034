"""What a revision's pods and objects say of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tidegate.model.revision import Labels, ModelFacts, PodFailure, RevisionState, Snapshot, Tensor
from tidegate.model.spec import Model, Server
from tidegate.resources.pod_status import parse_pod, read_facts, read_failure, revision_of
from tidegate.resources.revision import (
    controller_revision_manifest,
    deployment_manifest,
    parse_record,
    parse_workload,
    revision_state,
)

REVISION = "digits-6f9c1d2e"
IDS = ("shop", "digits", "u-1")
REPORT = {
    "sha256": "ab" * 32,
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
}
FACTS = ModelFacts("ab" * 32, (Tensor("x", "FP32", (-1, 64)),), (Tensor("y", "INT64", (-1,)),))
Manifest = Mapping[str, Any]


def pod(init: Manifest | None = None, serve: Manifest | None = None, **status: Any) -> dict[str, Any]:
    """A pod whose containers have these statuses."""
    containers: dict[str, Any] = {}
    if init is not None:
        containers["initContainerStatuses"] = [{"name": "fetch", "ready": False, **init}]
    if serve is not None:
        containers["containerStatuses"] = [{"name": "server", "ready": False, **serve}]
    return {"metadata": {"name": f"{REVISION}-0"}, "status": {**containers, **status}}


def ended(code: int, message: Any = "", **more: Any) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {"terminated": {"exitCode": code, "message": text, **more}}


FETCHED = {"ready": True, "state": ended(0, REPORT)}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(pod(FETCHED), FACTS, id="a fetch that ended well: its report"),
        pytest.param(
            pod({"ready": True, "state": ended(0, {**REPORT, "files_sha256": "cd" * 32})}),
            replace(FACTS, files_sha256="cd" * 32),
            id="a model of several files: their digest too",
        ),
        pytest.param(
            pod({"ready": True, "state": ended(0, {**REPORT, "labels": {"count": 2, "sha256": "e", "first": ["a"]}})}),
            replace(FACTS, labels=Labels(2, "e", ("a",))),
            id="a model whose classes have names: the first of them, and a digest of all",
        ),
        pytest.param(
            pod({"ready": True, "state": ended(0, {**REPORT, "labels": {"count": 0}})}),
            replace(FACTS, labels=Labels.of(())),
            id="a model whose classes have none: that is known",
        ),
        pytest.param(
            pod({"ready": True, "state": ended(0, {**REPORT, "labels": ["a"]})}),
            FACTS,
            id="labels in a shape that isn't known: none are",
        ),
        pytest.param(pod(), None, id="a pod that has only just begun: nothing"),
        pytest.param(pod({"state": {"running": {}}}), None, id="a fetch under way: nothing"),
        pytest.param(pod({"state": ended(1, REPORT)}), None, id="a fetch that failed: nothing"),
        pytest.param(pod({"state": ended(0, "no JSON")}), None, id="a report that is no JSON: nothing"),
        pytest.param(pod({"state": ended(0, [1])}), None, id="a report that is no object: nothing"),
        pytest.param(pod(None, {"state": ended(0, REPORT)}), None, id="a report of the wrong container: nothing"),
    ],
)
def test_facts_of(seen: dict[str, Any], expected: ModelFacts | None) -> None:
    assert read_facts(seen) == expected


WRONG_DIGEST = {"reason": "WrongDigest", "message": "the digest is ab12, cd34 was asked for", "permanent": True}
SELFTEST = {"reason": "SelftestFailed", "message": "case 2 gave 0.3, not 0.7; export it anew", "permanent": True}
BAD_SETTING = {"reason": "BadSetting", "message": "TIDEGATE_THREADS is 'x'; it must be a whole number"}
UNREACHABLE = {"reason": "Unreachable", "message": "models:80 didn't answer", "permanent": False}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(pod(FETCHED, {"ready": True, "state": {"running": {}}}), None, id="a ready pod: none"),
        pytest.param(pod(), None, id="a pod that has only just begun: none"),
        pytest.param(
            pod({"state": ended(1, WRONG_DIGEST)}),
            PodFailure("WrongDigest", WRONG_DIGEST["message"], permanent=True),  # type: ignore[arg-type]
            id="a fetch that can't succeed: permanent",
        ),
        pytest.param(
            pod({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(1, UNREACHABLE)}),
            PodFailure("Unreachable", "models:80 didn't answer", looping=True),
            id="a fetch that is tried again: what it said last",
        ),
        pytest.param(
            pod({"state": ended(2, "panic\nno memory left\n")}),
            PodFailure("ContainerFailed", "container fetch ended with exit code 2: no memory left"),
            id="a fetch that says no JSON: its last line",
        ),
        pytest.param(
            pod(FETCHED, {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(139)}),
            PodFailure("ContainerFailed", "container server ended with exit code 139", crashed=True, looping=True),
            id="a server that died: crashed",
        ),
        pytest.param(
            pod(FETCHED, {"state": ended(1, SELFTEST)}),
            PodFailure("SelftestFailed", "case 2 gave 0.3, not 0.7; export it anew", permanent=True, crashed=True),
            id="a server that refuses its model: why, and permanent",
        ),
        pytest.param(
            pod(FETCHED, {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(1, BAD_SETTING)}),
            PodFailure("BadSetting", BAD_SETTING["message"], crashed=True, looping=True),
            id="a server that is tried again: what it said last",
        ),
        pytest.param(
            pod(FETCHED, {"state": {"running": {}}, "lastState": ended(1, BAD_SETTING)}),
            PodFailure("BadSetting", BAD_SETTING["message"], crashed=True),
            id="a server that has just been started again: still what it said last",
        ),
        pytest.param(
            pod(FETCHED, {"state": ended(1, {"message": "no"})}),
            PodFailure("ServerFailed", "no", crashed=True),
            id="a server that gives no reason: one of ours",
        ),
        pytest.param(
            pod(FETCHED, {"state": ended(137, reason="OOMKilled")}),
            PodFailure(
                "ContainerFailed",
                "container server ended with out of memory; raise spec.server.resources.limits.memory",
                crashed=True,
            ),
            id="a server without memory: what to raise",
        ),
        pytest.param(
            pod(FETCHED, {"ready": True, "state": {"running": {}}, "lastState": ended(1)}),
            None,
            id="a server that died and is ready again: none",
        ),
        pytest.param(
            pod({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}),
            PodFailure("ImagePullBackOff", "container fetch can't start: not found"),
            id="an image that isn't there",
        ),
        pytest.param(pod({"state": {"waiting": {"reason": "PodInitializing"}}}), None, id="one that only waits: none"),
        pytest.param(
            pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes have 8 CPUs"}]),
            PodFailure("Unschedulable", "no node takes its pod: 0/1 nodes have 8 CPUs"),
            id="no room on any node",
        ),
        pytest.param(
            {**pod({"state": ended(1, WRONG_DIGEST)}), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            None,
            id="a pod that is being deleted: none",
        ),
    ],
)
def test_trouble_of(seen: dict[str, Any], expected: PodFailure | None) -> None:
    assert read_failure(seen) == expected


SNAPSHOT = Snapshot(Model("http://models/1", None), Server(None, {}, ()), "server:1", 8082)
RECORD = controller_revision_manifest(*IDS, REVISION, SNAPSHOT, 7)
DEPLOYMENT = {**deployment_manifest(*IDS, REVISION, SNAPSHOT, 2, "Always"), "status": {"readyReplicas": 3}}


def test_a_revision_is_read_from_all_its_objects() -> None:
    pods = [pod(FETCHED), pod({"state": ended(1, UNREACHABLE)}), pod({"state": ended(1, WRONG_DIGEST)})]
    annotated = {**DEPLOYMENT["metadata"], "annotations": {"tidegate.dev/pinned-sha256": "ab" * 32}}
    workload = parse_workload({**DEPLOYMENT, "metadata": annotated})
    state = revision_state(REVISION, parse_record(RECORD), workload, [*map(parse_pod, pods)])

    assert state == RevisionState(
        REVISION,
        7,
        SNAPSHOT,
        replicas=2,
        ready=2,  # while it scales down there may be more pods than are wanted
        facts=FACTS,
        pinned="ab" * 32,
        failure=PodFailure("WrongDigest", str(WRONG_DIGEST["message"]), permanent=True),
    )


@pytest.mark.parametrize(
    ("record", "deployment", "expected"),
    [
        pytest.param(RECORD, None, RevisionState(REVISION, 7, SNAPSHOT), id="its record only: no replicas"),
        pytest.param(None, DEPLOYMENT, RevisionState(REVISION, replicas=2, ready=2), id="its Deployment only"),
    ],
)
def test_a_revision_of_which_there_is(record: Any, deployment: Any, expected: RevisionState) -> None:
    parsed = parse_record(record) if record else None, parse_workload(deployment) if deployment else None
    assert revision_state(REVISION, *parsed, []) == expected


def test_objects_say_whose_they_are() -> None:
    assert revision_of(DEPLOYMENT) == REVISION
    assert revision_of({"metadata": {"name": "digits"}}) is None


@pytest.mark.parametrize("reason", ["x" * 4000, "two words", "1st", ""])
def test_a_reason_that_is_none_does_not_become_a_conditions(reason: str) -> None:
    failure = read_failure(pod(FETCHED, {"state": ended(1, {"reason": reason, "message": "no"})}))

    assert failure == PodFailure("ServerFailed", "no", crashed=True)
