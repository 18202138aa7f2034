"""While a spec can't be read, what is under way is judged on by the last one that could be. Pure.

Nothing begins, advances or ends by a deadline then; a rollback does what it always does.
"""

from dataclasses import replace
from datetime import datetime

from tidegate.decide.notices import of_invalid_spec, still_to_tell, with_new
from tidegate.model import actions
from tidegate.model.control import Control
from tidegate.model.decision import Decision, Event
from tidegate.model.evidence import Answer
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType, Phase, Policy, Reason
from tidegate.model.status import Condition, Status

SAFE = frozenset({Control.ABORT, Control.RESTART})
"""What people may ask for whatever the spec says; the rest waits until it can be read."""


def without_deadlines(seen: Observation) -> Observation:
    """The observation, by a spec that doesn't end a rollout for want of a verdict, and takes no step for a word."""
    analysis = replace(seen.spec.analysis, on_inconclusive=Policy.HOLD, on_metrics_unavailable=Policy.HOLD)
    controls = tuple(given for given in seen.controls if given.control in SAFE)
    return replace(seen, spec=replace(seen.spec, analysis=analysis), controls=controls)


def held(judged: Observation, message: str) -> Observation:
    """The observation, with a verdict that rolls back or holds."""
    if judged.verdict.answer is Answer.WORSE:
        return judged
    verdict = replace(judged.verdict, answer=Answer.CANNOT_SEE, reason=Reason.INVALID_SPEC, message=message)
    return replace(judged, verdict=verdict)


def told(seen: Observation, decision: Decision, recorded: Status, message: str) -> Decision:
    """The decision, with a status and an Event that say what is wrong with the spec."""
    is_new = _is_new(recorded, message)
    stalled = Condition(ConditionType.STALLED, "True", Reason.INVALID_SPEC, message, seen.now, seen.generation)
    before = recorded.condition(ConditionType.STALLED)
    if before and before.status == stalled.status:
        stalled = replace(stalled, since=before.since)
    conditions = (*(each for each in decision.status.conditions if each.type != ConditionType.STALLED), stalled)
    status = replace(decision.status, conditions=conditions, phase=Phase.INVALID, message=message)
    if is_new:
        status = with_new(status, [of_invalid_spec(status, message, seen.now)], seen.told)
    return replace(
        decision,
        status=status,
        actions=tuple(
            actions.RecordStatus(status) if isinstance(action, actions.RecordStatus) else action
            for action in decision.actions
            if not isinstance(action, actions.RecordStatus) or status != recorded
        ),
        events=(
            *(event for event in decision.events if event.reason != Reason.INVALID_SPEC),
            *((_event(message),) if is_new else ()),
        ),
    )


def refused(
    recorded: Status,
    message: str,
    now: datetime,
    generation: int,
    *,
    told: frozenset[str] = frozenset(),
    delivered: frozenset[str] = frozenset(),
) -> tuple[Status, Event | None]:
    """What is recorded of a spec by which nothing can be judged, and the Event that tells of it, where it is new.

    `told` and `delivered` as an Observation has them.
    """
    left = replace(recorded, notices=still_to_tell(recorded, delivered))
    if not _is_new(recorded, message):
        return left, None
    stalled = Condition(ConditionType.STALLED, "True", Reason.INVALID_SPEC, message, now, generation)
    status = left.with_condition(stalled)
    status = replace(status, observed_generation=generation, phase=Phase.INVALID, message=message)
    return with_new(status, [of_invalid_spec(recorded, message, now)], told), _event(message)


def _is_new(recorded: Status, message: str) -> bool:
    before = recorded.condition(ConditionType.STALLED)
    return before is None or before.status != "True" or before.message != message


def _event(message: str) -> Event:
    return Event(Reason.INVALID_SPEC, message, warning=True)
