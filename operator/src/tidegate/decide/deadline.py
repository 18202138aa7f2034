"""What is to happen with a rollout that has no verdict in time. Pure.

Time in which a rollout is paused, nothing can be seen of it, or a gate of the user's holds it, isn't counted: it
decides nothing.
"""

from datetime import datetime, timedelta

from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Policy, Reason, StatusMessage
from tidegate.model.status import Rollout, Since
from tidegate.model.units import format_duration


def after_deadline(seen: Observation, rollout: Rollout) -> Policy | None:
    """What the user wants once `analysis.deadline` has passed without a verdict; None before that.

    Where nothing can be seen, once that has lasted for `progressDeadline` and a rollback is wanted then.
    """
    analysis = seen.spec.analysis
    if seen.verdict.answer is Answer.ACCEPTABLE or not rollout.shifts:
        return None
    if seen.verdict.answer is Answer.CANNOT_SEE:
        wants_rollback = analysis.on_metrics_unavailable == Policy.ROLLBACK
        return Policy.ROLLBACK if wants_rollback and _outage_lasts(seen, rollout) else None
    return analysis.on_inconclusive if is_out_of_time(seen, rollout) else None


def is_out_of_time(seen: Observation, rollout: Rollout) -> bool:
    """Whether the candidate has been judged for as long as `analysis.deadline`."""
    return bool(rollout.shifts) and judged_for(seen, rollout) >= seen.spec.analysis.deadline


def judged_for(seen: Observation, rollout: Rollout) -> timedelta:
    """The time since the candidate's first traffic in which it was neither paused, out of sight nor held by a gate."""
    now = seen.now
    suspended = timedelta(seconds=rollout.suspended_seconds)
    if began := suspended_since(rollout.since):
        suspended += now - max(began, rollout.shifts[0].at)
    return now - rollout.shifts[0].at - suspended


def suspended_since(since: Since) -> datetime | None:
    """Since when a rollout's deadlines stand still; None where they run."""
    return min((at for at in (since.paused, since.unseen, since.gates) if at), default=None)


def deadline_exceeded(seen: Observation) -> StatusMessage:
    """Why a rollout that is out of time stands where it does."""
    if seen.verdict.answer is Answer.CANNOT_SEE:
        span = format_duration(seen.spec.progress_deadline)
        return StatusMessage(seen.verdict.reason, f"nothing could be seen for {span}: {seen.verdict.message}")
    span = format_duration(seen.spec.analysis.deadline)
    return StatusMessage(Reason.DEADLINE_EXCEEDED, f"no verdict within {span}: {seen.verdict.message}")


def _outage_lasts(seen: Observation, rollout: Rollout) -> bool:
    began = rollout.since.unseen
    return began is not None and seen.now - began >= seen.spec.progress_deadline
