"""What docs/registry.md says of a model that leaves its registry by hand, at a real API server."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

pytestmark = pytest.mark.apiserver
Kubectl = Callable[..., CompletedProcess[str]]
PAGE = (Path(__file__).parents[3] / "docs" / "registry.md").read_text()


@pytest.fixture
def patch(kubectl: Kubectl, api_server: Path, namespace: str) -> Callable[[str], CompletedProcess[str]]:
    """A merge patch of the page's first ModelDeployment."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    document = yaml.safe_load(found[1])
    document["metadata"]["namespace"] = namespace
    made = kubectl(api_server, "apply", "-f", "-", given=json.dumps(document))
    assert made.returncode == 0, made.stderr

    def run(change: str) -> CompletedProcess[str]:
        where = ("-n", namespace, "modeldeployment", "sentiment")
        return kubectl(api_server, "patch", *where, "--type", "merge", "-p", change)

    return run


@pytest.mark.parametrize(
    "said",
    [
        "a gate of spec.gates with registry needs a spec.model.uri with models:/, as nobody can approve another model "
        "there; take the gate out in the same change, or name a registered model",
        "spec.notifications with format ModelVersionTags needs a spec.model.uri with models:/, as no other model has a "
        "version with tags; take it out in the same change, or name a registered model",
        "hf://; leave follow out in the same change for a model that stays what it is",
    ],
    ids=["the gate", "the tags", "the name that is followed"],
)
def test_another_uri_alone_is_refused_and_each_sentence_says_what_has_to_go(
    said: str, patch: Callable[[str], CompletedProcess[str]]
) -> None:
    done = patch('{"spec": {"model": {"uri": "s3://models/sentiment/9"}}}')

    assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_the_pages_command_is_taken(patch: Callable[[str], CompletedProcess[str]]) -> None:
    found = re.search(r"kubectl patch modeldeployment sentiment --type merge -p '.*?'", PAGE, re.DOTALL)
    assert found is not None
    done = patch(shlex.split(found[0])[-1])

    assert done.returncode == 0, done.stderr


def test_a_version_that_is_named_by_hand_keeps_gate_and_tags(patch: Callable[[str], CompletedProcess[str]]) -> None:
    done = patch('{"spec": {"model": {"uri": "models:/sentiment/7", "follow": null}}}')

    assert done.returncode == 0, done.stderr
