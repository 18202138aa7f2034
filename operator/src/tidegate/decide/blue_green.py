"""What a blue-green rollout does next: full size without traffic, one switch, and a way back while the old is kept.

Steps: 0 pods come up, 1 they prove steady without traffic, 2 they have all of it and the old revision is kept.
"""

from tidegate.decide.canary import after_deadline, deadline_sentence
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.decide.transition import Transition, advance, complete, hold, is_drained, roll_back
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.spec import BlueGreen
from tidegate.model.status import Rollout
from tidegate.model.traffic import TrafficSplit
from tidegate.model.units import format_duration

COMING_UP, VERIFYING, SWITCHED = 0, 1, 2


def decide_blue_green(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    """One look at a blue-green rollout."""
    if fault := rollback_trigger(seen, rollout):
        return roll_back(seen, rollout, *fault)
    if rollout.step == SWITCHED:
        return _watch(seen, strategy, rollout)
    if unready := _unready(seen, rollout):
        return unready
    if rollout.step == COMING_UP:
        span = format_duration(strategy.verify_for)
        reconciling = (
            "Verifying",
            f"{rollout.candidate} is at full size; it must stay ready for {span} before the switch",
        )
        return advance(seen, rollout, VERIFYING, 0, "BlueGreen", reconciling, seen.spec.replicas)
    return _verify(seen, strategy, rollout)


def _unready(seen: Observation, rollout: Rollout) -> Transition | None:
    candidate = seen.state(rollout.candidate)
    if candidate.ready >= seen.spec.replicas:
        return None
    why = candidate.failure.message if candidate.failure else "its pods are starting"
    message = f"{rollout.candidate} has {candidate.ready} of {seen.spec.replicas} pods ready and no traffic: {why}"
    if rollout.step == VERIFYING:
        return advance(seen, rollout, COMING_UP, 0, "Starting", ("PodsNotReady", message), seen.spec.replicas)
    return hold(seen, "Starting", ("PodsStarting", message), replicas=seen.spec.replicas)


def _verify(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    replicas = seen.spec.replicas
    steady = seen.now - rollout.step_started_at
    if steady < strategy.verify_for:
        span = format_duration(strategy.verify_for)
        message = f"{rollout.candidate} must stay ready for {span} before the switch"
        return hold(seen, "BlueGreen", ("Verifying", message), replicas=replicas)
    if seen.spec.paused:
        return hold(seen, "Paused", ("Paused", "spec.paused is true; the switch waits"), replicas=replicas)
    if seen.verdict.answer is Answer.CANNOT_SEE:
        message = f"no switch while nothing can be seen: {seen.verdict.message}"
        return hold(seen, "Held", (seen.verdict.reason, message), replicas=replicas)
    span = format_duration(strategy.keep_old)
    reconciling = ("Switched", f"{rollout.candidate} gets all requests; {seen.recorded.stable} is kept for {span}")
    return advance(seen, rollout, SWITCHED, 100, "BlueGreen", reconciling, replicas)


def _watch(seen: Observation, strategy: BlueGreen, rollout: Rollout) -> Transition:
    replicas = seen.spec.replicas
    wanted = TrafficSplit.between(seen.recorded.stable or "", rollout.candidate, 100)
    policy = after_deadline(seen, rollout)
    if policy == "Rollback":
        return roll_back(seen, rollout, "DeadlineExceeded", deadline_sentence(seen))
    if seen.split != wanted:
        return _restore(seen, rollout)
    if policy == "Promote" and not seen.spec.paused:
        return _complete_late(seen, rollout)
    kept = seen.now - rollout.step_started_at
    if kept < strategy.keep_old:
        span = format_duration(strategy.keep_old)
        message = f"{seen.recorded.stable} is kept for {span} after the switch: {seen.verdict.message}"
        return hold(seen, "BlueGreen", ("KeepingOld", message), replicas=replicas)
    if seen.verdict.answer is not Answer.ACCEPTABLE:
        message = f"{seen.recorded.stable} is kept on: {seen.verdict.message}"
        return hold(seen, "BlueGreen", (seen.verdict.reason, message), replicas=replicas)
    if not is_drained(seen, seen.recorded.stable or "", previews=False):
        message = f"waiting to see the last requests leave {seen.recorded.stable}"
        return hold(seen, "BlueGreen", ("WaitingForZeroTraffic", message), replicas=replicas)
    return complete(seen, rollout, "EvidenceAcceptable")


def _restore(seen: Observation, rollout: Rollout) -> Transition:
    replicas = seen.spec.replicas
    unready = seen.state(rollout.candidate).ready < replicas
    if unready or seen.verdict.answer is Answer.CANNOT_SEE:
        message = "the switch is made again when the pods are ready and the metrics are back"
        return hold(seen, "Held", ("SwitchWaits", message), replicas=replicas)
    reconciling = ("TrafficRestored", f"the route differed and gives {rollout.candidate} all requests again")
    return advance(seen, rollout, SWITCHED, 100, "BlueGreen", reconciling, replicas)


def _complete_late(seen: Observation, rollout: Rollout) -> Transition:
    if is_drained(seen, seen.recorded.stable or "", previews=False):
        return complete(seen, rollout, "DeadlineExceeded")
    return hold(seen, "BlueGreen", ("WaitingForZeroTraffic", deadline_sentence(seen)), replicas=seen.spec.replicas)
