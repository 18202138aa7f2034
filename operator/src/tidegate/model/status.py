"""What is recorded of a rollout, both directions.

Decisions rest only on what the world can't tell: which revision is stable, where a rollout stands and since when, what
was rejected, what has been. The rest repeats the world for people; it is read back to see whether it changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidegate.model.units import format_instant, parse_instant


@dataclass(frozen=True)
class Shift:
    """The candidate's weight from an instant on."""

    at: datetime
    weight: int


@dataclass(frozen=True)
class Rollout:
    """A rollout under way. Step 0 brings pods up; 1..steps carry traffic; steps + 1 is the promotion."""

    candidate: str
    started_at: datetime
    step: int
    step_started_at: datetime
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A revision that was rolled back under a plan (strategy and analysis), and why."""

    revision: str
    plan: str
    reason: str
    message: str


@dataclass(frozen=True)
class HistoryEntry:
    """How a rollout ended."""

    revision: str
    outcome: str
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime
    requests: int = 0
    failed: int = 0
    seconds_to_zero_traffic: float | None = None
    stable: str = ""
    """The revision that it was compared with; '' in an entry of an older operator, which has no shifts either."""
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Condition:
    """As Kubernetes has them; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime
    observed_generation: int


@dataclass(frozen=True)
class RevisionView:
    """A revision for people."""

    revision: str
    uri: str | None = None
    sha256: str | None = None
    ready_replicas: int = 0


@dataclass(frozen=True)
class AnalysisView:
    """The last verdict for people."""

    verdict: str
    reason: str
    message: str
    worse: str = ""
    acceptable: str = ""
    caution: str = ""


@dataclass(frozen=True)
class Status:
    """The whole status of one ModelDeployment."""

    stable: str | None = None
    rollout: Rollout | None = None
    rejected: Rejected | None = None
    shifted_at: datetime | None = None
    history: tuple[HistoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    phase: str = ""
    message: str = ""
    steps: int = 0
    replicas: int = 0
    selector: str = ""
    candidate_weight: int | None = None
    observed_candidate: str = ""
    stable_view: RevisionView | None = None
    candidate_view: RevisionView | None = None
    analysis: AnalysisView | None = None

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def with_history(self, entry: HistoryEntry) -> "Status":
        """Newest first, at most twenty."""
        return replace(self, history=(entry, *self.history)[:20])

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Status":
        """The inverse of `to_dict`."""
        traffic = raw.get("traffic", {})
        return cls(
            stable=raw.get("stable", {}).get("revision"),
            rollout=_parse_rollout(raw.get("rollout")),
            rejected=Rejected(**raw["rejected"]) if "rejected" in raw else None,
            shifted_at=_instant(traffic.get("shiftedAt")),
            history=tuple(_parse_history(entry) for entry in raw.get("history", ())),
            conditions=tuple(_parse_condition(condition) for condition in raw.get("conditions", ())),
            observed_generation=raw.get("observedGeneration", 0),
            phase=raw.get("phase", ""),
            message=raw.get("message", ""),
            steps=raw.get("rollout", {}).get("steps", 0),
            replicas=raw.get("replicas", 0),
            selector=raw.get("selector", ""),
            candidate_weight=traffic.get("candidate"),
            observed_candidate=traffic.get("observedCandidate", ""),
            stable_view=_parse_revision(raw.get("stable")),
            candidate_view=_parse_revision(raw.get("candidate")),
            analysis=_parse_analysis(raw.get("analysis")),
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole status as the API has it. Empty parts are left out, so that server-side apply removes them."""
        compact: dict[str, Any] = _compact(
            {
                "observedGeneration": self.observed_generation,
                "phase": self.phase,
                "message": self.message,
                "replicas": self.replicas,
                "selector": self.selector,
                "stable": _revision_dict(self.stable_view) if self.stable else None,
                "candidate": _revision_dict(self.candidate_view),
                "rollout": self._rollout_dict(),
                "rejected": vars(self.rejected) if self.rejected else None,
                "traffic": {
                    "candidate": self.candidate_weight,
                    "observedCandidate": self.observed_candidate,
                    "shiftedAt": format_instant(self.shifted_at) if self.shifted_at else None,
                },
                "analysis": _analysis_dict(self.analysis),
                "conditions": [_condition_dict(condition) for condition in self.conditions],
                "history": [_history_dict(entry) for entry in self.history],
            }
        )
        return compact

    def _rollout_dict(self) -> dict[str, Any] | None:
        if self.rollout is None:
            return None
        rollout = self.rollout
        return {
            "candidate": rollout.candidate,
            "step": rollout.step,
            "steps": self.steps,
            "progress": f"{min(rollout.step, self.steps)}/{self.steps}",
            "startedAt": format_instant(rollout.started_at),
            "stepStartedAt": format_instant(rollout.step_started_at),
            "shifts": _shift_dicts(rollout.shifts),
        }


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _compact(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [])}
    if isinstance(value, list):
        return [_compact(item) for item in value]
    return value


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None


def _parse_rollout(raw: Mapping[str, Any] | None) -> Rollout | None:
    if not raw:
        return None
    return Rollout(
        candidate=raw["candidate"],
        started_at=parse_instant(raw["startedAt"]),
        step=raw.get("step", 0),
        step_started_at=parse_instant(raw["stepStartedAt"]),
        shifts=_parse_shifts(raw),
    )


def _parse_shifts(raw: Mapping[str, Any]) -> tuple[Shift, ...]:
    return tuple(Shift(parse_instant(shift["at"]), shift["weight"]) for shift in raw.get("shifts", ()))


def _parse_history(raw: Mapping[str, Any]) -> HistoryEntry:
    seconds = raw.get("secondsToZeroTraffic")
    exposure = raw.get("exposure", {})
    return HistoryEntry(
        revision=raw["revision"],
        outcome=raw["outcome"],
        reason=raw["reason"],
        message=raw["message"],
        started_at=parse_instant(raw["startedAt"]),
        finished_at=parse_instant(raw["finishedAt"]),
        requests=exposure.get("requests", 0),
        failed=exposure.get("failed", 0),
        seconds_to_zero_traffic=float(seconds) if seconds else None,
        stable=raw.get("stable", ""),
        shifts=_parse_shifts(raw),
    )


def _parse_condition(raw: Mapping[str, Any]) -> Condition:
    return Condition(
        type=raw["type"],
        status=raw["status"],
        reason=raw["reason"],
        message=raw["message"],
        since=parse_instant(raw["lastTransitionTime"]),
        observed_generation=raw.get("observedGeneration", 0),
    )


def _parse_revision(raw: Mapping[str, Any] | None) -> RevisionView | None:
    if not raw:
        return None
    model = raw.get("model", {})
    return RevisionView(raw["revision"], model.get("uri"), model.get("sha256"), raw.get("readyReplicas", 0))


def _parse_analysis(raw: Mapping[str, Any] | None) -> AnalysisView | None:
    if not raw:
        return None
    evidence = raw.get("evidence", {})
    return AnalysisView(
        raw["verdict"],
        raw["reason"],
        raw["message"],
        evidence.get("worse", ""),
        evidence.get("acceptable", ""),
        raw.get("caution", ""),
    )


def _shift_dicts(shifts: Sequence[Shift]) -> list[dict[str, Any]]:
    return [{"at": format_instant(shift.at), "weight": shift.weight} for shift in shifts]


def _revision_dict(view: RevisionView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {
        "revision": view.revision,
        "readyReplicas": view.ready_replicas,
        "model": {"uri": view.uri, "sha256": view.sha256},
    }


def _analysis_dict(view: AnalysisView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {
        "verdict": view.verdict,
        "reason": view.reason,
        "message": view.message,
        "evidence": {"worse": view.worse, "acceptable": view.acceptable},
        "caution": view.caution,
    }


def _condition_dict(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": condition.observed_generation,
        "lastTransitionTime": format_instant(condition.since),
    }


def _history_dict(entry: HistoryEntry) -> dict[str, Any]:
    seconds = entry.seconds_to_zero_traffic
    return {
        "revision": entry.revision,
        "stable": entry.stable,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "message": entry.message,
        "startedAt": format_instant(entry.started_at),
        "finishedAt": format_instant(entry.finished_at),
        "exposure": {"requests": entry.requests, "failed": entry.failed},
        "secondsToZeroTraffic": f"{seconds:.1f}" if seconds is not None else None,
        "shifts": _shift_dicts(entry.shifts),
    }
