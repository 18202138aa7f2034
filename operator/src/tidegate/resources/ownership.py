"""Whose an object is, by its controller's uid: labels are copied, names are used again, a uid is neither. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tidegate.errors import NameTaken, PredecessorRemains, WriteRefused
from tidegate.resources.names import MODEL_DEPLOYMENT


class Owner(NamedTuple):
    """A ModelDeployment: its deletion deletes what is written for it."""

    namespace: str
    name: str
    uid: str


class Controller(NamedTuple):
    """The one owner that manages an object."""

    kind: str
    name: str
    uid: str


def controller_of(manifest: Mapping[str, Any]) -> Controller | None:
    """None for an object that nobody manages."""
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return Controller(str(reference["kind"]), str(reference["name"]), str(reference["uid"]))
    return None


def is_managed_by(controller: Controller | None, owner: Owner) -> bool:
    """Whether that ModelDeployment manages it, and not one that had its name before."""
    return controller is not None and controller.uid == owner.uid


def is_orphan(manifest: Mapping[str, Any], owner: Owner) -> bool:
    """Whether it bears a ModelDeployment's label and nobody manages it: a backup tool restored it, or
    `kubectl delete --cascade=orphan` left it. As Kubernetes' own controllers do, its ModelDeployment takes it up again.
    """
    labels = manifest["metadata"].get("labels") or {}
    return labels.get(MODEL_DEPLOYMENT) == owner.name and controller_of(manifest) is None


def refusal(kind: str, name: str, controller: Controller | None, model_deployment: str) -> WriteRefused:
    """Why an object under a name that we need, whose controller isn't ours, is left as it is."""
    what = f"{kind} {name}"
    if controller is not None and (controller.kind, controller.name) == ("ModelDeployment", model_deployment):
        return PredecessorRemains(
            f"{what} belongs to an earlier ModelDeployment {model_deployment} (uid {controller.uid}); it is made anew "
            "when Kubernetes' garbage collector has removed it",
            409,
        )
    whose = f"belongs to {controller.kind} {controller.name}" if controller else "isn't Tidegate's"
    return NameTaken(
        f"{what} is there already and {whose}; delete it or rename it, or give the ModelDeployment another name",
        409,
    )
