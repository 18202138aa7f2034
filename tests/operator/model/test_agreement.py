"""What `spec.analysis.agreement` and `spec.server.requestSamples` say, and the gate that they make."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tidegate.errors import InvalidSpec
from tidegate.model.agreement import RESOURCES, AgreementCheck, RequestSamples, agreement_gate
from tidegate.model.gate import GatePoint, GateSpec, JobSpec, SecretKey
from tidegate.model.reasons import Policy
from tidegate.model.spec import ModelDeploymentSpec

ASpec = Callable[..., ModelDeploymentSpec]
SAMPLES = {"requestSamples": {"keySecret": "samples"}}


@pytest.mark.parametrize(
    ("given", "check"),
    [
        pytest.param({}, AgreementCheck(), id="defaults"),
        pytest.param(
            {
                "compare": "Values",
                "tolerate": "0.05%",
                "accept": "2%",
                "deadline": "1h",
                "tokenSecret": {"name": "clients"},
            },
            AgreementCheck("Values", 0.0005, 0.02, timedelta(hours=1), SecretKey("clients", "token")),
            id="everything",
        ),
    ],
)
def test_a_check_is_read(a_spec: ASpec, given: dict[str, Any], check: AgreementCheck) -> None:
    spec = a_spec(server=SAMPLES, analysis={"agreement": given})

    assert (spec.analysis.agreement, spec.server.request_samples) == (check, RequestSamples("samples", 500))


def test_without_them_nothing_is_kept_and_nothing_compared(a_spec: ASpec) -> None:
    assert (a_spec().analysis.agreement, a_spec().server.request_samples) == (None, None)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"analysis": {"agreement": {}}}, "so no pod keeps any: give it a keySecret", id="no samples"),
        pytest.param(
            {"server": SAMPLES, "analysis": {"agreement": {"tolerate": "1%", "accept": "1%"}}},
            r"spec\.analysis\.agreement\.tolerate must be below accept",
            id="margins",
        ),
        pytest.param(
            {
                "server": SAMPLES,
                "analysis": {"agreement": {}},
                "gates": [{"name": "agreement", "at": "Start", "url": "https://ci.example.com"}],
            },
            "spec.gates has a gate named agreement",
            id="another gate of that name",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(a_spec: ASpec, spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        a_spec(**spec)


def test_the_gate_is_a_job_that_compares_for_as_long_as_it_may() -> None:
    check = AgreementCheck("Values", 0.0005, 0.02, timedelta(hours=1), SecretKey("clients", "token"))
    args = ("--live", "--within", "1h", "--tolerate", "0.05%", "--accept", "2%", "--values")

    assert agreement_gate(check, RequestSamples("samples")) == GateSpec(
        "agreement",
        GatePoint.START,
        job=JobSpec(
            "",
            ("tidegate", "compare"),
            args,
            resources=RESOURCES,
            deadline=timedelta(hours=1, minutes=2),
            secrets=(
                ("TIDEGATE_SAMPLES_KEY", SecretKey("samples", "key")),
                ("TIDEGATE_TOKEN", SecretKey("clients", "token")),
            ),
            refusal_codes=(3,),
        ),
        on_refusal=Policy.ROLLBACK,
        on_failure=Policy.HOLD,
    )
