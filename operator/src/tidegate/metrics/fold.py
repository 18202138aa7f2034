"""All that is kept of one rollout's evidence. Nothing of it grows while the rollout lasts. PURE."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics.accumulate import DetailsFold, TrafficFold
from tidegate.metrics.agreement import Agreement
from tidegate.metrics.baseline import Baseline
from tidegate.metrics.increments import Process
from tidegate.metrics.record import Asked, Counted, Recorder, Said
from tidegate.metrics.user_queries import Answers
from tidegate.model.evidence import MetricsGap
from tidegate.model.inputs import InputsSeen

MOST_KEPT = 240
"""Increments that are kept until stable's baseline is known; of a rollout that is older, the newest."""


@dataclass(frozen=True)
class ByPrometheus:
    """What Prometheus told last beside what was read directly."""

    at: datetime
    missing: tuple[MetricsGap, ...] = ()
    answers: Answers = ()
    inputs: InputsSeen | None = None


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
    is_direct: bool = False
    """Whether routers have been read directly: from then on all is folded reading by reading, whoever tells it."""
    latency_by_routers: bool = False
    """Whose latency is judged, from the rollout's begin to its end: the routers', or the model servers'."""
    provisional: Baseline | None = None
    """What is known of stable without Prometheus, once routers have been read directly."""
    kept: list[Counted] = field(default_factory=list)
    """All increments since its evidence began, while they may have to be judged again."""
    by_prometheus: ByPrometheus | None = None
    known_as: Mapping[str, Process] = field(default_factory=dict)
    """The routers by their pods' names and addresses, as it was when one of them answered last."""
    covered: frozenset[str] = frozenset()
    """The silent routers whose counters Prometheus has."""
    compared_at: datetime | None = None
    """When Prometheus' counts were held against the routers' own."""
    agreement: Agreement = field(default_factory=Agreement)
    lock: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while anything of it is changed, and never while somebody is asked."""

    @classmethod
    def begun(cls, identity: tuple[str, datetime], parameters: SequentialTestParameters) -> "Fold":
        """Of a rollout of which nothing has been read yet."""
        fold = cls(identity, SequentialTest(parameters))
        fold.recorder.began(fold.test)
        return fold

    def begin(self, parameters: SequentialTestParameters) -> None:
        """A test without evidence takes the place of its test."""
        self.test, self.kept = SequentialTest(parameters), []
        self.recorder.began(self.test)

    def judge_again(self, parameters: SequentialTestParameters) -> None:
        """A test with these parameters takes the place of its test, with all that was kept."""
        kept = self.kept
        self.begin(parameters)
        for counted in kept:
            self._give(counted)

    def edit(self, parameters: SequentialTestParameters) -> None:
        """Its test goes on with these, which differ in nothing that it tests."""
        if parameters != self.test.parameters:
            self.test.parameters = parameters
            self.recorder.edited(self.test)

    def take(self, counted: Counted) -> None:
        """Gives its test what was counted, and records that it was."""
        self._give(counted)
        if self.baseline is None:
            self.kept.append(counted)
            del self.kept[:-MOST_KEPT]

    def say(self, at: datetime, asked: Asked, said: Said) -> None:
        """Records what was said of all that its test was given."""
        self.recorder.looked(at, asked, said, self.test)

    def _give(self, counted: Counted) -> None:
        counted.give_to(self.test)
        self.recorder.counted(counted, self.test)
