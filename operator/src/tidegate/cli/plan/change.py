"""What a spec would change about a model that is, or isn't, in the cluster. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.model.followed import followed_model
from tidegate.model.reasons import Outcome
from tidegate.model.revision import RevisionState, Snapshot, find_revision, plan_digest
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Status
from tidegate.model.units import format_duration


@dataclass(frozen=True)
class Change:
    """`by_steps`: whether the strategy's steps will be taken."""

    what: str
    by_steps: bool


@dataclass(frozen=True)
class Known:
    """What the cluster has of the model: its status and its ControllerRevisions."""

    name: str
    status: Status
    revisions: Sequence[Mapping[str, Any]]

    def wanted(self, spec: ModelDeploymentSpec) -> str:
        """The revision that a spec asks for, which may be a new one."""
        states = {
            each["metadata"]["name"]: RevisionState(
                each["metadata"]["name"], int(each.get("revision") or 0), Snapshot.parse(each["data"])
            )
            for each in self.revisions
        }
        rollout = self.status.rollout
        return find_revision(self.name, spec, states, (self.status.stable, rollout.candidate if rollout else None))


UNKNOWN = Change("no cluster was asked, so this is what a new revision goes through", by_steps=True)


def change_of(spec: ModelDeploymentSpec, known: Known | None, now: datetime) -> Change:
    """What applying the spec would begin; `known` is None for a model that isn't in the cluster."""
    if known is None or known.status.stable is None:
        return Change("it is the first revision: it goes live when a pod is ready, and isn't judged", by_steps=False)
    if spec.follow:
        followed = followed_model(spec.model.uri, known.status.model, None, now)
        if followed is None:
            what = f"what {spec.model.uri} means is looked up then, and is released unless it is live already"
            return Change(what, by_steps=True)
        spec = spec.of_model(followed.resolved)
    wanted, status = known.wanted(spec), known.status
    candidate = status.rollout.candidate if status.rollout else None
    if wanted == candidate:
        return Change(f"{wanted} is under way already, and goes on", by_steps=True)
    if wanted == status.stable:
        return _same(wanted, candidate)
    if status.rejected and (wanted, plan_digest(spec)) == (status.rejected.revision, status.rejected.plan):
        return Change(
            f"{wanted} was rolled back under the same strategy and analysis, so it isn't tried again before "
            f"`tidegate retry {known.name}`: {status.rejected.message}",
            by_steps=False,
        )
    replaced = f"; it takes the place of {candidate}, which is under way" if candidate else ""
    if left := _left_stable(wanted, known, spec, now):
        span = format_duration(now - left)
        what = f"{wanted} was stable {span} ago, within rollbackWindow: all requests in one shift{replaced}"
        return Change(what, by_steps=False)
    return Change(f"{wanted} is released beside {status.stable}{replaced}", by_steps=True)


def _same(wanted: str, candidate: str | None) -> Change:
    if candidate:
        return Change(f"{wanted} is stable: {candidate}, which is under way, is given up, at once", by_steps=False)
    return Change(f"{wanted} is live already: model and server are the same, so nothing is released", by_steps=False)


def _left_stable(wanted: str, known: Known, spec: ModelDeploymentSpec, now: datetime) -> datetime | None:
    """When it gave way as stable, if that was recent enough and it wasn't rolled back since, as the operator has it."""
    for entry in known.status.history:
        if entry.outcome == Outcome.PROMOTED and entry.stable == wanted:
            return entry.finished_at if now - entry.finished_at < spec.rollback_window else None
        if entry.outcome == Outcome.ROLLED_BACK and entry.revision == wanted:
            return None
    return None
