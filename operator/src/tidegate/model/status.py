"""What is recorded of a rollout, both directions.

Decisions rest only on what the world can't tell: which revision is stable, where a rollout stands and since when, what
was rejected, what has been. The rest repeats the world for people; it is read back to see whether it changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tidegate.model.api_fields import at, from_api, rare, to_api
from tidegate.model.followed import FollowedModel
from tidegate.model.gate import GateRecord
from tidegate.model.notification import Notice


@dataclass(frozen=True)
class Shift:
    """The candidate's weight from an instant on."""

    at: datetime
    weight: int
    mirror: int = field(default=0, metadata=rare())
    """Percent of the requests of which it got copies."""
    matched: bool = field(default=False, metadata=rare())
    """Whether it got the requests of a group as well."""


@dataclass(frozen=True)
class Since:
    """Since when something has been so without a break; None where it isn't."""

    paused: datetime | None = None
    unseen: datetime | None = None
    """Nothing can be seen of the candidate."""
    pods: datetime | None = None
    """Pods that it needs aren't ready, and no further one has become ready."""
    routers: datetime | None = None
    """The routers haven't been seen to do as they were told."""
    steady: datetime | None = None
    """It is at full size, and can be seen."""
    gates: datetime | None = None
    """One of spec.gates hasn't let it go on."""


@dataclass(frozen=True)
class ByHand:
    """What people have decided about a rollout: of which step, and who and why. None and empty where nobody has."""

    approved: int | None = None
    """The last step whose end somebody approved."""
    approved_by: str = ""
    skipped: int | None = None
    """The last step whose times somebody cut short."""
    promoted: int | None = None
    """The last step from which the next was to be taken without a verdict."""
    promoted_by: str = ""
    full_by: str = ""
    """Who wanted it promoted in full, without a verdict."""


@dataclass(frozen=True)
class Rollout:
    """A rollout under way. Step 0 brings pods up; 1..steps carry traffic; steps + 1 is the promotion."""

    candidate: str
    started_at: datetime
    step: int
    step_started_at: datetime
    shifts: tuple[Shift, ...] = ()
    fast_track: bool = False
    """Whether it goes back to a revision that was stable a short while ago, in one shift."""
    suspended_seconds: int = 0
    """For how long, since its first traffic, it was paused or nothing could be seen: no deadline counts that time."""
    since: Since = Since()
    replicas: int = 0
    """Pods that 100 % of the requests need: those of the start, or more if more have been asked for since."""
    gates: tuple[GateRecord, ...] = ()
    """What spec.gates have said of the step that was entered last, and of the next one."""
    by_hand: ByHand = ByHand()

    @property
    def granted(self) -> int:
        """Percent for the candidate, as the latest shift has it."""
        return self.shifts[-1].weight if self.shifts else 0

    @property
    def mirrored(self) -> int:
        """Percent of the requests of which the candidate gets copies, likewise."""
        return self.shifts[-1].mirror if self.shifts else 0

    @property
    def is_matched(self) -> bool:
        """Whether the candidate gets the requests of a group, likewise."""
        return bool(self.shifts) and self.shifts[-1].matched


@dataclass(frozen=True)
class Rejected:
    """A revision that was rolled back under a plan (strategy and analysis), and why."""

    revision: str
    plan: str
    reason: str
    message: str


@dataclass(frozen=True)
class Restart:
    """A revision's pods are being replaced, as somebody asked for then."""

    revision: str
    at: datetime
    by: str = ""


@dataclass(frozen=True)
class HistoryEntry:
    """How a rollout ended."""

    revision: str
    outcome: str
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime
    requests: int = field(default=0, metadata=at("exposure.requests"))
    failed: int = field(default=0, metadata=at("exposure.failed"))
    seconds_to_zero_traffic: float | None = None
    stable: str = ""
    """The revision that it was compared with; '' in an entry of an older operator, which has no shifts either."""
    shifts: tuple[Shift, ...] = ()
    replicas: int = 0
    """Pods that 100 % of the requests needed at its end."""
    shadow_requests: int = field(default=0, metadata=rare("exposure.shadowRequests"))


@dataclass(frozen=True)
class Condition:
    """As Kubernetes has them; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime = field(metadata=at("lastTransitionTime"))
    observed_generation: int = 0


@dataclass(frozen=True)
class RevisionView:
    """A revision for people."""

    revision: str
    uri: str | None = field(default=None, metadata=at("model.uri"))
    sha256: str | None = field(default=None, metadata=at("model.sha256"))
    ready_replicas: int = 0


@dataclass(frozen=True)
class QueryView:
    """What one of spec.analysis.queries has come to, for people. `value` is the last one as text, '' for none."""

    name: str
    state: str
    message: str
    value: str = ""
    dry_run: bool = False
    template: str = ""
    """The MetricTemplate that it was made from, and its generation; '' where it is PromQL of its own."""


@dataclass(frozen=True)
class AnalysisView:
    """The last verdict for people."""

    verdict: str
    reason: str
    message: str
    worse: str = field(default="", metadata=at("evidence.worse"))
    acceptable: str = field(default="", metadata=at("evidence.acceptable"))
    caution: str = ""
    updated_at: datetime | None = None
    queries: tuple[QueryView, ...] = ()

    def without_numbers(self) -> "AnalysisView":
        """The same without sentences and numbers."""
        queries = tuple(replace(query, message="", value="") for query in self.queries)
        return AnalysisView(self.verdict, self.reason, "", queries=queries)


@dataclass(frozen=True)
class Status:
    """The whole status of one ModelDeployment."""

    stable: str | None = field(default=None, metadata=at("stable.revision"))
    rollout: Rollout | None = None
    rejected: Rejected | None = None
    shifted_at: datetime | None = field(default=None, metadata=at("traffic.shiftedAt"))
    history: tuple[HistoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    phase: str = ""
    message: str = ""
    steps: int = field(default=0, metadata=at(None))
    """Of the rollout that is under way; 0 for none."""
    replicas: int = 0
    selector: str = ""
    candidate_weight: int | None = field(default=None, metadata=at("traffic.candidate"))
    applied_candidate: int | None = field(default=None, metadata=at("traffic.appliedCandidate"))
    observed_candidate: str = field(default="", metadata=at("traffic.observedCandidate"))
    stable_view: RevisionView | None = field(default=None, metadata=at("stable"))
    candidate_view: RevisionView | None = field(default=None, metadata=at("candidate"))
    analysis: AnalysisView | None = None
    notices: tuple[Notice, ...] = ()
    """What is still to be told to those who asked for it, the oldest first."""
    restart: Restart | None = None
    model: FollowedModel | None = None
    """What the name of the model means, where it is followed."""
    controls: tuple[str, ...] = field(default=(), metadata=at("handledControls"))
    """What has been acted on of what people ask for by annotations, until those are seen to be gone."""

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def with_condition(self, condition: Condition) -> "Status":
        """With that condition in the place of the one of its type, since when it has been as it is."""
        before = self.condition(condition.type)
        if before and before.status == condition.status:
            condition = replace(condition, since=before.since)
        return replace(self, conditions=(*(each for each in self.conditions if each is not before), condition))

    def without_numbers(self) -> "Status":
        """The same without what counts on while nothing happens: sentences, evidence, the observed share."""
        conditions = tuple(replace(condition, message="") for condition in self.conditions)
        analysis = self.analysis and self.analysis.without_numbers()
        return replace(self, message="", observed_candidate="", conditions=conditions, analysis=analysis)

    def with_history(self, entry: HistoryEntry) -> "Status":
        """Newest first, at most twenty."""
        return replace(self, history=(entry, *self.history)[:20])

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Status":
        """The inverse of `to_dict`."""
        return replace(from_api(cls, raw), steps=(raw.get("rollout") or {}).get("steps", 0))

    def to_dict(self) -> dict[str, Any]:
        """The whole status as the API has it. Empty parts are left out, and so they go when it is written."""
        document: dict[str, Any] = to_api(self)
        if self.rollout:
            progress = f"{min(self.rollout.step, self.steps)}/{self.steps}"
            document["rollout"] |= {"steps": self.steps, "progress": progress}
        return document
