"""Whether the Prometheis behind one address see the same: one that lacks what another just had doesn't. PURE."""

from datetime import datetime

from tidegate.metrics.increments import Process, Sample
from tidegate.metrics.provider import STALE
from tidegate.model.evidence import MetricsGap
from tidegate.model.reasons import Reason


def vanished(before: Sample, after: Sample, at: datetime) -> frozenset[Process]:
    """The processes that were counted so shortly before `at` that whoever answers has to know them, and doesn't."""
    since = at.timestamp() - STALE.total_seconds()
    return frozenset(key.owner for key, counted in before.items() if counted.at > since) - {key.owner for key in after}


def replicas_differ(before: Sample, after: Sample, at: datetime, who: str) -> MetricsGap | None:
    """What to say where they don't see the same; None where they do."""
    gone = sorted(process.name for process in vanished(before, after, at))
    if not gone or not after:
        return None
    return MetricsGap(
        Reason.PROMETHEUS_REPLICAS_DIFFER,
        f"the Prometheis behind prometheus.url see different {who}: the last answer lacks {', '.join(gone[:3])}"
        f"{' and others' if len(gone) > 3 else ''}, which the one before had; let the address be of one that has all",
    )
