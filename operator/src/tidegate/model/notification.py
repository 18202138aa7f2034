"""Whom to tell what of rollouts, and what is still to be told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.model.gate import Endpoint, GatePoint, GateSpec, SecretKey, secret_key
from tidegate.model.units import format_instant


class Happening(StrEnum):
    """What there is to tell."""

    STARTED = "Started"
    STEPPED = "Stepped"
    """The candidate got more traffic."""
    HELD = "Held"
    """It won't go on by itself, or one of spec.gates holds it."""
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"


ENDS = frozenset({Happening.PROMOTED, Happening.ROLLED_BACK, Happening.ABORTED, Happening.SUPERSEDED})
USUAL = frozenset({Happening.HELD, Happening.PROMOTED, Happening.ROLLED_BACK, Happening.ABORTED})
"""Told where nothing is said."""


class Format(StrEnum):
    """What is sent."""

    CLOUD_EVENTS = "CloudEvents"
    SLACK = "Slack"
    TEAMS = "Teams"
    GRAFANA = "Grafana"
    WEBHOOK = "Webhook"
    MODEL_VERSION_TAGS = "ModelVersionTags"
    """Not sent anywhere: tags of the candidate's version in the registry that it comes from."""


@dataclass(frozen=True)
class Receiver:
    """One of `spec.notifications`, or of the operator's own for all models."""

    name: str
    endpoint: Endpoint
    when: frozenset[Happening] = USUAL
    format: Format = Format.CLOUD_EVENTS
    token: SecretKey | None = None
    """A bearer token."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Receiver":
        """Raises KeyError or ValueError on anything that the CRD doesn't let through."""
        form = Format(raw.get("format", Format.CLOUD_EVENTS))
        usual = ENDS if form is Format.MODEL_VERSION_TAGS else USUAL
        return cls(
            name=raw["name"],
            endpoint=Endpoint.parse(raw),
            when=frozenset(map(Happening, raw["when"])) if "when" in raw else usual,
            format=form,
            token=secret_key(raw.get("tokenSecret"), "token"),
        )


def parse_receivers(raw: Sequence[Mapping[str, Any]]) -> tuple[Receiver, ...]:
    """`spec.notifications`. Raises ValueError where two have one name."""
    receivers = tuple(map(Receiver.parse, raw))
    if len({each.name for each in receivers}) < len(receivers):
        raise ValueError("two of the notifications have the same name")
    return receivers


def told_at_the_end(gates: Iterable[GateSpec]) -> tuple[Receiver, ...]:
    """The gates at End, which hold nothing and hear how the rollout ended."""
    ends = [gate for gate in gates if gate.at is GatePoint.END]
    return tuple(Receiver(f"gate {gate.name}", gate.endpoint, ENDS, Format.WEBHOOK) for gate in ends)


@dataclass(frozen=True)
class Notice:
    """What is to be told; it is recorded until everybody has been, so that a restart forgets nobody."""

    happening: str
    reason: str
    message: str
    at: datetime
    stable: str = ""
    candidate: str = ""
    step: int = 0
    steps: int = 0
    weight: int = 0
    """Percent that the candidate is to get from now on."""

    @property
    def id(self) -> str:
        """Which of the ModelDeployment's it is."""
        return f"{self.happening}/{self.candidate}/{self.step}/{format_instant(self.at)}"
