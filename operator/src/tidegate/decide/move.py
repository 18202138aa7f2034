"""The moves that every strategy is made of, and how a move becomes a Decision.

A move names what should be true: who is stable, where the rollout stands, how traffic is split. The order of the writes
that make it true is fixed here, once, for all strategies:

* pods first: nothing gets traffic before its pods are ready;
* the status before the route when traffic grows: after a crash the recorded step is carried out;
* the route before the status when traffic returns: seconds matter, and after a crash the judge says the same again;
* nothing is retired before the routers have been seen to send it nothing.
"""

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tidegate.judge.grid import until_next_point
from tidegate.model.decision import (
    Action,
    Announcement,
    Decision,
    EnsureRevision,
    ForgetRevision,
    PinModel,
    RecordStatus,
    RetireRevision,
    ScaleRevision,
    ShiftTraffic,
)
from tidegate.model.observation import Observation
from tidegate.model.revision import ModelFacts, RevisionState
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import HistoryEntry, Rejected, Rollout, Shift, Status
from tidegate.model.traffic import TrafficSplit

INGESTION_LAG = timedelta(seconds=1)
"""A scrape is stamped when it begins; by then it has been stored."""
PODS_STARTING = timedelta(seconds=5)
"""Pods announce themselves; this is only for what doesn't, such as a deadline."""


@dataclass(frozen=True)
class Move:
    """What should be true next. `doing` and `stuck` are (reason, message) of the conditions Reconciling and Stalled."""

    status: Status
    split: TrafficSplit | None
    phase: str
    doing: tuple[str, str] | None = None
    stuck: tuple[str, str] | None = None
    candidate_replicas: int | None = None
    """Pods that the candidate needs; None where there is no candidate."""
    announcements: tuple[Announcement, ...] = ()
    traffic_first: bool = False
    look_again: timedelta | None = None
    actions: tuple[Action, ...] = field(default=())


def replicas_for(spec: ModelDeploymentSpec, weight: int) -> int:
    """Pods that carry `weight` percent at stable's load per pod; at least one."""
    return max(1, math.ceil(spec.replicas * weight / 100))


def stay(seen: Observation, phase: str, doing: tuple[str, str] | None, *, replicas: int | None = None) -> Move:
    """Nothing moves: the rollout holds where it is, and traffic stays as it was granted."""
    return Move(
        seen.recorded,
        seen.split,
        phase,
        doing,
        candidate_replicas=replicas,
        look_again=next_look(seen),
    )


def grant(
    seen: Observation, rollout: Rollout, step: int, weight: int, phase: str, doing: tuple[str, str], replicas: int
) -> Move:
    """The rollout enters `step`, in which the candidate has `weight` percent."""
    stable = seen.recorded.stable or ""
    started = seen.now if step != rollout.step else rollout.step_started_at
    moved = replace(rollout, step=step, step_started_at=started)
    split = TrafficSplit.between(stable, rollout.candidate, weight)
    return Move(
        replace(seen.recorded, rollout=moved),
        split,
        phase,
        doing,
        candidate_replicas=replicas,
        announcements=(Announcement(doing[0], doing[1]),) if step != rollout.step else (),
        look_again=seen.spec.analysis.interval + INGESTION_LAG,
    )


def begin(seen: Observation) -> Move:
    """A new rollout of the desired revision; a rollout of another one that was under way is superseded."""
    stable, desired = seen.recorded.stable or "", seen.desired
    recorded = replace(seen.recorded, rejected=None)
    announcements: tuple[Announcement, ...] = ()
    if recorded.rollout is not None:
        reason = "NewerSpec"
        message = f"{recorded.rollout.candidate} gives way to {desired}, which the spec asks for now"
        if recorded.rollout.candidate == desired:
            reason, message = "StrategyChanged", f"the rollout of {desired} begins anew with the strategy as it is now"
        recorded = _ended(seen, recorded.rollout, "Superseded", reason, message)
        announcements += (Announcement("Superseded", message),)
    message = f"{desired} comes up beside {stable}, without traffic"
    rollout = Rollout(desired, seen.now, 0, seen.now)
    return Move(
        replace(recorded, rollout=rollout, rejected=None, analysis=None),
        TrafficSplit.between(stable, desired, 0),
        "Starting",
        ("RolloutStarted", message),
        candidate_replicas=1,
        announcements=(*announcements, Announcement("RolloutStarted", message)),
        traffic_first=True,
        look_again=PODS_STARTING,
    )


def roll_back(seen: Observation, rollout: Rollout, reason: str, message: str) -> Move:
    """All traffic returns to stable, now; the candidate isn't tried again until the user changes something."""
    stable = seen.recorded.stable or ""
    sentence = f"{rollout.candidate} was rolled back: {message}"
    recorded = _ended(seen, rollout, "RolledBack", reason, sentence)
    rejected = Rejected(rollout.candidate, seen.plan, reason, sentence)
    return Move(
        replace(recorded, rejected=rejected),
        TrafficSplit.only(stable),
        "RolledBack",
        stuck=(reason, sentence),
        announcements=(Announcement("RolledBack", f"{reason}: {sentence}", warning=True),),
        traffic_first=True,
        look_again=seen.spec.analysis.interval,
    )


def abandon(seen: Observation, rollout: Rollout) -> Move:
    """The spec asks for the stable revision again: the rollout ends at once."""
    stable = seen.recorded.stable or ""
    message = f"the spec asks for {stable} again, so the rollout of {rollout.candidate} ends"
    return Move(
        _ended(seen, rollout, "Aborted", "SpecReturnedToStable", message),
        TrafficSplit.only(stable),
        "Live",
        announcements=(Announcement("Aborted", message),),
        traffic_first=True,
        look_again=seen.spec.analysis.interval,
    )


def complete(seen: Observation, rollout: Rollout, reason: str) -> Move:
    """The candidate, which has all the traffic already, is stable from now on. Its pods aren't touched."""
    message = f"{rollout.candidate} is stable: {seen.verdict.message}"
    recorded = _ended(seen, rollout, "Promoted", reason, message)
    return Move(
        replace(recorded, stable=rollout.candidate, rejected=None),
        TrafficSplit.only(rollout.candidate),
        "Live",
        announcements=(Announcement("Promoted", message),),
        look_again=seen.spec.analysis.interval,
    )


def next_look(seen: Observation) -> timedelta:
    """When the counters have a new block to judge; in the meantime only events matter."""
    rollout = seen.recorded.rollout
    if rollout is None or not rollout.shifts:
        return PODS_STARTING
    return until_next_point(rollout.shifts[-1].at, seen.spec.analysis.interval, seen.now) + INGESTION_LAG


def _ended(seen: Observation, rollout: Rollout, outcome: str, reason: str, message: str) -> Status:
    entry = HistoryEntry(
        revision=rollout.candidate,
        outcome=outcome,
        reason=reason,
        message=message,
        started_at=rollout.started_at,
        finished_at=seen.now,
        requests=seen.verdict.exposed.requests,
        failed=seen.verdict.exposed.failed,
        stable=seen.recorded.stable or "",
        shifts=rollout.shifts,
    )
    return replace(seen.recorded, rollout=None).with_history(entry)


def carry_out(seen: Observation, move: Move, status: Status) -> Decision:
    """Puts a move's writes in order. `status` is the move's own, completed for people."""
    shifting = move.split is not None and (move.split != seen.split or not seen.route_as_asked)
    record: tuple[Action, ...] = (RecordStatus(status),) if status != seen.recorded else ()
    shift: tuple[Action, ...] = (ShiftTraffic(move.split),) if shifting and move.split else ()
    actions = (
        *_pods(seen, move),
        *(shift + record if move.traffic_first else record + shift),
        *_pins(seen),
        *_retired(seen, move),
    )
    look_again = move.look_again
    if look_again is None and _leftovers(seen, move):
        look_again = seen.settle
    return Decision(status, actions, move.announcements, look_again)


def with_shift(seen: Observation, move: Move) -> Status:
    """The move's status with the time of its shift, if it moves traffic."""
    if move.split is None or move.split == seen.split:
        return move.status
    status = replace(move.status, shifted_at=seen.now)
    rollout = status.rollout
    if rollout is None:
        return status
    weight = move.split.weight(rollout.candidate)
    if weight == 0 and not rollout.shifts:
        return status
    return replace(status, rollout=replace(rollout, shifts=(*rollout.shifts, Shift(seen.now, weight))[-100:]))


def _pods(seen: Observation, move: Move) -> tuple[Action, ...]:
    actions: list[Action] = []
    wanted: dict[str, int] = {}
    if move.status.stable:
        wanted[move.status.stable] = seen.spec.replicas
    if move.status.rollout is not None and move.candidate_replicas is not None:
        wanted[move.status.rollout.candidate] = move.candidate_replicas
    for revision, replicas in wanted.items():
        state = seen.state(revision)
        if state.snapshot is None or state.replicas is None:
            actions.append(EnsureRevision(revision, replicas))
        # A candidate only grows while its rollout lasts: its pods carry the traffic that is being measured.
        elif state.replicas < replicas or (state.replicas > replicas and revision == move.status.stable):
            actions.append(ScaleRevision(revision, replicas))
    return tuple(actions)


def _pins(seen: Observation) -> tuple[Action, ...]:
    return tuple(
        PinModel(state.name, state.facts.sha256, state.facts.files_sha256)
        for state in seen.revisions.values()
        if state.facts and _unpinned(state, state.facts)
    )


def _unpinned(state: RevisionState, facts: ModelFacts) -> bool:
    if state.snapshot is None or state.replicas is None or state.pinned is not None:
        return False
    # The user's digest is the ONNX file's alone.
    return state.snapshot.model.sha256 is None or facts.files_sha256 is not None


def _leftovers(seen: Observation, move: Move) -> list[str]:
    used = _used(move)
    return sorted(
        state.name for state in seen.revisions.values() if state.replicas is not None and state.name not in used
    )


def _used(move: Move) -> set[str | None]:
    return {move.status.stable, move.status.rollout.candidate if move.status.rollout else None}


def _retired(seen: Observation, move: Move) -> tuple[Action, ...]:
    reachable = seen.split or ()
    gone = [name for name in _leftovers(seen, move) if name not in reachable and silent(seen, name)]
    used = _used(move)
    snapshots = sorted(
        (state for state in seen.revisions.values() if state.replicas is None and state.name not in used),
        key=lambda state: state.number,
    )
    keep = seen.spec.revision_history_limit
    forgotten = snapshots[: len(snapshots) - keep] if len(snapshots) > keep else []
    return (
        *(RetireRevision(name) for name in gone),
        *(ForgetRevision(state.name) for state in forgotten),
    )


def silent(seen: Observation, revision: str, *, previews: bool = True) -> bool:
    """Whether the routers have been seen to send a revision nothing, since they were last told to.

    Without `previews`, requests that name the revision by header don't count: they end when it leaves the route.
    """
    if seen.split is None:
        return True
    if revision in seen.split and seen.split.weight(revision) > 0:
        return False
    if seen.share is None:
        return False
    since = seen.recorded.shifted_at
    requests = seen.share.any(revision) if previews else seen.share.live.get(revision, 0)
    return (since is None or seen.share.since >= since) and requests == 0
