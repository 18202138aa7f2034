"""Whether the spec goes back to a revision that was stable a short while ago. Pure: the history knows."""

from datetime import datetime

from tidegate.model.observation import Observation
from tidegate.model.reasons import Outcome


def left_stable_at(seen: Observation) -> datetime | None:
    """When the desired revision gave way, if that was within `rollbackWindow`, and it wasn't rolled back since.

    A revision that was promoted and then rolled back in a later try is judged like any other.
    """
    for entry in seen.recorded.history:
        if entry.outcome == Outcome.PROMOTED and entry.stable == seen.desired:
            recent = seen.now - entry.finished_at < seen.spec.rollback_window
            return entry.finished_at if recent else None
        if entry.outcome == Outcome.ROLLED_BACK and entry.revision == seen.desired:
            return None
    return None
