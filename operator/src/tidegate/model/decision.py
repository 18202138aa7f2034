"""What follows from an Observation: the next status, what to do in order, whom to tell, and when to look again."""

from dataclasses import dataclass
from datetime import timedelta

from tidegate.model.actions import Action
from tidegate.model.control import GivenControl
from tidegate.model.reasons import StatusMessage
from tidegate.model.status import Status


@dataclass(frozen=True)
class Event(StatusMessage):
    """A Kubernetes Event. Only changes are told."""

    warning: bool = False


@dataclass(frozen=True)
class Decision:
    """The whole next status, the actions in the order to perform, and the Events that tell of it."""

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None
    """When to reconcile again; None: on events only."""
    handled: tuple[GivenControl, ...] = ()
    """What people asked for that is done, or refused: its annotations go, once that has been recorded and told."""
