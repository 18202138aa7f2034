"""The product's judge on drawn traffic."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import yaml

from benchmarks.judge.scenarios import Scenario, Table
from benchmarks.judge.tidegate_defaults import CRD
from benchmarks.judge.tidegate_judge import judge_recording, learned
from benchmarks.judge.traffic import Arm, Recording
from benchmarks.judge.traffic_generator import generate
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.model.evidence import BY_CHANCE
from tidegate.model.spec import Analysis, ModelDeploymentSpec
from tidegate.resources.crd_schema import with_defaults


def drawn(**fields: object) -> Recording:
    given: dict[str, object] = {"rate": 100, "base": 0.01, **fields}
    return generate(Scenario(Table.STRESS, "anything", **given), 5, np.random.default_rng(1))  # type: ignore[arg-type]


def test_the_analysis_is_what_the_api_server_would_fill_in(analysis: Analysis) -> None:
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    filled = with_defaults(schema, {"model": {"uri": "https://models/1.onnx"}})

    assert analysis == ModelDeploymentSpec.parse(filled).analysis


def test_a_rollback_is_the_trials_own_at_the_poll_that_condemned(analysis: Analysis) -> None:
    recording = drawn(times=5)
    test = SequentialTest(SequentialTestParameters(analysis))
    increments = 0
    for increment in recording.increments():
        test.update(increment)
        increments += 1
        if test.rejected_at:
            break

    assert test.rejected_at
    assert judge_recording(recording, analysis, BY_CHANCE).rolled_back == 5 * increments


def test_a_healthy_candidate_is_promoted_and_stays(analysis: Analysis) -> None:
    seen = judge_recording(drawn(slower=1.0), analysis, BY_CHANCE)

    assert seen.rolled_back is None
    assert seen.promoted is not None


def test_a_candidate_that_nobody_asks_is_neither_promoted_nor_rolled_back(
    analysis: Analysis, an_arm: Callable[..., Arm], a_recording: Callable[[Arm], Recording]
) -> None:
    without_traffic = replace(a_recording(an_arm(requests=0)), before=(an_arm(),))

    assert judge_recording(without_traffic, analysis, learned(without_traffic, analysis)).rolled_back is None


def test_clumps_are_learned_from_stables_pods_before_the_rollout(analysis: Analysis) -> None:
    assert learned(drawn(), analysis).errors == pytest.approx(1, abs=0.4)
    # Of geometric clumps with mean 3: E[s²] / E[s].
    assert learned(drawn(burst_size=3.0), analysis).errors == pytest.approx(5, rel=0.3)


def test_what_the_user_says_of_clumps_is_believed(analysis: Analysis) -> None:
    told = learned(drawn(burst_size=3.0, slower=1.0), replace(analysis, overdispersion=1.0))

    assert {told.errors, *told.latency.values()} == {1.0}
    assert set(told.latency) <= set(analysis.latency.quantiles)
