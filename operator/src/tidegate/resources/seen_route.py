"""What is kept of anybody's route, whatever its kind: a split, who wrote it, and what of it is lent. Pure."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from tidegate.model.traffic import TrafficSplit, Writer
from tidegate.model.units import parse_duration
from tidegate.resources.last_writer import read_editor, read_last_manager, read_version
from tidegate.resources.lent_rule import Loan, read_loans
from tidegate.resources.names import LEAVING, MODEL_DEPLOYMENT, labels
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import Manifest
from tidegate.resources.revision import owner as owner_reference

S = TypeVar("S", bound="SeenObject")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """The part that all kinds of routes have."""

    namespace: str
    name: str
    belongs_to: str
    """The ModelDeployment by its label; empty for none."""
    created_at: str
    loans: Mapping[str, Loan]
    """Its rules that ModelDeployments have, by name."""
    annotations: frozenset[str]
    """The names of those that it has."""
    version: str = field(compare=False)
    """Controllers write into its status as they like, so a version alone is no news."""
    writer: Writer | None
    edited_by: str
    """Who else wrote the spec of a route of ours."""
    written_by: str
    """Who wrote the spec last."""
    leaving: frozenset[str]
    """Revisions of a route of ours that are listed at 0 for a while."""

    @property
    def age(self) -> tuple[str, str, str]:
        """By which the older of two comes first."""
        return self.created_at, self.namespace, self.name


def object_fields(body: Mapping[str, Any], backends: Collection[tuple[str, int]]) -> dict[str, Any]:
    """The fields of a SeenObject, whose own backends would be these.

    Raises KeyError, TypeError or AttributeError on an object of another shape.
    """
    metadata = body["metadata"]
    version, writer = read_version(body)
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "belongs_to": (metadata.get("labels") or {}).get(MODEL_DEPLOYMENT, ""),
        "created_at": str(metadata.get("creationTimestamp") or ""),
        "loans": read_loans(metadata.get("annotations") or {}),
        "annotations": frozenset(metadata.get("annotations") or ()),
        "version": version,
        "writer": writer,
        "edited_by": read_editor(body),
        "written_by": read_last_manager(body),
        "leaving": _leaving_of(body, backends),
    }


def metadata_of_ours(name: str, owner: Owner, leaving: Collection[str]) -> Manifest:
    """Of a route of ours, which may have another name than its ModelDeployment."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": labels(owner.name),
        "annotations": {LEAVING: ",".join(sorted(leaving))} if leaving else {},
        "ownerReferences": owner_reference(owner.name, owner.uid),
    }


def _leaving_of(body: Mapping[str, Any], backends: Collection[tuple[str, int]]) -> frozenset[str]:
    """Revisions that the route's annotation names and that are listed at 0."""
    told = (body["metadata"].get("annotations") or {}).get(LEAVING, "")
    return frozenset(name for name in told.split(",") if (name, 0) in backends)


def older_ones(ours: S, everybody: Iterable[S]) -> list[S]:
    """Other ModelDeployments' routes that were there before, the oldest first."""
    return sorted((each for each in everybody if each.belongs_to and each.age < ours.age), key=lambda each: each.age)


def read_timeout(text: str) -> timedelta | None:
    """None where it isn't in whole seconds: Istio and the Gateway API have milliseconds, too; we don't write any."""
    try:
        return parse_duration(text)
    except ValueError:
        return None


def split_of(backends: Sequence[tuple[str, int]], leaving: Collection[str] = ()) -> TrafficSplit | None:
    """Weights as percent that add to 100, whatever they add to; None where nobody has any, or one is named twice."""
    weights = [(name, weight) for name, weight in backends if name not in leaving]
    total = sum(weight for _, weight in weights)
    if total == 0 or len(dict(weights)) < len(weights):
        return None
    parts = {name: 100 * weight / total for name, weight in weights}
    percent = {name: math.floor(part) for name, part in parts.items()}
    for name in sorted(parts, key=lambda each: percent[each] - parts[each])[: 100 - sum(percent.values())]:
        percent[name] += 1
    return TrafficSplit(tuple(percent.items()))
