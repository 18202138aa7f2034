"""Whether clients of stable would break on a candidate, and whether somebody has to approve of that. Pure."""

from tidegate.model.compatibility import incompatibility
from tidegate.model.observation import Observation
from tidegate.model.spec import SignaturePolicy
from tidegate.model.status import Rollout


def signature_difference(seen: Observation, rollout: Rollout) -> str | None:
    """Why they would, in one clause; None where they wouldn't, or where nobody knows."""
    stable, candidate = seen.state(seen.recorded.stable).facts, seen.state(rollout.candidate).facts
    if stable is None or candidate is None:
        return None
    return incompatibility(stable, candidate)


def not_compared(seen: Observation, rollout: Rollout) -> str | None:
    """What isn't known of one of the two while it is of the other, in one sentence; None where nothing is missing."""
    if seen.recorded.stable is None:
        return None
    names = seen.recorded.stable, rollout.candidate
    facts = [seen.state(name).facts for name in names]
    labels = [each.labels if each else None for each in facts]
    silent = next((name for name, each in zip(names, facts, strict=True) if each is None), None)
    if silent is not None and any(facts) and seen.state(silent).ready:
        return f"the pods of {silent} don't say what their model takes and gives, so clients of stable may break"
    unnamed = next((name for name, each in zip(names, labels, strict=True) if each is None), None)
    if all(facts) and any(labels) and unnamed is not None:
        return f"the pods of {unnamed} don't say what their model's classes are called, so labels aren't compared"
    return None


def signature_to_approve(seen: Observation, rollout: Rollout) -> str | None:
    """The difference that waits for somebody's approval before the candidate's first traffic, or has had it."""
    if seen.spec.analysis.signature is not SignaturePolicy.HOLD or rollout.shifts or rollout.fast_track:
        return None
    return signature_difference(seen, rollout)
