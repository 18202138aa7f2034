"""Paired agreement in a rollout: the samples of live requests that stable keeps, and the gate that it is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.model.gate import REFUSES, Endpoint, GatePoint, GateSpec, JobSpec, SecretKey, secret_key
from tidegate.model.reasons import Policy
from tidegate.model.units import format_duration, parse_duration, parse_percent

GATE = "agreement"
"""The gate's name, which none of the user's may have then."""
KEY = "key"
"""Of the Secret that samples are had by."""
TO_START = timedelta(minutes=2)
"""For the Job's pod, beside the time that it may compare for."""
RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


@dataclass(frozen=True)
class RequestSamples:
    """How many live requests a pod keeps, and the Secret with the key by which they are had."""

    key_secret: str
    keep: int = 500

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "RequestSamples":
        """Raises KeyError on what the CRD doesn't let through."""
        return cls(raw["keySecret"], raw.get("keep", cls.keep))


@dataclass(frozen=True)
class AgreementCheck:
    """`spec.analysis.agreement`: what a candidate has to be shown before its first traffic."""

    compare: str = "Classes"
    """Or Values."""
    tolerate: float = 0.001
    accept: float = 0.01
    """Shares of the requests that may be answered otherwise, and that has to be ruled out."""
    deadline: timedelta = timedelta(minutes=15)
    """How long one comparison may take."""
    token: SecretKey | None = None
    """Where both ask for a key: what they are shown."""

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence that names the fields."""
        if not 0 <= self.tolerate < self.accept < 1:
            raise ValueError("spec.analysis.agreement.tolerate must be below accept, and accept below 100%")

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "AgreementCheck":
        """Raises KeyError or ValueError on what the CRD doesn't let through."""
        return cls(
            raw.get("compare", cls.compare),
            parse_percent(raw.get("tolerate", "0.1%")),
            parse_percent(raw.get("accept", "1%")),
            parse_duration(raw.get("deadline", "15m")),
            secret_key(raw.get("tokenSecret"), "token"),
        )


def agreement_gate(check: AgreementCheck, samples: RequestSamples) -> GateSpec:
    """A Job of the operator's image; `samples` are those that stable keeps."""
    token = (("TIDEGATE_TOKEN", check.token),) if check.token else ()
    job = JobSpec(
        image="",
        command=("tidegate", "compare"),
        args=_arguments(check),
        resources=RESOURCES,
        deadline=check.deadline + TO_START,
        secrets=(("TIDEGATE_SAMPLES_KEY", SecretKey(samples.key_secret, KEY)), *token),
        refusal_codes=(REFUSES,),
    )
    return GateSpec(GATE, GatePoint.START, Endpoint(), job, on_refusal=Policy.ROLLBACK, on_failure=Policy.HOLD)


def _arguments(check: AgreementCheck) -> tuple[str, ...]:
    within = ("--live", "--within", format_duration(check.deadline))
    shares = ("--tolerate", f"{100 * check.tolerate:g}%", "--accept", f"{100 * check.accept:g}%")
    return (*within, *shares, *(("--values",) if check.compare == "Values" else ()))
