"""A model and its rollout as people look at them: one reading of the status and the pods for all who show it. Pure.

The sentence is the status' own. Nobody who shows a view composes another one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.errors import MalformedObject
from tidegate.model.control import given_controls
from tidegate.model.reasons import ConditionType, Phase
from tidegate.model.status import HistoryEntry, QueryView, Status
from tidegate.model.units import format_instant, parse_instant, parse_percent
from tidegate.resources.names import MODEL_DEPLOYMENT
from tidegate.view.pod_view import PodView

_OF_THRESHOLD = re.compile(r"(\S+) \(threshold (\S+)\)")
ENDED_BADLY = frozenset({Phase.ROLLED_BACK, Phase.FAILED, Phase.INVALID})


class Settled(StrEnum):
    """Whether what the spec asks for has come about."""

    LIVE = "live"
    FAILED = "failed"
    """Rolled back, unable to start, or a spec that makes no sense: nothing more comes by waiting."""
    UNDER_WAY = "under way"


class Role(StrEnum):
    """What a revision is for."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    OLD = "old"
    """It has pods still, and soon none."""


@dataclass(frozen=True)
class WeightsView:
    """Percent of the requests for the candidate; None for what isn't known."""

    wanted: int | None
    applied: int | None
    """What the routers have taken."""
    observed: float | None
    """What was counted."""


@dataclass(frozen=True)
class EvidenceView:
    """An e-value beside what it is held against."""

    text: str
    """As the status has it: `312 (threshold 100)`."""
    value: float
    threshold: float

    @classmethod
    def of(cls, text: str) -> "EvidenceView | None":
        """None where the text has no two numbers."""
        found = _OF_THRESHOLD.fullmatch(text)
        try:
            return cls(text, *(float(number.replace(",", "")) for number in found.groups())) if found else None
        except ValueError:
            return None


@dataclass(frozen=True)
class AnalysisView:
    """The last verdict; evidence for a rollback and for a promotion."""

    verdict: str
    reason: str
    message: str
    rollback: EvidenceView | None
    promotion: EvidenceView | None
    caution: str
    updated_at: datetime | None
    queries: tuple[QueryView, ...] = ()
    """Of spec.analysis.queries, those that are judged."""


@dataclass(frozen=True)
class StepView:
    """One step of the strategy; `number` as in status.rollout.step."""

    number: int
    text: str
    weight: int | None
    """Percent for the candidate; None for a step that moves no traffic."""
    takes_approval: bool = False
    """Whether it ends no sooner than somebody approves."""


@dataclass(frozen=True)
class RevisionView:
    """A revision that has, or may have, pods."""

    role: Role
    name: str
    uri: str
    sha256: str
    ready: int
    pods: tuple[PodView, ...]


@dataclass(frozen=True)
class HistoryView:
    """How a rollout ended; the newest is number 1, as `tidegate replay --rollout` counts."""

    number: int
    revision: str
    stable: str
    outcome: str
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime
    most_weight: int
    """The highest percentage of the requests that it had."""
    requests: int
    failed: int
    shadow_requests: int
    """Copies that it answered, for nobody."""
    seconds_to_zero_traffic: float | None


@dataclass(frozen=True)
class ConditionView:
    """As Kubernetes has them."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True)
class RolloutView:
    """Everything that is shown of one ModelDeployment."""

    namespace: str
    name: str
    created_at: datetime | None
    generation: int
    up_to_date: bool
    """Whether the operator has seen the newest spec."""
    meant: str
    """The model that the spec asks for; of a name that is followed what that means, empty before that is known."""
    phase: str
    reason: str
    message: str
    """The one sentence: status.message."""
    ready: bool
    paused: bool
    strategy: str
    """canary or blueGreen."""
    steps: tuple[StepView, ...]
    step: int | None
    """Where the rollout stands: 0 brings pods up; None without one."""
    progress: str
    step_started_at: datetime | None
    replicas: int
    weights: WeightsView | None
    """None without a candidate."""
    analysis: AnalysisView | None
    revisions: tuple[RevisionView, ...]
    rejected: str
    """The revision that was rolled back, and isn't tried again by itself; empty for none."""
    history: tuple[HistoryView, ...]
    conditions: tuple[ConditionView, ...]
    controls: tuple[str, ...]
    """Annotations by which people asked for something that the operator hasn't answered yet: `approve: …`."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any], pods: Iterable[Mapping[str, Any]] = ()) -> "RolloutView":
        """Reads a ModelDeployment and Pods; those of other models are left out. Raises MalformedObject."""
        metadata = manifest["metadata"]
        try:
            status = Status.parse(manifest.get("status") or {})
            return _view(manifest, status, [PodView.of(pod) for pod in pods if _is_of(pod, metadata)])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            case = f"{metadata.get('namespace')}/{metadata.get('name')}"
            raise MalformedObject(f"the ModelDeployment {case} can't be read: {error!r}") from error

    @property
    def settled(self) -> Settled:
        """By the conditions, as kstatus reads them; a rollout that is held or paused is under way."""
        said = {each.type: each.status == "True" for each in self.conditions}
        if not self.up_to_date or said.get(ConditionType.RECONCILING):
            return Settled.UNDER_WAY
        if self.phase in ENDED_BADLY:
            return Settled.FAILED
        done = self.ready and not said.get(ConditionType.STALLED)
        return Settled.LIVE if done and self.phase == Phase.LIVE else Settled.UNDER_WAY

    def settled_at(self, version: str) -> Settled:
        """The same of one model, as `means` has it: under way until the spec means it. Empty: whatever it means."""
        if not version:
            return self.settled
        stable = self.revision(Role.STABLE)
        is_stable = stable is not None and means(stable.uri, version)
        if not means(self.meant, version) or (self.settled is Settled.LIVE and not is_stable):
            return Settled.UNDER_WAY
        return self.settled

    def revision(self, role: Role) -> RevisionView | None:
        """The stable revision or the candidate."""
        return next((each for each in self.revisions if each.role is role), None)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold: the fields' names in camelCase, instants as RFC 3339, null for what isn't known."""
        return {**_plain(self), "settled": self.settled.value}


def _view(manifest: Mapping[str, Any], status: Status, pods: list[PodView]) -> RolloutView:
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    kind, steps = _strategy(spec.get("strategy") or {})
    rollout = status.rollout
    ready = status.condition(ConditionType.READY)
    created = metadata.get("creationTimestamp")
    generation = int(metadata.get("generation") or 0)
    return RolloutView(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        created_at=parse_instant(created) if created else None,
        generation=generation,
        up_to_date=status.observed_generation == generation,
        meant=_meant(spec.get("model") or {}, status),
        phase=status.phase,
        reason=_reason(status),
        message=status.message,
        ready=ready is not None and ready.status == "True",
        paused=bool(spec.get("paused")),
        strategy=kind,
        steps=steps,
        step=rollout.step if rollout else None,
        progress=((manifest.get("status") or {}).get("rollout") or {}).get("progress") or "",
        step_started_at=rollout.step_started_at if rollout else None,
        replicas=status.replicas,
        weights=_weights(status),
        analysis=_analysis(status),
        revisions=_revisions(status, pods),
        rejected=status.rejected.revision if status.rejected else "",
        history=tuple(_history(number, entry) for number, entry in enumerate(status.history, 1)),
        conditions=tuple(ConditionView(c.type, c.status, c.reason, c.message, c.since) for c in status.conditions),
        controls=tuple(f"{each.control}: {each.value}" for each in given_controls(metadata.get("annotations"))),
    )


def means(uri: str, version: str) -> bool:
    """Whether a model's URI is this one, or names this version, tag, digest or commit, a folder in it or not."""
    return uri == version or uri.endswith((f"/{version}", f"@{version}", f":{version}")) or f"@{version}/" in uri


def _meant(model: Mapping[str, Any], status: Status) -> str:
    uri = model.get("uri") or ""
    if "follow" not in model:
        return uri
    return status.model.resolved if status.model and status.model.uri == uri else ""


def _is_of(pod: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    found = pod["metadata"].get("namespace"), labels.get(MODEL_DEPLOYMENT)
    return found == (metadata.get("namespace"), metadata["name"])


def _reason(status: Status) -> str:
    """Of the condition whose sentence status.message is."""
    same = (each.reason for each in status.conditions if each.message == status.message)
    return next(same, "")


def _strategy(raw: Mapping[str, Any]) -> tuple[str, tuple[StepView, ...]]:
    """Leniently: an older or a newer spec than ours is shown too."""
    if raw.get("blueGreen") is not None:
        verify = StepView(1, "verify", 0, takes_approval="approval" in raw["blueGreen"])
        return "blueGreen", (verify, StepView(2, "100%", 100))
    steps = (raw.get("canary") or {}).get("steps") or ()
    return "canary", tuple(_step(number, step) for number, step in enumerate(steps, 1))


def _step(number: int, raw: Mapping[str, Any]) -> StepView:
    """`25%`, with what its end waits for besides the evidence: `25% approval`, `5% pause 10m`, `shadow 20%`."""
    weight, mirror = raw.get("weight"), raw.get("mirror")
    waits = [_waits(kind, raw[kind]) for kind in ("pause", "analysis", "approval") if kind in raw]
    chosen = ["match"] if raw.get("match") else []
    shadow = [f"shadow {mirror['percent']}%"] if isinstance(mirror, Mapping) and "percent" in mirror else []
    text = " ".join([*shadow, *chosen, *([f"{weight}%"] if isinstance(weight, int) else []), *waits])
    takes_approval = "approval" in raw or ("pause" in raw and "duration" not in (raw["pause"] or {}))
    return StepView(number, text or ", ".join(raw), weight if isinstance(weight, int) else None, takes_approval)


def _waits(kind: str, settings: Any) -> str:
    lasts = settings.get("duration") if isinstance(settings, Mapping) else None
    return f"{kind} {lasts}" if lasts else kind


def _weights(status: Status) -> WeightsView | None:
    if status.candidate_view is None:
        return None
    try:
        observed = round(parse_percent(status.observed_candidate) * 100, 6)
    except ValueError:
        observed = None
    return WeightsView(status.candidate_weight, status.applied_candidate, observed)


def _analysis(status: Status) -> AnalysisView | None:
    found = status.analysis
    if found is None:
        return None
    evidence = EvidenceView.of(found.worse), EvidenceView.of(found.acceptable)
    return AnalysisView(
        found.verdict, found.reason, found.message, *evidence, found.caution, found.updated_at, found.queries
    )


def _revisions(status: Status, pods: list[PodView]) -> tuple[RevisionView, ...]:
    named = ((Role.STABLE, status.stable_view), (Role.CANDIDATE, status.candidate_view))
    found = [
        RevisionView(
            role, view.revision, view.uri or "", view.sha256 or "", view.ready_replicas, _of(view.revision, pods)
        )
        for role, view in named
        if view is not None
    ]
    known = {each.name for each in found}
    others = sorted({pod.revision for pod in pods} - known)
    for name in others:
        inside = _of(name, pods)
        found.append(RevisionView(Role.OLD, name, "", "", sum(pod.ready for pod in inside), inside))
    return tuple(found)


def _of(revision: str, pods: list[PodView]) -> tuple[PodView, ...]:
    return tuple(sorted((pod for pod in pods if pod.revision == revision), key=lambda pod: pod.name))


def _history(number: int, entry: HistoryEntry) -> HistoryView:
    return HistoryView(
        number,
        entry.revision,
        entry.stable,
        entry.outcome,
        entry.reason,
        entry.message,
        entry.started_at,
        entry.finished_at,
        max((shift.weight for shift in entry.shifts), default=0),
        entry.requests,
        entry.failed,
        entry.shadow_requests,
        entry.seconds_to_zero_traffic,
    )


def _plain(value: Any) -> Any:
    if names := _names(type(value)):
        return {camel: _plain(getattr(value, name)) for name, camel in names}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return format_instant(value)
    return value.value if isinstance(value, StrEnum) else value


def _names(kind: Any) -> Sequence[tuple[str, str]]:
    """The fields of a dataclass, and what they are called in JSON; none of what is no dataclass."""
    if kind not in _KNOWN:  # a thousand models have a hundred thousand values
        _KNOWN[kind] = [(each.name, _camel(each.name)) for each in fields(kind)] if is_dataclass(kind) else []
    return _KNOWN[kind]


_KNOWN: dict[Any, Sequence[tuple[str, str]]] = {}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
