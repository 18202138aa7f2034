"""Whether a rollout still stands where its strategy says. Pure."""

from tidegate.model.spec import Canary, Strategy
from tidegate.model.status import Rollout


def fits(strategy: Strategy, rollout: Rollout) -> bool:
    """Whether the step that was granted carries the weight that was granted with it.

    After an edit of the strategy its number may stand for more traffic than any verdict allowed.
    """
    step = rollout.step
    wanted = strategy.weight_at(step), strategy.mirror_at(step), bool(strategy.rules_at(step))
    if (rollout.granted, rollout.mirrored, rollout.is_matched) != wanted:
        return False
    if not isinstance(strategy, Canary) or step <= len(strategy.steps):
        return True
    # A blue-green switch is step 2 too, and had no smaller weight before it.
    return bool(rollout.by_hand.full_by) or any(shift.weight < 100 for shift in rollout.shifts)
