"""What is applied is what the promise is about, and each release is a revision of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.releases.models import FAILING, GOOD, SLOW, TWIN_A, TWIN_B, Model
from benchmarks.releases.scenarios import (
    Kind,
    Scenario,
    blocks,
    busy,
    equal,
    failing,
    manifest,
    planned,
    slow,
    spec,
    together,
    unseen,
)
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


EACH = {Kind.FAILING: 10, Kind.UNSEEN: 4, Kind.BUSY: 3, Kind.SLOW: 5, Kind.EQUAL: 7}


def test_the_longest_scrape_comes_first_and_equal_candidates_have_the_shortest() -> None:
    made = planned(tuple(Kind), (2, 5), EACH)
    assert made == (failing(5, 10), unseen(5, 4), busy(5, 3), slow(5, 5), failing(2, 10), equal(2, 7))


def test_only_what_was_asked_for_is_planned() -> None:
    assert planned((Kind.SLOW,), (2, 5), EACH) == (slow(5, 5),)


def test_without_a_baseline_all_releases_are_in_one_turn() -> None:
    assert blocks(failing(2, 10), "", 10, 5) == (failing(2, 10),)


def test_both_codes_take_turns_and_the_second_of_a_turn_begins_the_next() -> None:
    def before(releases: int) -> Scenario:
        return replace(failing(2, releases), code="abc1234")

    assert blocks(failing(2, 12), "abc1234", 7, 5) == (
        *(failing(2, 5), before(5)),
        *(before(2), failing(2, 5)),
        failing(2, 2),
    )


def test_what_has_the_same_code_and_scrape_can_be_measured_at_once() -> None:
    before = replace(slow(30, 5), code="abc1234")
    parts = [failing(30, 5), before, unseen(30, 5), slow(30, 5), failing(30, 5), equal(2, 5)]
    assert together(parts, 3) == [
        (failing(30, 5), slow(30, 5)),
        (before,),
        (unseen(30, 5),),
        (failing(30, 5),),
        (equal(2, 5),),
    ]


def test_one_at_a_time_each_has_a_turn_of_its_own() -> None:
    assert together([failing(30, 5), slow(30, 5)], 1) == [(failing(30, 5),), (slow(30, 5),)]
