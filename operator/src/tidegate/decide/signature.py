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


def signature_to_approve(seen: Observation, rollout: Rollout) -> str | None:
    """The difference that waits for somebody's approval before the candidate's first traffic, or has had it."""
    if seen.spec.analysis.signature is not SignaturePolicy.HOLD or rollout.shifts or rollout.fast_track:
        return None
    return signature_difference(seen, rollout)
