"""One PodDisruptionBudget over each revision's pods. It comes after all else, and nothing rests on it. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from tidegate.model import actions
from tidegate.model.actions import Action
from tidegate.model.decision import Decision
from tidegate.model.disruption import DisruptionBudgets
from tidegate.model.observation import Observation


def with_budgets(seen: Observation, decision: Decision) -> Decision:
    """The decision, and after its writes those of our budgets."""
    if seen.budgets is None:
        return decision
    going = {action.revision for action in decision.actions if isinstance(action, actions.DeleteWorkload)}
    covered = {state.name for state in seen.revisions.values() if state.replicas is not None} - going
    writes = _writes(seen.budgets, {name for name in covered if seen.budgets.wanted and not _has_another(seen, name)})
    return replace(decision, actions=(*decision.actions, *writes))


def _has_another(seen: Observation, revision: str) -> bool:
    return seen.budgets is not None and bool(seen.budgets.others.get(revision))


def _writes(budgets: DisruptionBudgets, covered: set[str]) -> Iterator[Action]:
    yield from (actions.DeleteBudget(name) for name in sorted(budgets.ours.keys() - covered))
    yield from (actions.EnsureBudget(name) for name in sorted(covered) if not budgets.ours.get(name))
