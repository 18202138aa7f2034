"""Gates of the user's: whom a rollout asks before it goes on, what they said, and what of it is recorded. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tidegate.model.api_fields import canonical
from tidegate.model.reasons import Policy
from tidegate.model.units import parse_duration

DEFAULT_TIMEOUT = timedelta(seconds=10)
DEFAULT_RETRIES = 3
DEFAULT_DEADLINE = timedelta(minutes=10)
REFUSES = 3
"""The exit code of our own commands that is a no, in a Job too: with 1 a program ends that breaks off."""
ASKED_AGAIN = timedelta(seconds=30)
"""After an answer that holds and doesn't say when to ask again."""
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=1)
"""What an answer may ask for."""


class GatePoint(StrEnum):
    """When a gate is asked; End is told, and holds nothing."""

    START = "Start"
    """Before the candidate's first traffic."""
    STEP = "Step"
    """Before each step that gives the candidate more traffic, but not all of it."""
    PROMOTION = "Promotion"
    """Before the candidate gets all the traffic."""
    END = "End"


@dataclass(frozen=True)
class SecretKey:
    """A key of a Secret in the ModelDeployment's namespace, or of a ConfigMap where that is said."""

    name: str
    key: str
    in_config_map: bool = False


@dataclass(frozen=True)
class Endpoint:
    """Where to send something by HTTP, and how the two sides know each other. Either `url` or `url_from`."""

    url: str | None = None
    url_from: SecretKey | None = None
    """For an address that is a secret itself."""
    signing_key: SecretKey | None = None
    authority: SecretKey | None = None
    """The PEM certificates to trust in the place of the usual ones."""
    timeout: timedelta = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Endpoint":
        """Raises KeyError or ValueError on anything that the CRD doesn't let through."""
        return cls(
            url=raw.get("url"),
            url_from=secret_key(raw.get("urlSecret"), "url"),
            signing_key=secret_key(raw.get("signingSecret"), "key"),
            authority=_authority(raw.get("ca")),
            timeout=parse_duration(raw["timeout"]) if "timeout" in raw else DEFAULT_TIMEOUT,
            retries=raw.get("retries", DEFAULT_RETRIES),
        )


@dataclass(frozen=True)
class JobSpec:
    """A Job that is run as a gate: its success is a yes."""

    image: str
    """Empty for the operator's own."""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    resources: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    service_account: str | None = None
    """Whose token it has; None for none."""
    retries: int = 0
    """Pods that may fail before the Job has."""
    deadline: timedelta = DEFAULT_DEADLINE
    secrets: tuple[tuple[str, SecretKey], ...] = ()
    """Variables whose values are keys of Secrets."""
    refusal_codes: tuple[int, ...] = ()
    """Exit codes that are a no, where any other failure is no answer; empty where each failure is a no."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "JobSpec":
        """Raises KeyError or ValueError on anything that the CRD doesn't let through."""
        return cls(
            image=raw["image"],
            command=tuple(raw.get("command", ())),
            args=tuple(raw.get("args", ())),
            env=tuple((each["name"], each["value"]) for each in raw.get("env", ())),
            resources=raw.get("resources", {}),
            service_account=raw.get("serviceAccount"),
            retries=raw.get("retries", 0),
            deadline=parse_duration(raw["deadline"]) if "deadline" in raw else DEFAULT_DEADLINE,
            refusal_codes=tuple(raw.get("refusalCodes", ())),
        )


@dataclass(frozen=True)
class RegistryTag:
    """A tag of the model's version in its registry, and the value by which that is approved."""

    tag: str = "approved"
    value: str = "true"


@dataclass(frozen=True)
class GateSpec:
    """One of `spec.gates`: who is asked when, and what follows where the answer isn't yes."""

    name: str
    at: GatePoint
    endpoint: Endpoint = Endpoint()
    job: JobSpec | None = None
    """In the place of an endpoint."""
    registry: RegistryTag | None = None
    """In the place of both."""
    steps: tuple[int, ...] = ()
    """Of a gate at Step: only before these; empty for each."""
    on_refusal: Policy = Policy.HOLD
    """Hold or Rollback."""
    on_failure: Policy = Policy.HOLD
    """Hold, Rollback or Ignore, where no answer can be had."""
    metadata: tuple[tuple[str, str], ...] = ()
    """What is sent along."""

    @property
    def definition(self) -> str:
        """A digest."""
        return hashlib.sha256(repr(canonical(self)).encode()).hexdigest()[:8]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "GateSpec":
        """Raises KeyError or ValueError on anything that the CRD doesn't let through."""
        return cls(
            name=raw["name"],
            at=GatePoint(raw["at"]),
            endpoint=Endpoint.parse(raw),
            job=JobSpec.parse(raw["job"]) if "job" in raw else None,
            registry=RegistryTag(**raw["registry"]) if "registry" in raw else None,
            steps=tuple(raw.get("steps", ())),
            on_refusal=Policy(raw.get("onRefusal", Policy.HOLD)),
            on_failure=Policy(raw.get("onFailure", Policy.HOLD)),
            metadata=tuple(sorted(raw.get("metadata", {}).items())),
        )


def parse_gates(raw: Sequence[Mapping[str, Any]]) -> tuple[GateSpec, ...]:
    """`spec.gates`, in the user's order. Raises ValueError where two have one name."""
    gates = tuple(map(GateSpec.parse, raw))
    if len({gate.name for gate in gates}) < len(gates):
        raise ValueError("two of spec.gates have the same name")
    return gates


def secret_key(raw: Mapping[str, str] | None, default: str) -> SecretKey | None:
    """Which one is meant; `default` where its key isn't named. None where there is none. Raises KeyError."""
    return None if raw is None else SecretKey(raw["name"], raw.get("key", default))


def _authority(raw: Mapping[str, str] | None) -> SecretKey | None:
    if raw is None:
        return None
    in_config_map = "configMap" in raw
    return SecretKey(raw["configMap" if in_config_map else "secret"], raw.get("key", "ca.crt"), in_config_map)


class GateState(StrEnum):
    """What has come of asking."""

    PENDING = "Pending"
    """It hasn't answered yet."""
    ALLOWED = "Allowed"
    REFUSED = "Refused"
    """It holds, and is asked again."""
    FAILED = "Failed"
    """No answer could be had; it is asked again."""
    IGNORED = "Ignored"
    """No answer could be had, and the user wants to go on without one."""
    ENDED = "Ended"
    """It ends the rollout."""
    GIVEN_UP = "GivenUp"
    """No answer could be had, and the user wants the rollout to end then."""


OPEN = frozenset({GateState.ALLOWED, GateState.IGNORED})
WAITING = frozenset({GateState.PENDING, GateState.REFUSED, GateState.FAILED})


@dataclass(frozen=True)
class GateRecord:
    """What is recorded of one gate before one step, so that a restart neither asks again nor forgets to."""

    name: str
    at: str
    step: int
    """The step that it was asked about."""
    state: str = GateState.PENDING
    since: datetime | None = None
    """When it was asked first."""
    asked: int = 1
    """How many times it was asked; a try that is repeated for want of an answer is the same time."""
    message: str = ""
    """What it said last."""
    again_at: datetime | None = None
    """When it is asked again; None while it is being asked, or isn't any more."""
    definition: str = ""
    """A digest of the gate as it was asked: one that was edited since is asked anew, unless it is open already."""

    @property
    def question(self) -> str:
        """By which an answer is known to be to this question, within one rollout."""
        return f"{self.name}/{self.step}/{self.asked}"

    @property
    def is_being_asked(self) -> bool:
        """Whether an answer is to come."""
        return self.state in WAITING and self.again_at is None


@dataclass(frozen=True)
class GateAnswer:
    """What came back. `allowed` None: there was no answer that could be read, after all tries."""

    allowed: bool | None
    message: str = ""
    retry_after: timedelta | None = None
    abort: bool = False
    """Whether the rollout is to end."""
