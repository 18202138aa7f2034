"""What people look at is read from the status and the pods as the operator left them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.operator.view_examples import Released
from tidegate.errors import MalformedObject
from tidegate.view.pod_view import PodView
from tidegate.view.rollout_view import EvidenceView, Role, RolloutView, Settled, StepView, WeightsView


@pytest.fixture(scope="module")
def halfway(spec_schema: Mapping[str, Any]) -> Released:
    """After a rollback, in the middle of the next rollout."""
    return Released(spec_schema).release("failing", 200).release("2", 40)


def test_a_rollout_is_seen_with_its_weights_steps_and_evidence(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)

    assert (view.namespace, view.name, view.phase, view.progress, view.step) == ("shop", "digits", "Canary", "2/3", 2)
    assert view.weights == WeightsView(wanted=25, applied=25, observed=25.0)
    assert view.steps == (StepView(1, "10%", 10), StepView(2, "25%", 25), StepView(3, "50%", 50))
    assert view.analysis is not None
    assert view.analysis.rollback == EvidenceView("0.5 (threshold 100)", 0.5, 100)
    assert view.settled is Settled.UNDER_WAY


def test_the_sentence_is_the_statuss_own_and_its_reason_is_the_conditions(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)

    assert view.message == halfway.world.status["message"]
    assert view.reason == halfway.world.condition("Reconciling")[1]


def test_each_revision_has_its_pods(halfway: Released) -> None:
    view = RolloutView.of(halfway.manifest, halfway.pods)
    stable, candidate = view.revision(Role.STABLE), view.revision(Role.CANDIDATE)

    assert stable is not None
    assert candidate is not None
    assert (stable.uri, candidate.uri) == ("http://models/1", "http://models/2")
    assert [pod.name for pod in candidate.pods] == [f"{candidate.name}-0"]
    assert candidate.pods[0].ready


def test_pods_of_a_revision_that_is_neither_are_shown_until_they_have_gone(halfway: Released) -> None:
    pod = halfway.pods[0]
    labels = {**pod["metadata"]["labels"], "tidegate.dev/revision": "digits-00000000"}
    left = {**pod, "metadata": {**pod["metadata"], "name": "left", "labels": labels}}
    old = RolloutView.of(halfway.manifest, [*halfway.pods, left]).revision(Role.OLD)

    assert old is not None
    assert (old.name, [each.name for each in old.pods]) == ("digits-00000000", ["left"])


def test_pods_of_another_model_or_namespace_are_left_out(halfway: Released) -> None:
    pod = halfway.pods[0]
    others = [
        {**pod, "metadata": {**pod["metadata"], "namespace": "elsewhere"}},
        {**pod, "metadata": {**pod["metadata"], "labels": {"tidegate.dev/model-deployment": "letters"}}},
    ]

    assert all(not each.pods for each in RolloutView.of(halfway.manifest, others).revisions)


def test_the_history_counts_as_replay_does(halfway: Released) -> None:
    (entry,) = RolloutView.of(halfway.manifest).history

    assert (entry.number, entry.outcome, entry.reason, entry.most_weight) == (1, "RolledBack", "ErrorRateWorse", 10)
    assert (entry.requests, entry.failed) == (50, 10)


def test_a_document_of_it_is_json_with_every_field(halfway: Released) -> None:
    document = RolloutView.of(halfway.manifest, halfway.pods).to_dict()

    assert json.loads(json.dumps(document)) == document
    assert document["settled"] == "under way"
    assert document["weights"] == {"wanted": 25, "applied": 25, "observed": 25.0}
    assert document["revisions"][0]["role"] == "stable"


def test_a_model_that_the_operator_has_not_seen_is_under_way() -> None:
    metadata = {"namespace": "shop", "name": "digits", "generation": 1}
    view = RolloutView.of({"metadata": metadata, "spec": {}, "status": {"observedGeneration": 0}})

    assert (view.settled, view.phase, view.message) == (Settled.UNDER_WAY, "", "")


@pytest.mark.parametrize(
    ("models", "settled"),
    [
        pytest.param([], Settled.LIVE, id="the first revision is live"),
        pytest.param([("2", 400)], Settled.LIVE, id="promoted"),
        pytest.param([("failing", 100)], Settled.FAILED, id="rolled back"),
        pytest.param([("2", 20)], Settled.UNDER_WAY, id="in a step"),
    ],
)
def test_it_has_settled_once_nothing_more_comes(
    models: list[tuple[str, float]], settled: Settled, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema)
    for model, seconds in models:
        released.release(model, seconds)

    assert RolloutView.of(released.manifest).settled is settled


def test_a_spec_that_the_operator_has_not_seen_yet_is_under_way(halfway: Released) -> None:
    manifest = halfway.manifest
    live = {**manifest["status"], "observedGeneration": 2, "phase": "Live"}

    assert RolloutView.of({**manifest, "status": live}).settled is Settled.UNDER_WAY


def test_an_intent_that_waits_for_the_operator_is_shown(halfway: Released) -> None:
    manifest = halfway.manifest
    annotations = {"tidegate.dev/abort": "digits-81aa: no", "tidegate.dev/written-by": "x", "team/approve": "y"}
    view = RolloutView.of({**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}})

    assert view.controls == ("abort: digits-81aa: no",)


WAITING_STEPS = [
    {"weight": 5},
    {"weight": 25, "pause": {"duration": "10m"}},
    {"weight": 50, "pause": {}, "approval": "Required"},
    {"mirror": {"percent": 20}},
    {"ramp": {}},
]


@pytest.mark.parametrize(
    ("strategy", "texts"),
    [
        ({"blueGreen": {}}, ["verify", "100%"]),
        ({"canary": {"steps": WAITING_STEPS}}, ["5%", "25% pause 10m", "50% pause approval", "shadow 20%", "ramp"]),
        ({}, []),
    ],
)
def test_steps_of_any_kind_are_shown(strategy: dict[str, Any], texts: list[str]) -> None:
    manifest = {"metadata": {"namespace": "shop", "name": "digits"}, "spec": {"strategy": strategy}}

    assert [step.text for step in RolloutView.of(manifest).steps] == texts


def test_a_status_of_an_unforeseen_shape_is_told() -> None:
    manifest = {"metadata": {"namespace": "shop", "name": "digits"}, "status": {"history": [{"revision": "a"}]}}

    with pytest.raises(MalformedObject, match="the ModelDeployment shop/digits can't be read"):
        RolloutView.of(manifest)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("7e7 (threshold 100)", EvidenceView("7e7 (threshold 100)", 7e7, 100)),
        ("1,312 (threshold 2)", EvidenceView("1,312 (threshold 2)", 1312, 2)),
        ("", None),
        ("none (threshold x)", None),
    ],
)
def test_evidence_is_read_from_its_text(text: str, evidence: EvidenceView | None) -> None:
    assert EvidenceView.of(text) == evidence


def pod(status: dict[str, Any], **metadata: Any) -> PodView:
    return PodView.of({"metadata": {"name": "one", **metadata}, "status": status})


WAITING = {"waiting": {"reason": "CrashLoopBackOff"}}
FETCHING = {"name": "fetch", "state": {"running": {}}}


@pytest.mark.parametrize(
    ("status", "metadata", "state"),
    [
        pytest.param({"phase": "Running"}, {}, "Running", id="running"),
        pytest.param({"phase": "Pending", "initContainerStatuses": [FETCHING]}, {}, "Pending", id="fetching"),
        pytest.param({"phase": "Running"}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "Terminating", id="going"),
        pytest.param({"phase": "Failed", "reason": "Evicted"}, {}, "Evicted", id="evicted"),
        pytest.param(
            {"phase": "Running", "containerStatuses": [{"name": "server", "state": WAITING, "restartCount": 4}]},
            {},
            "CrashLoopBackOff",
            id="crashing",
        ),
        pytest.param(
            {"initContainerStatuses": [{"name": "fetch", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]},
            {},
            "Init:Error",
            id="its model can't be fetched",
        ),
    ],
)
def test_a_pods_state_is_kubectls_word(status: dict[str, Any], metadata: dict[str, Any], state: str) -> None:
    assert pod(status, **metadata).state == state


def test_restarts_are_counted_and_the_pods_own_sentence_is_kept() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    crashed = {"name": "server", "ready": False, "restartCount": 4, "state": WAITING, "lastState": ended}
    seen = pod({"phase": "Running", "containerStatuses": [crashed]}, creationTimestamp="2026-01-01T00:00:00Z")

    assert replace(seen, problem="") == PodView(
        "one", "", False, "CrashLoopBackOff", 4, datetime(2026, 1, 1, tzinfo=UTC), "", ""
    )
    assert seen.problem.startswith("container server ended with out of memory")


def test_whatever_the_operator_records_can_be_looked_at(spec_schema: Mapping[str, Any]) -> None:
    released = Released(spec_schema)
    looked: set[str] = set()

    def look() -> bool:
        view = RolloutView.of(released.manifest)
        assert view.message == released.world.status["message"]
        looked.add(view.phase)
        return False

    for model, seconds in (("failing", 60), ("2", 200)):
        released.release(model, 0)
        end = released.now + timedelta(seconds=seconds)
        released.world.run_until(lambda: look() or released.now >= end)  # noqa: B023

    assert looked == {"Starting", "Canary", "Promoting", "RolledBack", "Live"}
