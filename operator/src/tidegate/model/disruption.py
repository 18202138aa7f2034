"""PodDisruptionBudgets over a model's pods: how many may be evicted at once, when nodes are drained."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtherBudget:
    """A PodDisruptionBudget over a revision's pods that isn't ours."""

    name: str
    forbids: str
    """What in it forbids every eviction, as people write it; empty where some are allowed."""


@dataclass(frozen=True)
class DisruptionBudgets:
    """What there is of them. Kubernetes evicts no pod that has more than one."""

    wanted: bool
    """Whether revisions are to have one of ours."""
    ours: Mapping[str, bool]
    """Revisions that have one, whether or not they have pods, and whether it is as it should be."""
    others: Mapping[str, tuple[OtherBudget, ...]]
    """By revision, in order of their names; a revision that has none may be left out."""
