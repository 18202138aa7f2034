"""What is applied is what the promise is about, and each release is a revision of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.releases.models import FAILING, GOOD, SLOW, TWIN_A, TWIN_B, Model
from benchmarks.releases.scenarios import Kind, Scenario, equal, failing, manifest, planned, slow, spec
from tidegate.model.revision import plan_digest, revision_name
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.resources.crd_schema import with_defaults

CRD = Path(__file__).parents[3] / "crds" / "modeldeployments.yaml"
MODEL = Model("failing", Path("/cache/digits-v3.onnx"), "5" * 64, ())


@pytest.fixture(scope="module")
def schema() -> Mapping[str, Any]:
    crd = yaml.safe_load(CRD.read_text())
    found: Mapping[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def parsed(schema: Mapping[str, Any], given: Mapping[str, Any]) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.parse(with_defaults(schema, given))


def test_a_release_says_only_what_it_needs_to() -> None:
    assert manifest(failing(2, 10), MODEL, 3, "198.18.0.1:8480") == {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": "bench-failing-2s"},
        "spec": {
            "replicas": 2,
            "model": {"uri": "http://198.18.0.1:8480/digits-v3.onnx", "sha256": "5" * 64},
            "server": {"env": [{"name": "RELEASE", "value": "3"}]},
            "strategy": {"canary": {"steps": [{"weight": 10}, {"weight": 50}]}},
            "analysis": {"interval": "2s"},
        },
    }


@pytest.mark.parametrize("scenario", [failing(2, 1), failing(5, 1), slow(2, 1), equal(2, 1)], ids=lambda s: s.title)
def test_the_judge_has_its_defaults_but_for_how_often_it_looks(schema: Mapping[str, Any], scenario: Scenario) -> None:
    made = parsed(schema, spec(scenario, MODEL, 1, "files:80"))
    plain = parsed(schema, {"model": {"uri": "http://files/m.onnx"}, "analysis": {"interval": f"{scenario.scrape}s"}})
    assert made.analysis == plain.analysis
    assert isinstance(made.strategy, Canary)
    assert tuple(step.weight for step in made.strategy.steps) == scenario.weights


def test_each_release_is_another_revision_under_the_same_plan(schema: Mapping[str, Any]) -> None:
    made = [parsed(schema, spec(failing(2, 3), MODEL, number, "files:80")) for number in range(4)]
    assert len({revision_name("digits", each) for each in made}) == 4
    assert len({plan_digest(each) for each in made}) == 1


def test_equal_releases_bring_the_other_twin_each_time() -> None:
    scenario = equal(2, 4)
    assert scenario.stable == TWIN_A
    assert [scenario.candidate(number) for number in (1, 2, 3)] == [TWIN_B, TWIN_A, TWIN_B]


def test_bad_releases_bring_the_same_bad_model_each_time() -> None:
    assert [failing(2, 2).candidate(number) for number in (1, 2)] == [FAILING, FAILING]
    assert (slow(2, 1).stable, slow(2, 1).candidate(1)) == (GOOD, SLOW)


def test_the_longest_scrape_comes_first_and_the_shortest_serves_all_kinds() -> None:
    made = planned(tuple(Kind), (2, 5), failures=10, slows=5, equals=7)
    assert made == (failing(5, 10), failing(2, 10), slow(2, 5), equal(2, 7))


def test_only_what_was_asked_for_is_planned() -> None:
    assert planned((Kind.SLOW,), (2, 5), failures=10, slows=3, equals=10) == (slow(2, 3),)
