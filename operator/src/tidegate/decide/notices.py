"""What of a decision is to be told to those who asked for it. Pure.

It is recorded in the same write as what it tells of, and goes when it has been told: so a restart in between tells it
again, and nothing is told that didn't happen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from tidegate.decide.transition import Transition
from tidegate.model.notification import ENDS, Happening, Notice
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType, Reason, StatusMessage
from tidegate.model.status import HistoryEntry, Status

MOST = 20
"""That wait to be told; of more, the oldest are dropped."""
TOLD: Mapping[str, Happening] = {
    Reason.ROLLOUT_STARTED: Happening.STARTED,
    Reason.CANARY_STEP: Happening.STEPPED,
    Reason.SWITCHED: Happening.STEPPED,
    Reason.PROMOTING: Happening.STEPPED,
    Reason.PROMOTED: Happening.PROMOTED,
    Reason.ROLLED_BACK: Happening.ROLLED_BACK,
    Reason.ABORTED: Happening.ABORTED,
    Reason.SUPERSEDED: Happening.SUPERSEDED,
}
"""By the Event that tells of it."""
NEEDS_SOMEBODY = frozenset({Reason.GATE_REFUSED, Reason.GATE_FAILED, Reason.WAITING_FOR_APPROVAL})
"""Waits that aren't Stalled, and that somebody has to know of."""


def with_notices(seen: Observation, transition: Transition, status: Status) -> Status:
    """`status` with what is still to be told, which is what wasn't yet, and what is new."""
    left = still_to_tell(seen.recorded, seen.delivered)
    return with_new(replace(status, notices=left), _noticed(seen, transition, status) if seen.told else (), seen.told)


def still_to_tell(recorded: Status, delivered: frozenset[str]) -> tuple[Notice, ...]:
    """What is recorded and not everybody has had."""
    return tuple(notice for notice in recorded.notices if notice.id not in delivered)


def with_new(status: Status, new: Iterable[Notice], told: frozenset[str]) -> Status:
    """`status` with those besides that somebody wants to hear."""
    wanted = (notice for notice in new if notice.happening in told)
    return replace(status, notices=(*status.notices, *wanted)[-MOST:])


def of_invalid_spec(recorded: Status, message: str, now: datetime) -> Notice:
    """Nothing goes on by itself before somebody mends the spec, whether or not a rollout is under way."""
    rollout = recorded.rollout
    return Notice(
        Happening.HELD.value,
        Reason.INVALID_SPEC,
        message,
        now,
        recorded.stable or "",
        rollout.candidate if rollout else "",
        rollout.step if rollout else 0,
        recorded.steps,
        rollout.granted if rollout else 0,
    )


def _noticed(seen: Observation, transition: Transition, status: Status) -> Iterator[Notice]:
    for event in transition.events:
        happening = TOLD.get(event.reason) or _returned(status, event)
        if happening is not None:
            yield _notice(seen, status, happening, event)
    if held := _held(seen, transition, status):
        yield _notice(seen, status, Happening.HELD, held)


def _returned(status: Status, event: StatusMessage) -> Happening | None:
    """What goes back to a revision that was stable a short while ago begins and shifts under one reason."""
    if event.reason != Reason.RETURNING or status.rollout is None:
        return None
    is_new = status.rollout.step == 0
    return Happening.STARTED if is_new else Happening.STEPPED


def _held(seen: Observation, transition: Transition, status: Status) -> StatusMessage | None:
    """Why a rollout that goes on by now, or a first revision, stands still, where that is new."""
    if status.rollout is None:
        return None
    if transition.stalled:
        return transition.stalled if _is_new(seen, ConditionType.STALLED, transition.stalled) else None
    why = transition.reconciling
    if why is None or why.reason not in NEEDS_SOMEBODY or not _is_new(seen, ConditionType.RECONCILING, why):
        return None
    return why


def _is_new(seen: Observation, kind: ConditionType, message: StatusMessage) -> bool:
    before = seen.recorded.condition(kind)
    return before is None or before.status != "True" or before.reason != message.reason


def _notice(seen: Observation, status: Status, happening: Happening, why: StatusMessage) -> Notice:
    if happening in ENDS and status.history:
        return _of_the_end(seen, status.history[0], happening)
    rollout, strategy = status.rollout, seen.spec.strategy
    step = rollout.step if rollout else 0
    return Notice(
        happening.value,
        why.reason,
        why.message,
        seen.now,
        status.stable or "",
        rollout.candidate if rollout else "",
        step,
        strategy.steps_with_traffic,
        strategy.weight_at(step),
    )


def _of_the_end(seen: Observation, ended: HistoryEntry, happening: Happening) -> Notice:
    before = seen.recorded.rollout
    return Notice(
        happening.value,
        ended.reason,
        ended.message,
        seen.now,
        ended.stable,
        ended.revision,
        before.step if before else 0,
        seen.spec.strategy.steps_with_traffic,
        100 if happening is Happening.PROMOTED else 0,
    )
