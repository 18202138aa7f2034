"""The commands against a real API server, with the CRD's own rules, conflicts and watches."""

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.operator.view_examples import Released
from tidegate.__main__ import main
from tidegate.kube.api import CONTROLLER_REVISIONS, EVENTS, MODEL_DEPLOYMENTS, KubernetesApi, Manifest, Resource
from tidegate.kube.kubeconfig import KubeconfigAccess, find_context
from tidegate.model.control import Control

pytestmark = pytest.mark.apiserver
NAMESPACES = Resource("v1", "Namespace", "namespaces")
PROGRAM = Path(sys.executable).with_name("tidegate")
MODELS, LETTERS = 1000, "letters-"
MOST_CPU_SECONDS, MOST_MEBIBYTES = 1.5, 120
# A child counts as its own what its parent had before it became another program, so a small one is the parent.
MEASURE = """
import os, subprocess, sys
with open(sys.argv[1], "w") as out:
    process = subprocess.Popen(sys.argv[2:], stdout=out)
_, process.returncode, used = os.wait4(process.pid, 0)
print(process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
_numbers = itertools.count()
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def api(api_server: Path) -> KubernetesApi:
    """By the user's kubeconfig, without the generated client."""
    return KubernetesApi(access=KubeconfigAccess(find_context(str(api_server), None)))


@pytest.fixture
def place(api: KubernetesApi) -> str:
    """A namespace that no other test uses."""
    name = f"cli-{next(_numbers)}"
    metadata = {"name": name, "namespace": None}
    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return name


@pytest.fixture
def tidegate(api_server: Path, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("COLUMNS", raising=False)  # whoever runs the tests has a terminal of some width

    def run(*arguments: str) -> tuple[int, str, str]:
        return main([*arguments, "-n", place, "--kubeconfig", str(api_server)]), *capsys.readouterr()

    return run


def stored(api: KubernetesApi, released: Released, place: str) -> None:
    """The model in the cluster, with its status and its revisions."""
    stored_as(api, released, place, "digits")
    for revision in released.revisions:
        own = {key: revision["metadata"][key] for key in ("name", "labels")}
        api.create(CONTROLLER_REVISIONS, {**revision, "metadata": {**own, "namespace": place}})


def stored_as(api: KubernetesApi, released: Released, place: str, name: str) -> None:
    """The model under a name of its own, with its status."""
    kind = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelDeployment"}
    metadata = {"namespace": place, "name": name}
    made = api.create(MODEL_DEPLOYMENTS, {**kind, "metadata": metadata, "spec": released.manifest["spec"]})
    assert made is not None
    status = {**released.world.status, "observedGeneration": made["metadata"]["generation"]}
    api.replace(MODEL_DEPLOYMENTS, {**made, "status": status}, status=True)


def answering(api: KubernetesApi, place: str, control: Control) -> threading.Thread:
    """An operator that acts once on a control, and says so."""

    def act() -> None:
        def asked() -> Manifest | None:
            found = api.get(MODEL_DEPLOYMENTS, place, "digits")
            return found if found and control.annotation in (found["metadata"].get("annotations") or {}) else None

        found = until(asked)
        assert found is not None
        about = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelDeployment", "namespace": place}
        about |= {"name": "digits", "uid": found["metadata"]["uid"]}
        event: dict[str, Any] = {"apiVersion": "v1", "kind": "Event", "reason": "Aborted", "type": "Normal"}
        event |= {"metadata": {"generateName": "digits-", "namespace": place}, "message": "it was aborted"}
        api.create(EVENTS, {**event, "involvedObject": about})
        api.merge(MODEL_DEPLOYMENTS, place, "digits", {"metadata": {"annotations": {control.annotation: None}}})

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_rollout_is_shown_and_aborted(
    tidegate: Run, api: KubernetesApi, place: str, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema).release("2", 20)
    stored(api, released, place)
    code, shown, _ = tidegate("status", "digits")
    operator = answering(api, place, Control.ABORT)
    aborted, out, err = tidegate("abort", "digits", "--reason", "it looks odd")
    operator.join()

    assert (code, aborted, err) == (0, 0, "")
    assert shown.splitlines()[1] == released.world.status["message"]
    assert "Aborted: it was aborted" in out


def test_an_undo_is_a_spec_that_the_cluster_takes(
    tidegate: Run, api: KubernetesApi, place: str, spec_schema: Mapping[str, Any]
) -> None:
    released = Released(spec_schema).release("2", 400)
    stored(api, released, place)
    code, _, err = tidegate("undo", "digits", "--no-wait")
    found = api.get(MODEL_DEPLOYMENTS, place, "digits")

    assert (code, err) == (0, "")
    assert found is not None
    assert found["spec"]["model"]["uri"] == "http://models/1"
    assert any(each["manager"] == "tidegate-cli" for each in found["metadata"]["managedFields"])


def test_what_is_not_there_and_what_is_wrong_is_one_sentence(tidegate: Run) -> None:
    assert tidegate("status", "nobody")[0] == 1
    assert tidegate("get", "nobody")[2].startswith("tidegate get: there is no ModelDeployment nobody in")


def test_the_cluster_is_checked(tidegate: Run) -> None:
    code, out, _ = tidegate("check")

    assert code == 1  # no operator runs here
    assert "has every field that this version knows" in out
    assert "wrong     operator: no operator is installed where you may look; install the chart" in out


@pytest.mark.parametrize("output", ["json", "table"])
def test_a_thousand_models_are_shown_in_little_time_and_memory(
    thousand: str, api_server: Path, tmp_path: Path, output: str
) -> None:
    """By the CPU time and the memory of a process of its own: how long it takes depends on what else there is to do."""
    where = ("-n", thousand, "--kubeconfig", str(api_server))
    written = tmp_path / "status"
    command = [sys.executable, "-c", MEASURE, str(written), str(PROGRAM), "status", "-o", output, *where]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.split()
    code, cpu_seconds, mebibytes = int(told[0]), float(told[1]), int(told[2]) / 1024

    assert code == 0
    assert written.read_text().count(LETTERS) >= MODELS
    assert cpu_seconds <= MOST_CPU_SECONDS
    assert mebibytes <= MOST_MEBIBYTES


@pytest.fixture(scope="module")
def thousand(api: KubernetesApi, spec_schema: Mapping[str, Any]) -> str:
    """A namespace with so many models, each with a history."""
    place = "a-thousand"
    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place, "namespace": None}})
    released = Released(spec_schema).release("failing", 200).release("2", 400)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: stored_as(api, released, place, f"{LETTERS}{number}"), range(MODELS)))
    return place
