"""What becomes of what people ask for by annotations. Pure.

One control is looked at in a pass, an abort before all others. What it changes is recorded in the same write of the
status as that it has been acted on; only then its annotation goes. So a crash between any two writes makes it act
neither twice nor never. One that comes too late, or asks for what can't be, changes nothing, and its Event says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from tidegate.decide.edited_strategy import fits
from tidegate.decide.rollback_triggers import rollback_trigger
from tidegate.decide.signature import signature_to_approve
from tidegate.decide.transition import Transition, abort
from tidegate.model.control import Control, GivenControl, Intent
from tidegate.model.decision import Decision, Event
from tidegate.model.observation import Observation
from tidegate.model.reasons import Reason
from tidegate.model.status import ByHand, Restart, Rollout, Status


@dataclass(frozen=True)
class Heard:
    """The observation as it is once somebody has been heard, and what to do instead of what a strategy says."""

    seen: Observation
    transition: Transition | None = None
    acted: GivenControl | None = None
    refused: GivenControl | None = None
    event: Event | None = None


def hear(seen: Observation) -> Heard:
    """Takes in the first control that hasn't been acted on yet, or refuses it."""
    handled = [given for given in seen.controls if given.key in seen.recorded.controls]
    seen = replace(seen, recorded=replace(seen.recorded, controls=tuple(given.key for given in handled)))
    given = next((each for each in seen.controls if each not in handled), None)
    if given is None:
        return Heard(seen)
    why = _refusal(seen, given.intent) if given.intent else given.wrong
    if why or given.intent is None:
        return Heard(seen, refused=given, event=Event(Reason.CONTROL_REFUSED, why, warning=True))
    return _acted_on(seen, given, given.intent)


def with_controls(heard: Heard, decision: Decision) -> Decision:
    """The decision, and which annotations go: those that are refused, and those that the status has as acted on.

    An abort that can't be yet, as stable has no ready pod, isn't recorded: it stays and is looked at again.
    """
    recorded = decision.status.controls
    handled = tuple(given for given in heard.seen.controls if given.key in recorded or given == heard.refused)
    is_told = heard.event is not None and (heard.refused is not None or _is_done(heard, decision))
    events = (heard.event,) if is_told and heard.event else ()
    return replace(decision, handled=handled, events=(*events, *decision.events))


def aborted(seen: Observation) -> bool:
    """Whether somebody wants the rollout that is under way to end: then nothing needs to be known of it."""
    rollout = seen.recorded.rollout
    return rollout is not None and any(
        given.intent is not None
        and (given.control, given.intent.revision) == (Control.ABORT, rollout.candidate)
        and given.key not in seen.recorded.controls
        for given in seen.controls
    )


def _is_done(heard: Heard, decision: Decision) -> bool:
    return heard.acted is not None and heard.acted.key in decision.status.controls


def _acted_on(seen: Observation, given: GivenControl, intent: Intent) -> Heard:
    recorded = replace(seen.recorded, controls=(*seen.recorded.controls, given.key))
    rollout = recorded.rollout
    if intent.control is Control.ABORT and rollout is not None:
        transition = abort(replace(seen, recorded=recorded), rollout, intent)
        return Heard(seen, transition, given)  # its own Event says so
    status, event = _effect(seen, recorded, intent)
    return Heard(replace(seen, recorded=status), acted=given, event=event)


def _effect(seen: Observation, recorded: Status, intent: Intent) -> tuple[Status, Event]:
    """What is recorded of anything but an abort, and the Event that tells of it."""
    revision, asked, rollout = intent.revision, intent.asked, recorded.rollout
    if intent.control is Control.RETRY:
        event = Event(Reason.RETRIED, f"{revision} gets another try, as asked {asked}")
        return replace(recorded, rejected=None), event
    if intent.control is Control.RESTART:
        event = Event(Reason.RESTARTING, f"the pods of {revision} are replaced, a few at a time, as asked {asked}")
        return replace(recorded, restart=Restart(revision, seen.now, asked)), event
    if rollout is None:
        raise AssertionError(f"{intent.control} of {revision} should have been refused: there is no rollout")
    by_hand, event = _decided(rollout, intent)
    return replace(recorded, rollout=replace(rollout, by_hand=by_hand)), event


def _decided(rollout: Rollout, intent: Intent) -> tuple[ByHand, Event]:
    by_hand, revision, step, asked = rollout.by_hand, intent.revision, intent.step, intent.asked
    if intent.control is Control.APPROVE:
        event = Event(Reason.APPROVED, f"step {step} of {revision} is approved {asked}")
        return replace(by_hand, approved=step, approved_by=asked), event
    if intent.control is Control.SKIP:
        event = Event(Reason.SKIPPED, f"what is left of the time of step {step} of {revision} is skipped {asked}")
        return replace(by_hand, skipped=step), event
    if intent.control is Control.PROMOTE:
        message = f"{revision} goes on from step {step} without a verdict, as soon as its pods are ready, {asked}"
        return replace(by_hand, promoted=step, promoted_by=asked), Event(Reason.PROMOTED_BY_HAND, message)
    message = f"{revision} is promoted in full without a verdict, as soon as its pods are ready, {asked}"
    return replace(by_hand, full_by=asked), Event(Reason.PROMOTED_BY_HAND, message)


def _refusal(seen: Observation, intent: Intent) -> str:
    """Why it isn't done, in one sentence; empty where nothing speaks against it."""
    why = REFUSALS[intent.control](seen, intent)
    step = "" if intent.step is None else f"/{intent.step}"
    return why and f"{intent.control.value} of {intent.revision}{step} {intent.asked} is refused: {why}"


def _refuses_abort(seen: Observation, intent: Intent) -> str:
    recorded, rollout = seen.recorded, seen.recorded.rollout
    if recorded.stable is None:
        return f"{seen.desired} is the first revision, which goes live when a pod of it is ready; nothing else is there"
    if rollout is None and recorded.rejected and recorded.rejected.revision == intent.revision:
        return f"no rollout is under way, {recorded.rejected.message}"
    if rollout is None:
        return f"no rollout is under way, {recorded.stable} has all the requests"
    if rollout.candidate != intent.revision:
        return f"the rollout that is under way is of {rollout.candidate}"
    return ""


def _refuses_retry(seen: Observation, intent: Intent) -> str:
    recorded, revision = seen.recorded, intent.revision
    if recorded.rollout is not None and recorded.rollout.candidate == revision:
        return "it is being rolled out already"
    if revision != seen.desired:
        return f"the spec asks for {seen.desired}; apply the spec of the revision that you mean"
    if recorded.rejected is None or recorded.rejected.revision != revision:
        return "it was neither rolled back nor aborted"
    return ""


def _refuses_restart(seen: Observation, intent: Intent) -> str:
    stable, restart = seen.recorded.stable, seen.recorded.restart
    if intent.revision != stable:
        return f"only stable's pods are replaced, and stable is {stable or 'no revision yet'}"
    if not seen.state(stable).replicas:
        return "it has no pods"
    return f"its pods are being replaced already, as asked {restart.by}" if restart else ""


def _refuses_any_move(seen: Observation, intent: Intent) -> str:
    """What speaks against everything that lets a rollout go on."""
    if why := _refuses_abort(seen, intent):
        return why
    rollout, stable = seen.recorded.rollout, seen.recorded.stable
    if rollout is None or seen.desired != rollout.candidate:
        return f"the spec asks for {seen.desired} by now"
    if rollout.fast_track:
        return "it goes back in one shift as soon as its pods are ready, and waits for nothing else but spec.paused"
    if trigger := rollback_trigger(seen, rollout):
        return f"all requests go back to {stable}: {trigger.message}"
    if not fits(seen.spec.strategy, rollout):
        return "its strategy was edited, and the rollout begins anew"
    if rollout.by_hand.full_by:
        return f"it is being promoted in full, as asked {rollout.by_hand.full_by}"
    if intent.step is not None and intent.step != rollout.step:
        return f"it is at step {rollout.step} by now"
    return ""


def _of_rollout(check: Callable[[Observation, Rollout], str]) -> Callable[[Observation, Intent], str]:
    """A check of a rollout against which nothing else speaks."""

    def refuses(seen: Observation, intent: Intent) -> str:
        why, rollout = _refuses_any_move(seen, intent), seen.recorded.rollout
        return why if why or rollout is None else check(seen, rollout)

    return refuses


def _has_no_approval_to_give(seen: Observation, rollout: Rollout) -> str:
    strategy, by_hand = seen.spec.strategy, rollout.by_hand
    pause = strategy.pause_at(rollout.step)
    is_asked = strategy.wants_approval(rollout.step) or signature_to_approve(seen, rollout) is not None
    if not is_asked and (pause is None or pause.duration is not None):
        return "that step asks for no approval"
    return f"it was approved before, {by_hand.approved_by}" if by_hand.approved == rollout.step else ""


def _has_no_time_left(seen: Observation, rollout: Rollout) -> str:
    strategy, step = seen.spec.strategy, rollout.step
    if rollout.by_hand.skipped == step:
        return "it was skipped before"
    pause = strategy.pause_at(step)
    is_open = pause is not None and pause.duration is None
    left = rollout.step_started_at + strategy.lasting(step) - seen.now
    return "" if is_open or left > timedelta() else "that step has no time that is left to wait for"


def _has_all_traffic(seen: Observation, rollout: Rollout) -> str:
    if rollout.step >= seen.spec.strategy.step_of_all:
        return "it has all the requests; promote-full ends the rollout without waiting for evidence"
    by_hand = rollout.by_hand
    return f"it was promoted before, {by_hand.promoted_by}" if by_hand.promoted == rollout.step else ""


REFUSALS: Mapping[Control, Callable[[Observation, Intent], str]] = {
    Control.ABORT: _refuses_abort,
    Control.RETRY: _refuses_retry,
    Control.RESTART: _refuses_restart,
    Control.PROMOTE_FULL: _refuses_any_move,
    Control.PROMOTE: _of_rollout(_has_all_traffic),
    Control.APPROVE: _of_rollout(_has_no_approval_to_give),
    Control.SKIP: _of_rollout(_has_no_time_left),
}
"""What speaks against each control, as a sentence; empty where nothing does."""
