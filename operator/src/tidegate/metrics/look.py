"""What is asked of a rollout's measurements, and what comes of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tidegate.judge.case import Criteria
from tidegate.judge.sampling import Segment, segments
from tidegate.judge.sequential_test import SequentialTest
from tidegate.metrics.accumulate import ReadyPods
from tidegate.metrics.checkpoint import Kept
from tidegate.model.evidence import Measurements
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout
from tidegate.model.traffic import NO_ROUTE, Arms, RouteState

NO_PODS = ReadyPods()


@dataclass(frozen=True)
class Look:
    """What is asked for: a rollout's measurements up to `until`, and what its test is made with."""

    arms: Arms
    rollout: Rollout
    spec: ModelDeploymentSpec
    criteria: Criteria
    propagation_delay: timedelta
    until: datetime
    pods: ReadyPods = NO_PODS
    """Of both arms, as the cluster knows them."""
    route: RouteState = NO_ROUTE
    """By which the requests come."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Each time of constant split, as its counters are read."""
        return segments(self.rollout.shifts, self.criteria.analysis.interval, self.propagation_delay, self.until)


class Measured(NamedTuple):
    """A rollout's test, brought up to date, and what else was seen."""

    test: SequentialTest
    measurements: Measurements
    checkpoint: Kept | None = None
    """To be kept for an operator that is restarted, once in a while; it is given back to `MetricsCollector`."""
