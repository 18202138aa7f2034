"""What `spec.analysis.inputs` says."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tidegate.model.inputs import InputCheck, InputPolicy
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.resources.crd_schema import refusals

ASpec = Callable[..., ModelDeploymentSpec]


@pytest.mark.parametrize(
    ("given", "check"),
    [
        pytest.param({}, InputCheck(0.1, InputPolicy.WARN), id="defaults"),
        pytest.param({"drift": "2.5%", "onDrift": "Hold"}, InputCheck(0.025, InputPolicy.HOLD), id="everything"),
    ],
)
def test_a_check_is_read(a_spec: ASpec, given: dict[str, Any], check: InputCheck) -> None:
    assert a_spec(analysis={"inputs": given}).analysis.inputs == check


def test_without_it_inputs_are_not_looked_at(a_spec: ASpec) -> None:
    assert a_spec().analysis.inputs is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"drift": "101%"}, "spec.analysis.inputs.drift", id="more than all"),
        pytest.param({"drift": 0.1}, "spec.analysis.inputs.drift", id="a number"),
        pytest.param({"onDrift": "Rollback"}, "spec.analysis.inputs.onDrift", id="a rollback"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    spec_schema: Mapping[str, Any], given: Mapping[str, Any], field: str
) -> None:
    spec = {"model": {"uri": "http://models/1"}, "analysis": {"inputs": given}}
    assert any(field in str(each) for each in refusals(spec_schema, spec, "spec"))
