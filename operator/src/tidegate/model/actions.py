"""What is to be done, as data. Every action is absolute and idempotent: "the split is 75/25", never "add 25"."""

from dataclasses import dataclass
from datetime import datetime

from tidegate.model.status import Status
from tidegate.model.traffic import TrafficSplit


@dataclass(frozen=True)
class OfRevision:
    """An action on what the cluster has of one revision."""

    revision: str


@dataclass(frozen=True)
class EnsureRevision(OfRevision):
    """Its snapshot, Service and Deployment exist; of what exists only a Service that leads elsewhere is changed."""

    replicas: int


@dataclass(frozen=True)
class EnsureClientServices:
    """The Services by which clients find the model exist and lead to the router."""


@dataclass(frozen=True)
class ScaleRevision(OfRevision):
    """Its Deployment wants this many pods."""

    replicas: int


@dataclass(frozen=True)
class RestartRevision(OfRevision):
    """Its pods are younger than `at`: Kubernetes replaces them, a few at a time."""

    at: datetime


@dataclass(frozen=True)
class PinModel(OfRevision):
    """From now on its pods take the model with this digest only, and its other files, if any, with theirs."""

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
class DeleteWorkload(OfRevision):
    """Its pods and its Service go; its snapshot stays, to go back to."""


@dataclass(frozen=True)
class DeleteSnapshot(OfRevision):
    """Its snapshot goes too."""


@dataclass(frozen=True)
class EnsureBudget(OfRevision):
    """A PodDisruptionBudget is over its pods."""


@dataclass(frozen=True)
class DeleteBudget(OfRevision):
    """Ours goes: its pods have gone, or another is over them."""


Action = (
    EnsureRevision
    | EnsureClientServices
    | ScaleRevision
    | RestartRevision
    | PinModel
    | ShiftTraffic
    | RecordStatus
    | DeleteWorkload
    | DeleteSnapshot
    | EnsureBudget
    | DeleteBudget
)
