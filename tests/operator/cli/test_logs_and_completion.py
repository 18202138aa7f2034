"""`tidegate logs`, `version` and `completion`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.operator.fake_api import FakeApi
from tests.operator.view_examples import Released
from tidegate.__main__ import main
from tidegate.cli.common.completion import given_in, names_in
from tidegate.kube.api import DEPLOYMENTS, MODEL_DEPLOYMENTS, PODS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tidegate(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        return main([*arguments, "--kubeconfig", str(place)]), *capsys.readouterr()

    return run


@pytest.fixture
def names(fake: FakeApi, spec_schema: Mapping[str, Any]) -> tuple[str, str]:
    """A rollout under way: its stable pod and its candidate's, each with a log."""
    released = Released(spec_schema).release("2", 20)
    fake.put(MODEL_DEPLOYMENTS, released.manifest)
    for pod in released.pods:
        fake.put(PODS, pod)
        name = pod["metadata"]["name"]
        fake.answers[f"/api/v1/namespaces/shop/pods/{name}/log"] = f"{name} starts\nis ready"
    status = released.world.status
    return f"{status['stable']['revision']}-0", f"{status['candidate']['revision']}-0"


def test_each_line_says_whose_it_is(tidegate: Run, names: tuple[str, str]) -> None:
    stable, candidate = names

    assert tidegate("logs", "digits") == (
        0,
        f"stable    {stable}  {stable} starts\nstable    {stable}  is ready\n"
        f"candidate {candidate}  {candidate} starts\ncandidate {candidate}  is ready\n",
        "",
    )


def test_one_arm_alone_and_what_is_asked_of_the_api(tidegate: Run, fake: FakeApi, names: tuple[str, str]) -> None:
    _, out, _ = tidegate("logs", "digits", "--candidate", "-f", "--tail", "5", "--since", "5m", "-c", "fetch")

    assert {line.split()[1] for line in out.splitlines()} == {names[1]}
    assert fake.asked[-1].query == {"container": "fetch", "follow": "true", "tailLines": "5", "sinceSeconds": "300"}


def test_a_log_that_cannot_be_read_is_told_beside_the_others(
    tidegate: Run, fake: FakeApi, names: tuple[str, str]
) -> None:
    del fake.answers[f"/api/v1/namespaces/shop/pods/{names[0]}/log"]
    fake.remove(PODS, "shop", names[0])
    fake.put(PODS, {"metadata": {"name": names[0], "namespace": "shop", "labels": labels_of(fake, names[1], names[0])}})
    fake.objects["pods", "shop", names[0]]["metadata"]["name"] = "gone"
    code, out, err = tidegate("logs", "digits")

    assert code == 1
    assert names[1] in out
    assert err.startswith("tidegate logs: the log of gone ends here: ")


def labels_of(fake: FakeApi, pod: str, other: str) -> dict[str, str]:
    labels = fake.read(PODS, "shop", pod)["metadata"]["labels"]
    return {**labels, "tidegate.dev/revision": other.removesuffix("-0")}


def test_without_pods_there_is_nothing_to_read(tidegate: Run, fake: FakeApi, spec_schema: Mapping[str, Any]) -> None:
    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema).manifest)

    assert tidegate("logs", "digits", "--candidate")[::2] == (1, "tidegate logs: shop/digits has no candidate pod\n")


def test_the_version_is_this_one_and_the_operators(tidegate: Run, fake: FakeApi) -> None:
    container = {"image": "registry/tidegate:1.2.3"}
    labels = {"app.kubernetes.io/name": "tidegate", "app.kubernetes.io/component": "operator"}
    fake.put(
        DEPLOYMENTS,
        {
            "metadata": {"name": "tidegate-operator", "namespace": "tidegate", "labels": labels},
            "spec": {"template": {"spec": {"containers": [container]}}},
            "status": {"readyReplicas": 2},
        },
    )
    here, there = tidegate("version")[1].splitlines()

    assert here.startswith("tidegate ")
    assert there == "operator: tidegate/tidegate-operator runs registry/tidegate:1.2.3, 2 ready"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "kubectl"])
def test_a_shells_script_names_the_variable_that_is_asked_by(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_TIDEGATE_COMPLETE=complete_" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("tidegate status -n shop d", {"namespace": "shop"}),
        ("tidegate status --namespace=shop --context c", {"namespace": "shop", "context": "c"}),
        ("tidegate status -n", {}),
    ],
)
def test_a_command_line_that_is_not_whole_says_which_namespace(line: str, given: dict[str, str]) -> None:
    assert given_in(line.split()) == given


def test_names_of_models_are_completed(place: Path, fake: FakeApi, spec_schema: Mapping[str, Any]) -> None:
    fake.put(MODEL_DEPLOYMENTS, Released(spec_schema).manifest)

    assert names_in(["--kubeconfig", str(place)], "di") == ["digits"]
    assert names_in(["--kubeconfig", str(place)], "x") == []
    assert names_in(["--kubeconfig", "/nowhere"], "") == []
