"""What ends a rollout at once, whatever its strategy. Pure."""

from tidegate.decide.capacity import candidate_size
from tidegate.decide.gate_answers import ended_by_gate
from tidegate.decide.signature import signature_difference
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.spec import SignaturePolicy
from tidegate.model.status import Rollout
from tidegate.model.units import format_duration


def rollback_trigger(seen: Observation, rollout: Rollout) -> StatusMessage | None:
    """The reason to go back now, the most telling first."""
    return (
        _judged_worse(seen)
        or _pods_failed(seen, rollout)
        or _incompatible(seen, rollout)
        or _never_ready(seen, rollout)
        or ended_by_gate(rollout)
    )


def _judged_worse(seen: Observation) -> StatusMessage | None:
    if seen.verdict.answer is not Answer.WORSE:
        return None
    return StatusMessage(seen.verdict.reason, seen.verdict.message)


def _pods_failed(seen: Observation, rollout: Rollout) -> StatusMessage | None:
    failure = seen.state(rollout.candidate).failure
    if failure is None:
        return None
    if failure.permanent:
        return StatusMessage(failure.reason, failure.message)
    # By what was granted, not by the route: after a crash of ours in a rollback the route has been set back already.
    is_asked = rollout.granted > 0 or rollout.mirrored > 0 or rollout.is_matched
    if failure.crashed and is_asked and _is_more_than_stable(seen, rollout):
        return StatusMessage(Reason.CANDIDATE_CRASHED, failure.message)
    return None


def _is_more_than_stable(seen: Observation, rollout: Rollout) -> bool:
    """Whether it is the candidate's own: one crash may be the node's, and what stable does too is nobody's fault."""
    candidate, stable = seen.state(rollout.candidate), seen.state(seen.recorded.stable)
    ours, theirs = (sum(at >= rollout.shifts[0].at for at in state.crashes) for state in (candidate, stable))
    loops = candidate.failure is not None and candidate.failure.looping
    stable_loops = stable.failure is not None and stable.failure.looping
    return (loops and not stable_loops) or ours > theirs + 1


def _incompatible(seen: Observation, rollout: Rollout) -> StatusMessage | None:
    if seen.spec.analysis.signature is not SignaturePolicy.REFUSE:
        return None
    difference = signature_difference(seen, rollout)
    if difference is None:
        return None
    message = (
        f"clients of stable would break: {difference}; keep the signature, serve this model under a ModelDeployment of "
        "its own, or set spec.analysis.signature to Hold or Allow"
    )
    return StatusMessage(Reason.SIGNATURE_CHANGED, message)


def pods_trigger(seen: Observation, rollout: Rollout, pods: int) -> StatusMessage | None:
    """Why a candidate without traffic never gets any: its pods fail for good, or don't come."""
    return _pods_failed(seen, rollout) or _without_progress(seen, rollout, pods)


def _never_ready(seen: Observation, rollout: Rollout) -> StatusMessage | None:
    if rollout.step > 0:
        return None
    return _without_progress(seen, rollout, candidate_size(seen.spec, rollout, step=1))


def _without_progress(seen: Observation, rollout: Rollout, pods: int) -> StatusMessage | None:
    candidate, since = seen.state(rollout.candidate), rollout.since.pods
    if candidate.ready >= pods or since is None or seen.spec.paused:
        return None
    if seen.now - since < seen.spec.progress_deadline:
        return None
    refused = seen.refusal.message if seen.refusal else "none of its pods said why"
    why = candidate.failure.message if candidate.failure else refused
    deadline = format_duration(seen.spec.progress_deadline)
    message = f"{candidate.ready} of {pods} pods are ready, no further one for {deadline}, and it got no traffic: {why}"
    return StatusMessage(Reason.PROGRESS_DEADLINE_EXCEEDED, message)
