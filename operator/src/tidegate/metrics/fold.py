"""All that is kept of one rollout's evidence. Nothing of it grows while the rollout lasts. PURE."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.judge.sequential_test import SequentialTest
from tidegate.metrics.accumulate import DetailsFold, TrafficFold
from tidegate.metrics.baseline import Baseline
from tidegate.model.evidence import MetricsGap


@dataclass
class Fold:
    """A rollout's test, and how far its sources have been read. Without a `baseline` the test is a provisional one."""

    identity: tuple[str, datetime]
    """The candidate, and when its rollout began."""
    test: SequentialTest
    counted_by: str = ""
    """Who counts its traffic."""
    baseline: Baseline | None = None
    traffic: TrafficFold = field(default_factory=TrafficFold)
    details: DetailsFold = field(default_factory=DetailsFold)
    since: tuple[TrafficFold, DetailsFold] = field(default_factory=lambda: (TrafficFold(), DetailsFold()))
    """Where its evidence begins: at the candidate's first request, or where the analysis was edited."""
    traffic_doubt: MetricsGap | None = None
    details_doubt: MetricsGap | None = None
    """Why what was read last can't be believed."""
    behind: timedelta = timedelta()
    """How much more of the details is read, as not everybody who answers is equally far."""
    differed: tuple[datetime, MetricsGap] | None = None
    """When two who answered last had seen different processes."""
    traffic_to_reread: bool = False
    details_to_reread: bool = False
    since_to_reread: bool = False
    """Whether it has been taken up again, and the counters at the points that were folded last are still unknown."""
    written_at: datetime | None = None
    """When it was written down last, or begun."""
