"""All that is kept of one rollout's evidence. Nothing of it grows while the rollout lasts. PURE."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics.accumulate import DetailsFold, TrafficFold
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.record import Asked, Recorder, Said
from tidegate.model.evidence import Increment, MetricsGap


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
    recorder: Recorder = field(default_factory=Recorder)
    """What its test was given."""

    @classmethod
    def begun(cls, identity: tuple[str, datetime], parameters: SequentialTestParameters) -> "Fold":
        """Of a rollout of which nothing has been read yet."""
        fold = cls(identity, SequentialTest(parameters))
        fold.recorder.began(fold.test)
        return fold

    def begin(self, parameters: SequentialTestParameters) -> None:
        """A test without evidence takes the place of its test."""
        self.test = SequentialTest(parameters)
        self.recorder.began(self.test)

    def edit(self, parameters: SequentialTestParameters) -> None:
        """Its test goes on with these, which differ in nothing that it tests."""
        if parameters != self.test.parameters:
            self.test.parameters = parameters
            self.recorder.edited(self.test)

    def take_traffic(self, source: str, increment: Increment) -> None:
        """Gives its test what was counted, and records that it was. `source` is `record.PROMETHEUS` or `ROUTERS`."""
        self.test.update_traffic(increment)
        self.recorder.traffic(source, increment, self.test)

    def take_details(self, source: str, increment: Increment) -> None:
        """The same for the details."""
        self.test.update_details(increment)
        self.recorder.details(source, increment, self.test)

    def take_whole(self, source: str, increment: Increment) -> None:
        """The same for traffic and details that were counted at one time."""
        self.test.update(increment)
        self.recorder.whole(source, increment, self.test)

    def say(self, at: datetime, asked: Asked, said: Said) -> None:
        """Records what was said of all that its test was given."""
        self.recorder.looked(at, asked, said, self.test)
