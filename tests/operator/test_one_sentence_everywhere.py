"""kubectl, tidegate and the page tell one story of what was recorded, in one sentence. The API server is real."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import yaml

from tests.conftest import until
from tests.operator.view_examples import Released
from tests.readers import Page, Readers, Told, command
from tidegate.cli.common.kubeconfig import connect
from tidegate.dashboard.access import LocalAccess
from tidegate.dashboard.serving import Dashboard, Wanted
from tidegate.kube.api import MODEL_DEPLOYMENTS, KubernetesApi

pytestmark = pytest.mark.apiserver

PLACE, NAME = "default", "digits"
HELD = {"analysis": {"deadline": "30s"}, "strategy": {"canary": {"steps": [{"weight": 10, "minDuration": "10m"}]}}}
Shown = Callable[[Released], Readers]


@pytest.fixture
def shown(api_server: Path, kubectl: Callable[..., subprocess.CompletedProcess[str]]) -> Iterator[Shown]:
    """Stores what was recorded of a world's model, and gives who reads it."""
    api = connect(str(api_server), None)
    dashboard = Dashboard(connect(str(api_server), None), Wanted(namespaces=(PLACE,), port=0))
    dashboard.start()
    where = ("-n", PLACE, "--kubeconfig", str(api_server))

    def run(*arguments: str) -> Told:
        done = kubectl(api_server, "-n", PLACE, *arguments)
        return Told(done.returncode, done.stdout, done.stderr)

    readers = Readers(run, lambda *each: command(*each, *where), _page(dashboard))

    def show(released: Released) -> Readers:
        _store(api, released)
        until(lambda: readers.page.sentences()["the page"] == released.world.status["message"])
        return readers

    yield show
    api.delete(MODEL_DEPLOYMENTS, PLACE, NAME)
    until(lambda: api.get(MODEL_DEPLOYMENTS, PLACE, NAME) is None)
    dashboard.stop()


def _page(dashboard: Dashboard) -> Page:
    """For the person who was given the address with the key."""
    assert isinstance(dashboard.access, LocalAccess)
    jar = CookieJar()
    build_opener(HTTPCookieProcessor(jar)).open(f"{dashboard.address}/sign-in?ticket={dashboard.access.secret}").close()
    return Page(dashboard.address, {"Cookie": "; ".join(f"{each.name}={each.value}" for each in jar)}, PLACE)


def _store(api: KubernetesApi, released: Released) -> None:
    kind = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelDeployment"}
    metadata = {"namespace": PLACE, "name": NAME}
    made = api.create(MODEL_DEPLOYMENTS, {**kind, "metadata": metadata, "spec": released.manifest["spec"]})
    assert made is not None
    generation = made["metadata"]["generation"]
    conditions = [{**each, "observedGeneration": generation} for each in released.world.status["conditions"]]
    status = {**released.world.status, "observedGeneration": generation, "conditions": conditions}
    api.replace(MODEL_DEPLOYMENTS, {**made, "status": status}, status=True)


@pytest.mark.parametrize(
    ("spec", "release", "phase", "settled"),
    [
        pytest.param({}, None, "Live", "live", id="live"),
        pytest.param({}, ("2", 20), "Canary", "under way", id="progressing"),
        pytest.param(HELD, ("2", 120), "Held", "under way", id="held"),
        pytest.param({"paused": True}, ("2", 60), "Paused", "under way", id="paused"),
        pytest.param({}, ("2", 400), "Live", "live", id="promoted"),
        pytest.param({}, ("failing", 200), "RolledBack", "failed", id="rolled back"),
    ],
)
def test_all_who_show_a_rollout_tell_one_sentence(
    shown: Shown,
    spec_schema: Mapping[str, Any],
    spec: Mapping[str, Any],
    release: tuple[str, float] | None,
    phase: str,
    settled: str,
) -> None:
    released = Released(spec_schema, **spec)
    if release:
        released.release(*release)
    readers = shown(released)
    found = readers.sentences()

    assert readers.status()["phase"] == phase
    assert found == dict.fromkeys(found, released.world.status["message"])
    assert readers.settled() == settled


def test_what_the_crd_refuses_lint_refuses_in_the_same_words_and_the_story_stays(
    shown: Shown, spec_schema: Mapping[str, Any], tmp_path: Path
) -> None:
    released = Released(spec_schema)
    readers = shown(released)
    wrong = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": PLACE, "name": NAME},
        "spec": {
            "model": {"uri": "http://models/2"},
            "strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 20}]}},
        },
    }
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(wrong))
    refused, linted = readers.kubectl("apply", "-f", str(file)), command("lint", str(file))
    sentence = "the weights of spec.strategy.canary.steps must ascend"
    found = readers.sentences()

    assert (refused.code, sentence in refused.err) == (1, True)
    assert (linted.code, sentence in linted.out) == (1, True)
    assert found == dict.fromkeys(found, released.world.status["message"])
