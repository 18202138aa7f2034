"""What is to be done, as data. Every action is absolute and idempotent, and their order is part of the decision."""

from dataclasses import dataclass
from datetime import timedelta

from tidegate.model.status import Status
from tidegate.model.traffic import TrafficSplit


@dataclass(frozen=True)
class EnsureRevision:
    """Its snapshot, Service and Deployment exist; nothing of what exists is changed."""

    revision: str
    replicas: int


@dataclass(frozen=True)
class ScaleRevision:
    """Its Deployment wants this many pods."""

    revision: str
    replicas: int


@dataclass(frozen=True)
class PinModel:
    """From now on its pods take the model with this digest only, and its other files, if any, with theirs."""

    revision: str
    sha256: str
    files_sha256: str | None = None


@dataclass(frozen=True)
class ShiftTraffic:
    """The route is this split."""

    split: TrafficSplit


@dataclass(frozen=True)
class RecordStatus:
    """The ModelDeployment's status is this."""

    status: Status


@dataclass(frozen=True)
class DeleteWorkload:
    """Its pods and its Service go; its snapshot stays, to go back to."""

    revision: str


@dataclass(frozen=True)
class DeleteSnapshot:
    """Its snapshot goes too."""

    revision: str


Action = EnsureRevision | ScaleRevision | PinModel | ShiftTraffic | RecordStatus | DeleteWorkload | DeleteSnapshot


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event. Only changes are announced."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Decision:
    """The whole next status, what to do in order, what to announce, and when to look again (None: on events only)."""

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None
