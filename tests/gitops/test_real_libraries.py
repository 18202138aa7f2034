"""What the tools' own packages make of a ModelDeployment; they are built from Go modules first, which takes a while."""

import json
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from tests.gitops.conditions import CASES, LIVE, Case, status
from tests.gitops.manifests import MANIFESTS, REPOSITORY, in_namespace
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.cluster.layout import cache_folder
from tidegate_demo.cluster.programs import go

pytestmark = pytest.mark.gitops
HERE = Path(__file__).parent
KIND = "tidegate.dev/ModelDeployment"
EVERYTHING: Mapping[str, Any] = {
    **status(ready=(True, "StableServing"), reconciling=(True, "WaitingForApproval")),
    "stable": {"revision": "digits-6f9c1d2e"},
    "candidate": {"revision": "digits-81aa22bb"},
    "rollout": {"candidate": "digits-81aa22bb", "step": 2},
}


@cache
def built(name: str) -> Path:
    """A program of this folder; built once for its sources, and kept."""
    place = cache_folder() / "gitops" / name
    try:
        command = [str(go()), "build", "-p", "2", "-o", str(place), "."]
    except ClusterError as error:
        pytest.skip(str(error))
    place.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=HERE / name, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{name} can't be built: {done.stderr[-500:]}")
    return place


def asked(name: str, question: Any) -> Any:
    """What the program answers."""
    given = json.dumps(question)
    return json.loads(subprocess.run([built(name)], input=given, capture_output=True, text=True, check=True).stdout)


def argocd(**question: Any) -> Any:
    """What Argo CD answers, with our part of its ConfigMap."""
    data = yaml.safe_load((REPOSITORY / "examples" / "gitops" / "argocd-cm.yaml").read_text())["data"]
    health, actions = (
        data[f"resource.customizations.{what}.{KIND.replace('/', '_')}"] for what in ("health", "actions")
    )
    return asked("argocd", {"health": {KIND: health}, "actions": {KIND: actions}, **question})


def test_kubernetes_and_flux_make_of_each_case_what_the_page_says() -> None:
    answers = asked("kstatus", [case.manifest for case in CASES.values()])

    assert dict(zip(CASES, answers, strict=True)) == {
        name: {"kubernetes": case.kstatus, "flux": case.kstatus} for name, case in CASES.items()
    }


def test_argo_cd_makes_of_each_case_what_the_page_says() -> None:
    answers = argocd(healthy=[case.manifest for case in CASES.values()])["healthy"]

    found = {name: answer["status"] for name, answer in zip(CASES, answers, strict=True)}
    assert found == {name: case.argocd for name, case in CASES.items()}
    assert [answer for answer in answers if not answer["message"]] == []


def manifest(status: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    body = Case("", "", "", status).manifest
    return {**body, "spec": {**body["spec"], **spec}}


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        pytest.param("abort", {"tidegate.dev/abort": "digits-81aa22bb by Argo CD"}, id="abort"),
        pytest.param("approve", {"tidegate.dev/approve": "digits-81aa22bb/2 by Argo CD"}, id="approve"),
        pytest.param("promote", {"tidegate.dev/promote": "digits-81aa22bb/2 by Argo CD"}, id="promote"),
        pytest.param("promote-full", {"tidegate.dev/promote-full": "digits-81aa22bb by Argo CD"}, id="promote in full"),
        pytest.param("restart", {"tidegate.dev/restart": "digits-6f9c1d2e by Argo CD"}, id="restart"),
    ],
)
def test_an_action_writes_its_annotation_and_nothing_else(action: str, fields: dict[str, str]) -> None:
    given = manifest(EVERYTHING)
    (answer,) = argocd(acting=[{"object": given, "action": action}])["acting"]

    metadata = {**given["metadata"], "annotations": fields}
    assert answer["object"] == {**given, "metadata": metadata}
    assert set(answer["offered"]) == {"abort", "approve", "promote", "promote-full", "restart", "pause"}


def test_pause_and_resume_write_the_spec() -> None:
    running, paused = manifest(EVERYTHING), manifest(EVERYTHING, paused=True)
    asked_for = [{"object": running, "action": "pause"}, {"object": paused, "action": "resume"}]
    pause, resume = argocd(acting=asked_for)["acting"]

    assert pause["object"]["spec"]["paused"] is True
    assert resume["object"]["spec"]["paused"] is False
    assert "resume" not in pause["offered"]


def test_what_was_rolled_back_may_be_tried_again_and_a_live_model_only_restarted() -> None:
    rejected = {**LIVE, "stable": {"revision": "digits-6f9c1d2e"}, "rejected": {"revision": "digits-81aa22bb"}}
    live = {**LIVE, "stable": {"revision": "digits-6f9c1d2e"}}
    asked_for = [{"object": manifest(rejected), "action": "retry"}, {"object": manifest(live), "action": "retry"}]
    again, idle = argocd(acting=asked_for)["acting"]

    assert again["object"]["metadata"]["annotations"] == {"tidegate.dev/retry": "digits-81aa22bb by Argo CD"}
    assert set(idle["offered"]) == {"restart", "pause"}
    assert idle["object"] is None


@pytest.fixture
def applied(
    kubectl: Callable[..., CompletedProcess[str]], api_server: Path, namespace: str
) -> Callable[..., dict[str, Any]]:
    """kubectl with JSON in and out."""

    def run(given: dict[str, Any], *flags: str) -> dict[str, Any]:
        done = kubectl(
            api_server, "apply", "-f", "-", "-o", "json", "--show-managed-fields", *flags, given=json.dumps(given)
        )
        assert done.returncode == 0, done.stderr
        made: dict[str, Any] = json.loads(done.stdout)
        return made

    return run


@pytest.mark.apiserver
def test_argo_cd_finds_nothing_out_of_sync(applied: Callable[..., dict[str, Any]], namespace: str) -> None:
    """Applied by the client or by the server, also with a control and a pause that aren't in Git."""
    server_side = ("--server-side", "--field-manager=argocd-controller")
    pairs: dict[str, dict[str, Any]] = {}
    for name, each in MANIFESTS.items():
        wanted = in_namespace({**each, "metadata": {"name": f"client-{each['metadata']['name']}"}}, namespace)
        live = applied(wanted)
        noted = {**live["metadata"]["annotations"], "tidegate.dev/approve": "digits-81aa22bb/1"}
        asked_for = {**live, "metadata": {**live["metadata"], "annotations": noted}}
        asked_for["spec"] = {**live["spec"], "paused": live["spec"]["paused"] or "paused" not in wanted["spec"]}
        pairs[f"{name}, by the client"] = {"wanted": wanted, "live": live}
        pairs[f"{name}, with a control"] = {"wanted": wanted, "live": asked_for}
        by_server = in_namespace({**each, "metadata": {"name": f"server-{each['metadata']['name']}"}}, namespace)
        there = applied(by_server, *server_side)
        predicted = applied(by_server, *server_side, "--dry-run=server")
        pairs[f"{name}, by the server"] = {"wanted": by_server, "live": there, "predicted": predicted}

    found = argocd(diffs=list(pairs.values()))["diffs"]

    assert [name for name, differs in zip(pairs, found, strict=True) if differs] == []


@pytest.mark.apiserver
def test_argo_cd_finds_what_does_differ(applied: Callable[..., dict[str, Any]], namespace: str) -> None:
    wanted = in_namespace(MANIFESTS["every-list-least"], namespace)
    live = applied(wanted)
    other = {**wanted, "spec": {**wanted["spec"], "replicas": 3}}

    assert argocd(diffs=[{"wanted": wanted, "live": live}, {"wanted": other, "live": live}])["diffs"] == [False, True]
