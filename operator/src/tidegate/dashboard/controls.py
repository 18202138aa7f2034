"""What a person may ask of a rollout on its page: which controls make sense now, and what each will do. Pure.

What is written, and the sentence that says what follows, are the command line's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.cli.common.errors import NotDone
from tidegate.cli.control.requests import Person, Request, of_control, of_pause, of_undo
from tidegate.model.control import Control
from tidegate.view.rollout_view import Role, RolloutView


class Action(StrEnum):
    """In the order in which a page has them: what is asked for in a hurry comes first."""

    ABORT = "abort"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    SKIP = "skip"
    PROMOTE = "promote"
    PROMOTE_FULL = "promote-full"
    RETRY = "retry"
    UNDO = "undo"
    RESTART = "restart"

    @property
    def label(self) -> str:
        """On its button."""
        return _LABELS[self]

    @property
    def colour(self) -> str:
        """Of its button: an abort is to be found at once, and what goes without a verdict isn't to be taken lightly."""
        if self is Action.ABORT:
            return "danger"
        return "grave" if self in (Action.PROMOTE, Action.PROMOTE_FULL, Action.UNDO) else "first"


_LABELS: Mapping[Action, str] = {
    Action.ABORT: "Abort",
    Action.PAUSE: "Pause",
    Action.RESUME: "Resume",
    Action.APPROVE: "Approve",
    Action.SKIP: "Skip the wait",
    Action.PROMOTE: "Promote a step",
    Action.PROMOTE_FULL: "Promote fully",
    Action.RETRY: "Retry",
    Action.UNDO: "Undo",
    Action.RESTART: "Restart pods",
}


@dataclass(frozen=True)
class Asked:
    """What a form says: what to do, and about what its reader was looking at."""

    action: Action
    revision: str
    step: str
    why: str = ""

    @classmethod
    def now(cls, action: Action, view: RolloutView) -> "Asked":
        """Of a view as it is."""
        return cls(action, subject(view), "" if view.step is None else str(view.step))

    def is_about(self, view: RolloutView) -> bool:
        """Whether what its reader was looking at is still so."""
        return (self.revision, self.step) == (subject(view), "" if view.step is None else str(view.step))


def subject(view: RolloutView) -> str:
    """The revision that decisions are about now: the candidate, or else the stable one."""
    found = view.revision(Role.CANDIDATE) or view.revision(Role.STABLE)
    return found.name if found else ""


def offered(view: RolloutView) -> list[Action]:
    """Those that make sense now. The operator has the last word on each."""
    moving = view.revision(Role.CANDIDATE) is not None and view.step is not None
    stable = view.revision(Role.STABLE) is not None
    wanted = {
        Action.ABORT: moving and stable,
        Action.PAUSE: not view.paused,
        Action.RESUME: view.paused,
        Action.APPROVE: moving and any(each.number == view.step and each.takes_approval for each in view.steps),
        Action.SKIP: moving and stable,
        Action.PROMOTE: moving and stable,
        Action.PROMOTE_FULL: moving and stable,
        Action.RETRY: bool(view.rejected) and not moving,
        Action.UNDO: stable and not moving and bool(view.history),
        Action.RESTART: stable and not moving,
    }
    return [action for action in Action if wanted[action]]


def request(
    asked: Asked, view: RolloutView, spec: Mapping[str, Any], revisions: Sequence[Mapping[str, Any]], by: str
) -> Request:
    """The patch, and what will follow. Raises NotDone where it makes no sense, or no longer."""
    if not asked.is_about(view):
        raise NotDone(
            f"the page was about {asked.revision or 'no revision'} at step {asked.step or '–'}, and {view.namespace}/"
            f"{view.name} is at {subject(view) or 'no revision'}, step {'–' if view.step is None else view.step} now; "
            "look at it again"
        )
    person = Person(by, asked.why)
    if asked.action in (Action.PAUSE, Action.RESUME):
        return of_pause(view, asked.action is Action.PAUSE, person)
    if asked.action is Action.UNDO:
        return of_undo(view, spec, revisions, None, person)
    return of_control(view, Control(asked.action.value), person)
