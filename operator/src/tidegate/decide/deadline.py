"""What is to happen with a rollout that has no verdict in time. Pure."""

from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import Policy, Reason, StatusMessage
from tidegate.model.status import Rollout
from tidegate.model.units import format_duration


def after_deadline(seen: Observation, rollout: Rollout) -> Policy | None:
    """What the user wants once `analysis.deadline` has passed without a verdict; None before that."""
    analysis = seen.spec.analysis
    if seen.verdict.answer is Answer.ACCEPTABLE or not rollout.shifts:
        return None
    if seen.now - rollout.shifts[0].at < analysis.deadline:
        return None
    if seen.verdict.answer is Answer.CANNOT_SEE:
        return analysis.on_metrics_unavailable
    return analysis.on_inconclusive


def deadline_exceeded(seen: Observation) -> StatusMessage:
    """Why a rollout that is out of time stands where it does."""
    span = format_duration(seen.spec.analysis.deadline)
    return StatusMessage(Reason.DEADLINE_EXCEEDED, f"no verdict within {span}: {seen.verdict.message}")
