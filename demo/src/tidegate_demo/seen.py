"""A ModelDeployment as the story sees it: its status, parsed once at the edge. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SeenRevision:
    revision: str
    version: str
    ready: int


@dataclass(frozen=True)
class Ended:
    """How a rollout ended. Two rollouts of one revision differ in when they began."""

    revision: str
    outcome: str
    reason: str
    message: str
    started_at: str


@dataclass(frozen=True)
class Seen:
    """One look. Weights in percent; `weight` and `observed` are those of the candidate."""

    generation: int = 0
    observed_generation: int = 0
    phase: str = ""
    message: str = ""
    progress: str = ""
    ready: bool = False
    stalled: str = ""
    stable: SeenRevision | None = None
    candidate: SeenRevision | None = None
    weight: int | None = None
    observed: str = ""
    verdict: str = ""
    analysis: str = ""
    worse: str = ""
    acceptable: str = ""
    history: tuple[Ended, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether the status speaks of the spec that was applied last."""
        return self.generation > 0 and self.observed_generation >= self.generation

    def ended_since(self, before: Seen) -> Ended | None:
        """The rollout that ended last, if it ended after `before`."""
        newest = self.history[0] if self.history else None
        return newest if newest != (before.history[0] if before.history else None) else None

    def versions(self) -> dict[str, str]:
        """Which version each revision in sight serves."""
        return {seen.revision: seen.version for seen in (self.stable, self.candidate) if seen is not None}


def read(body: Mapping[str, Any]) -> Seen:
    """The object as the API server gives it. A status that isn't there yet reads as nothing seen."""
    status: Mapping[str, Any] = body.get("status") or {}
    analysis: Mapping[str, Any] = status.get("analysis") or {}
    evidence: Mapping[str, Any] = analysis.get("evidence") or {}
    traffic: Mapping[str, Any] = status.get("traffic") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    stalled = conditions.get("Stalled", {})
    return Seen(
        generation=body.get("metadata", {}).get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        phase=status.get("phase", ""),
        message=status.get("message", ""),
        progress=(status.get("rollout") or {}).get("progress", ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        stalled=stalled.get("message", "") if stalled.get("status") == "True" else "",
        stable=_revision(status.get("stable")),
        candidate=_revision(status.get("candidate")),
        weight=traffic.get("candidate"),
        observed=traffic.get("observedCandidate", ""),
        verdict=analysis.get("verdict", ""),
        analysis=analysis.get("message", ""),
        worse=evidence.get("worse", ""),
        acceptable=evidence.get("acceptable", ""),
        history=tuple(_ended(entry) for entry in status.get("history") or ()),
    )


def _revision(view: Mapping[str, Any] | None) -> SeenRevision | None:
    if not view or not view.get("revision"):
        return None
    return SeenRevision(
        view["revision"], _version((view.get("model") or {}).get("uri", "")), view.get("readyReplicas", 0)
    )


def _version(uri: str) -> str:
    """The demo names its files digits-v1.onnx and so on; the server has checked the digest before any of this shows."""
    named = re.search(r"-(v\d+)\.onnx$", uri)
    return named.group(1) if named else "?"


def _ended(entry: Mapping[str, Any]) -> Ended:
    return Ended(
        revision=entry.get("revision", ""),
        outcome=entry.get("outcome", ""),
        reason=entry.get("reason", ""),
        message=entry.get("message", ""),
        started_at=entry.get("startedAt", ""),
    )
