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

from tidegate.judge.sampling import until_next_point
from tidegate.model.decision import (
    Action,
    Decision,
    DeleteSnapshot,
    DeleteWorkload,
    EnsureRevision,
    Event,
    PinModel,
    RecordStatus,
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
class Transition:
    """What should be true next. `doing` and `stuck` are (reason, message) of the conditions Reconciling and Stalled."""

    status: Status
    split: TrafficSplit | None
    phase: str
    reconciling: tuple[str, str] | None = None
    stalled: tuple[str, str] | None = None
    candidate_replicas: int | None = None
    """Pods that the candidate needs; None where there is no candidate."""
    events: tuple[Event, ...] = ()
    traffic_first: bool = False
    requeue_after: timedelta | None = None
    actions: tuple[Action, ...] = field(default=())


def replicas_for(spec: ModelDeploymentSpec, weight: int) -> int:
    """Pods that carry `weight` percent at stable's load per pod; at least one."""
    return max(1, math.ceil(spec.replicas * weight / 100))


def hold(
    seen: Observation, phase: str, reconciling: tuple[str, str] | None, *, replicas: int | None = None
) -> Transition:
    """Nothing moves: the rollout holds where it is, and traffic stays as it was granted."""
    return Transition(
        seen.recorded,
        seen.split,
        phase,
        reconciling,
        candidate_replicas=replicas,
        requeue_after=next_look(seen),
    )


def advance(
    seen: Observation, rollout: Rollout, step: int, weight: int, phase: str, reconciling: tuple[str, str], replicas: int
) -> Transition:
    """The rollout enters `step`, in which the candidate has `weight` percent."""
    stable = seen.recorded.stable or ""
    started = seen.now if step != rollout.step else rollout.step_started_at
    moved = replace(rollout, step=step, step_started_at=started)
    split = TrafficSplit.between(stable, rollout.candidate, weight)
    return Transition(
        replace(seen.recorded, rollout=moved),
        split,
        phase,
        reconciling,
        candidate_replicas=replicas,
        events=(Event(reconciling[0], reconciling[1]),) if step != rollout.step else (),
        requeue_after=seen.spec.analysis.interval + INGESTION_LAG,
    )


def begin(seen: Observation) -> Transition:
    """A new rollout of the desired revision; a rollout of another one that was under way is superseded."""
    stable, desired = seen.recorded.stable or "", seen.desired
    recorded = replace(seen.recorded, rejected=None)
    events: tuple[Event, ...] = ()
    if recorded.rollout is not None:
        reason = "NewerSpec"
        message = f"{recorded.rollout.candidate} gives way to {desired}, which the spec asks for now"
        if recorded.rollout.candidate == desired:
            reason, message = "StrategyChanged", f"the rollout of {desired} begins anew with the strategy as it is now"
        recorded = _ended(seen, recorded.rollout, "Superseded", reason, message)
        events += (Event("Superseded", message),)
    message = f"{desired} comes up beside {stable}, without traffic"
    rollout = Rollout(desired, seen.now, 0, seen.now)
    return Transition(
        replace(recorded, rollout=rollout, rejected=None, analysis=None),
        TrafficSplit.between(stable, desired, 0),
        "Starting",
        ("RolloutStarted", message),
        candidate_replicas=1,
        events=(*events, Event("RolloutStarted", message)),
        traffic_first=True,
        requeue_after=PODS_STARTING,
    )


def roll_back(seen: Observation, rollout: Rollout, reason: str, message: str) -> Transition:
    """All traffic returns to stable, now; the candidate isn't tried again until the user changes something."""
    stable = seen.recorded.stable or ""
    sentence = f"{rollout.candidate} was rolled back: {message}"
    recorded = _ended(seen, rollout, "RolledBack", reason, sentence)
    rejected = Rejected(rollout.candidate, seen.plan, reason, sentence)
    return Transition(
        replace(recorded, rejected=rejected),
        TrafficSplit.only(stable),
        "RolledBack",
        stalled=(reason, sentence),
        events=(Event("RolledBack", f"{reason}: {sentence}", warning=True),),
        traffic_first=True,
        requeue_after=seen.spec.analysis.interval,
    )


def abandon(seen: Observation, rollout: Rollout) -> Transition:
    """The spec asks for the stable revision again: the rollout ends at once."""
    stable = seen.recorded.stable or ""
    message = f"the spec asks for {stable} again, so the rollout of {rollout.candidate} ends"
    return Transition(
        _ended(seen, rollout, "Aborted", "SpecReturnedToStable", message),
        TrafficSplit.only(stable),
        "Live",
        events=(Event("Aborted", message),),
        traffic_first=True,
        requeue_after=seen.spec.analysis.interval,
    )


def complete(seen: Observation, rollout: Rollout, reason: str) -> Transition:
    """The candidate, which has all the traffic already, is stable from now on. Its pods aren't touched."""
    message = f"{rollout.candidate} is stable: {seen.verdict.message}"
    recorded = _ended(seen, rollout, "Promoted", reason, message)
    return Transition(
        replace(recorded, stable=rollout.candidate, rejected=None),
        TrafficSplit.only(rollout.candidate),
        "Live",
        events=(Event("Promoted", message),),
        requeue_after=seen.spec.analysis.interval,
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


def to_decision(seen: Observation, transition: Transition, status: Status) -> Decision:
    """Puts a move's writes in order. `status` is the move's own, completed for people."""
    shifting = transition.split is not None and (transition.split != seen.split or not seen.route_settings_match)
    record: tuple[Action, ...] = (RecordStatus(status),) if status != seen.recorded else ()
    shift: tuple[Action, ...] = (ShiftTraffic(transition.split),) if shifting and transition.split else ()
    actions = (
        *_pods(seen, transition),
        *(shift + record if transition.traffic_first else record + shift),
        *_pins(seen),
        *_retired(seen, transition),
    )
    requeue_after = transition.requeue_after
    if requeue_after is None and _unused(seen, transition):
        requeue_after = seen.propagation_delay
    return Decision(status, actions, transition.events, requeue_after)


def with_shift(seen: Observation, transition: Transition) -> Status:
    """The move's status with the time of its shift, if it moves traffic."""
    if transition.split is None or transition.split == seen.split:
        return transition.status
    status = replace(transition.status, shifted_at=seen.now)
    rollout = status.rollout
    if rollout is None:
        return status
    weight = transition.split.weight(rollout.candidate)
    if weight == 0 and not rollout.shifts:
        return status
    return replace(status, rollout=replace(rollout, shifts=(*rollout.shifts, Shift(seen.now, weight))[-100:]))


def _pods(seen: Observation, transition: Transition) -> tuple[Action, ...]:
    actions: list[Action] = []
    wanted: dict[str, int] = {}
    if transition.status.stable:
        wanted[transition.status.stable] = seen.spec.replicas
    if transition.status.rollout is not None and transition.candidate_replicas is not None:
        wanted[transition.status.rollout.candidate] = transition.candidate_replicas
    for revision, replicas in wanted.items():
        state = seen.state(revision)
        if state.snapshot is None or state.replicas is None:
            actions.append(EnsureRevision(revision, replicas))
        # A candidate only grows while its rollout lasts: its pods carry the traffic that is being measured.
        elif state.replicas < replicas or (state.replicas > replicas and revision == transition.status.stable):
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


def _unused(seen: Observation, transition: Transition) -> list[str]:
    used = _used(transition)
    return sorted(
        state.name for state in seen.revisions.values() if state.replicas is not None and state.name not in used
    )


def _used(transition: Transition) -> set[str | None]:
    return {transition.status.stable, transition.status.rollout.candidate if transition.status.rollout else None}


def _retired(seen: Observation, transition: Transition) -> tuple[Action, ...]:
    reachable = seen.split or ()
    gone = [name for name in _unused(seen, transition) if name not in reachable and is_drained(seen, name)]
    used = _used(transition)
    snapshots = sorted(
        (state for state in seen.revisions.values() if state.replicas is None and state.name not in used),
        key=lambda state: state.number,
    )
    keep = seen.spec.revision_history_limit
    forgotten = snapshots[: len(snapshots) - keep] if len(snapshots) > keep else []
    return (
        *(DeleteWorkload(name) for name in gone),
        *(DeleteSnapshot(state.name) for state in forgotten),
    )


def is_drained(seen: Observation, revision: str, *, previews: bool = True) -> bool:
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
