"""What a page shows of one ModelDeployment beside its RolloutView: colours, lengths, and what is left out. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tidegate.errors import MalformedObject
from tidegate.model.reasons import ConditionType, Outcome, Phase
from tidegate.model.status import Rejected, Status
from tidegate.model.units import parse_instant
from tidegate.view.pod_view import PodView
from tidegate.view.rollout_view import EvidenceView, HistoryView, RevisionView, Role, RolloutView

NOT_LOOKED = "the operator hasn't looked at it yet; is it running?"
PHASE_TONES: Mapping[str, str] = {
    Phase.PAUSED: "held",
    Phase.HELD: "held",
    Phase.ROLLED_BACK: "held",
    Phase.FAILED: "bad",
    Phase.INVALID: "bad",
    Phase.LIVE: "good",
}
OUTCOME_TONES: Mapping[str, str] = {Outcome.PROMOTED: "good", Outcome.ROLLED_BACK: "bad", Outcome.ABORTED: "held"}
"""How a page colours a phase and an outcome; the word is always there too."""
ROLES = (Role.CANDIDATE, Role.STABLE, Role.OLD)


@dataclass(frozen=True)
class Step:
    """One step of the strategy; `state` is done, now or ahead."""

    text: str
    state: str


@dataclass(frozen=True)
class PodLine:
    """A pod, and what its revision is for."""

    role: Role
    pod: PodView
    tone: str


@dataclass(frozen=True)
class Facts:
    """A view, and what of the status pages show besides."""

    view: RolloutView
    started_at: datetime | None
    """When the rollout under way began."""
    shifted_at: datetime | None
    rejected: Rejected | None

    @property
    def message(self) -> str:
        """The sentence."""
        return self.view.message or NOT_LOOKED

    @property
    def serves_nobody(self) -> bool:
        """Whether users get no answer that should get one."""
        return not self.view.ready and self.view.phase not in ("", Phase.STARTING)

    @property
    def tone(self) -> str:
        """The colour of its phase."""
        if not self.view.phase:
            return "idle"
        return "bad" if self.serves_nobody else PHASE_TONES.get(self.view.phase, "busy")

    @property
    def needs_somebody(self) -> bool:
        """Whether it won't go on by itself, or users aren't served."""
        stalled = any(each.type == ConditionType.STALLED and each.status == "True" for each in self.view.conditions)
        return bool(self.view.phase) and (stalled or not self.view.ready)

    @property
    def is_moving(self) -> bool:
        """Whether a rollout is under way."""
        return self.view.step is not None

    @property
    def began(self) -> float:
        """When its newest rollout did, in seconds since 1970; 0 for never."""
        newest = self.started_at or (self.view.history[0].started_at if self.view.history else None)
        return newest.timestamp() if newest else 0.0

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of the rollout under way, the last one for all traffic included; those before the present one are done."""
        at, view = self.view.step, self.view
        if at is None or not view.steps:
            return ()
        last = [] if view.strategy != "canary" else [(len(view.steps) + 1, "100%")]
        numbered = [*((each.number, each.text) for each in view.steps), *last]
        return tuple(Step(text, "done" if n < at else "now" if n == at else "ahead") for n, text in numbered)

    @property
    def pods(self) -> list[PodLine]:
        """The candidate's first, and among them those that aren't ready."""
        lines = [_line(revision, pod) for revision in self.view.revisions for pod in revision.pods]
        return sorted(lines, key=lambda line: (ROLES.index(line.role), line.pod.ready, line.pod.name))


def facts_of(manifest: Mapping[str, Any], pods: Sequence[Mapping[str, Any]] = ()) -> Facts:
    """Of a ModelDeployment and its pods; one that can't be read says so in the sentence's place."""
    try:
        view = RolloutView.of(manifest, pods)
    except MalformedObject as error:
        view = RolloutView.of({"metadata": _name_only(manifest), "status": {"message": str(error)}})
        return Facts(view, None, None, None)
    status = Status.parse(manifest.get("status") or {})
    began = ((manifest.get("status") or {}).get("rollout") or {}).get("startedAt")
    return Facts(view, parse_instant(began) if began else None, status.shifted_at, status.rejected)


def _name_only(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    return {"namespace": metadata.get("namespace", ""), "name": metadata.get("name", "")}


def _line(revision: RevisionView, pod: PodView) -> PodLine:
    tone = "good" if pod.ready else "bad" if pod.problem else "idle" if pod.state == "Terminating" else "busy"
    return PodLine(revision.role, pod, tone)


def evidence_share(evidence: EvidenceView | None) -> float:
    """How far it has come, 0 to 1, on the scale on which it grows: by multiplication."""
    if evidence is None or evidence.value <= 1:
        return 0.0
    if evidence.value >= evidence.threshold:
        return 1.0
    return math.log(evidence.value) / math.log(evidence.threshold)


def error_rate(entry: HistoryView) -> str:
    """Of a rollout that has ended; empty where it had no requests."""
    return f"{100 * entry.failed / entry.requests:.3g}%" if entry.requests else ""


def without_password(uri: str) -> str:
    """A model's address as a page may show it: no user, no password, and nothing signed after a question mark."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "an address that can't be read"
    host = parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else parts.netloc
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))
