"""The PodDisruptionBudget of a revision, and those of others over the same pods. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.model.disruption import DisruptionBudgets, OtherBudget
from tidegate.resources.names import labels, pod_selector
from tidegate.resources.ownership import Controller, Owner, controller_of, is_managed_by
from tidegate.resources.pod_status import is_deleting
from tidegate.resources.revision import Manifest, metadata_of, revision_by_name

FIELDS = ("selector", "maxUnavailable", "minAvailable", "unhealthyPodEvictionPolicy")


def budget_manifest(namespace: str, name: str, uid: str, revision: str) -> Manifest:
    """One pod of a revision at a time. One that isn't ready may always go: it keeps nobody's requests."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata_of(namespace, name, uid, revision),
        "spec": _spec(name, revision),
    }


def _spec(name: str, revision: str) -> Manifest:
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": pod_selector(name, revision)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """What is kept of a PodDisruptionBudget, whosever it is."""

    name: str
    revision: str | None
    """The revision whose name and label it has, as ours do."""
    controller: Controller | None
    deleting: bool
    spec: Mapping[str, Any]
    forbids: str

    def selects(self, pod_labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is under it. An empty selector selects all pods, none at all selects none."""
        selector = self.spec.get("selector")
        if selector is None:
            return False
        equal = (selector.get("matchLabels") or {}).items()
        expressions = selector.get("matchExpressions") or ()
        return all(pod_labels.get(key) == value for key, value in equal) and all(
            _matches(expression, pod_labels) for expression in expressions
        )


def parse_budget(manifest: Manifest) -> DisruptionBudget:
    """What a PodDisruptionBudget selects and allows."""
    spec = manifest["spec"]
    return DisruptionBudget(
        manifest["metadata"]["name"],
        revision_by_name(manifest),
        controller_of(manifest),
        is_deleting(manifest),
        {field: spec[field] for field in FIELDS if field in spec},
        _forbids(spec, manifest.get("status") or {}),
    )


def disruption_budgets(
    owner: Owner, revisions: Iterable[str], found: Iterable[DisruptionBudget], *, wanted: bool
) -> DisruptionBudgets:
    """Sorts the budgets of a namespace by whose they are and what they select."""
    there = [budget for budget in found if not budget.deleting]
    theirs = sorted((each for each in there if _is_another(each)), key=lambda each: each.name)
    # One that a backup tool restored has no controller. It is taken up again where one is wanted, and else left alone.
    ours = {each.revision: each for each in there if each.revision and is_managed_by(each.controller, owner)}
    selecting = {
        revision: tuple(
            OtherBudget(each.name, each.forbids) for each in theirs if each.selects(labels(owner.name, revision))
        )
        for revision in revisions
    }
    return DisruptionBudgets(
        wanted,
        {name: each.spec == _spec(owner.name, name) for name, each in ours.items()},
        {revision: others for revision, others in selecting.items() if others},
    )


def _is_another(budget: DisruptionBudget) -> bool:
    if budget.controller is not None:
        return budget.controller.kind != "ModelDeployment"
    return budget.revision is None


def _matches(expression: Mapping[str, Any], pod_labels: Mapping[str, str]) -> bool:
    value, values = pod_labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _forbids(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """By what it says, or by what comes of that for the pods that there are."""
    if spec.get("maxUnavailable") in (0, "0%"):
        return f"maxUnavailable: {spec['maxUnavailable']}"
    if spec.get("minAvailable") == "100%":
        return "minAvailable: 100%"
    if int(status.get("desiredHealthy", 0)) >= int(status.get("expectedPods", 0)) > 0:
        return f"minAvailable: {spec.get('minAvailable')} of {status['expectedPods']} pods"
    return ""
