"""What the judge is given, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple

from tidegate.model.inputs import InputsSeen
from tidegate.model.reasons import StatusMessage


@dataclass(frozen=True)
class Durations:
    """A latency histogram: `cumulative[i]` requests took at most `bounds[i]` seconds; the last bound is infinity."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]

    @property
    def total(self) -> int:
        """Requests in the histogram."""
        return self.cumulative[-1] if self.cumulative else 0

    def slower_than(self, bound_index: int) -> int:
        """Requests that took longer than `bounds[bound_index]`."""
        return self.total - self.cumulative[bound_index]

    def __add__(self, other: "Durations") -> "Durations":
        if not self.bounds or not other.bounds:
            return other if not self.bounds else self
        if self.bounds != other.bounds:
            raise ValueError("two histograms with different buckets can't be added")
        return Durations(self.bounds, tuple(a + b for a, b in zip(self.cumulative, other.cumulative, strict=True)))


NO_DURATIONS = Durations((), ())


@dataclass(frozen=True)
class Predictions:
    """What was answered: rows per class, and a histogram of the top scores; empty where there is no such thing."""

    classes: Mapping[str, int] = field(default_factory=dict)
    scores: Durations = NO_DURATIONS

    def __add__(self, other: "Predictions") -> "Predictions":
        classes = {
            name: self.classes.get(name, 0) + other.classes.get(name, 0) for name in {*self.classes, *other.classes}
        }
        return Predictions(classes, self.scores + other.scores)


NO_PREDICTIONS = Predictions()


class CellCounts(NamedTuple):
    """What one arm did in one cell (see `model.slices`): requests that were answered, and how many of them failed."""

    requests: int
    failed: int

    def plus(self, other: "CellCounts") -> "CellCounts":
        """Of both together."""
        return CellCounts(self.requests + other.requests, self.failed + other.failed)


Cells = Mapping[str, CellCounts]
IDLE = CellCounts(0, 0)


def both_cells(one: Cells, other: Cells) -> Cells:
    """Their sum, cell by cell."""
    if not one or not other:
        return one or other
    return {cell: one.get(cell, IDLE).plus(other.get(cell, IDLE)) for cell in {**one, **other}}


@dataclass(frozen=True)
class Counts:
    """What one arm did: requests finished, how many of them failed, how long they took, what was answered.

    `abandoned` is how many of those that failed got no answer before their clients gave up. `cells` is the same of
    groups of requests that are judged by themselves, without those.
    """

    requests: int = 0
    failed: int = 0
    durations: Durations = NO_DURATIONS
    predictions: Predictions = NO_PREDICTIONS
    abandoned: int = 0
    cells: Cells = field(default_factory=dict)

    @property
    def traffic(self) -> "Counts":
        """Without what only the model servers tell."""
        return Counts(self.requests, self.failed, abandoned=self.abandoned, cells=self.cells)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            self.failed + other.failed,
            self.durations + other.durations,
            self.predictions + other.predictions,
            self.abandoned + other.abandoned,
            both_cells(self.cells, other.cells),
        )


class Load(NamedTuple):
    """The share of all requests that one pod of each arm gets, by the split and the pods that there are."""

    stable: float
    candidate: float

    @classmethod
    def of(cls, weight: int, stable_pods: int, candidate_pods: int, mirror: int = 0) -> "Load | None":
        """At `weight` percent for the candidate, and copies of `mirror` percent; None where an arm has no pods or no
        requests."""
        asked = weight + mirror
        if weight == 100 or not asked or not stable_pods or not candidate_pods:
            return None
        return cls((1 - weight / 100) / stable_pods, asked / 100 / candidate_pods)


class PodTraffic(NamedTuple):
    """What a pod of an arm answered on average, and in how many seconds."""

    seconds: float = 0.0
    requests: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def plus(self, other: "PodTraffic") -> "PodTraffic":
        """Of both times together."""
        return PodTraffic(self.seconds + other.seconds, self.requests + other.requests)


@dataclass(frozen=True)
class Increment:
    """What both arms did between two points of time, between which the split was constant.

    `pods` are the candidate's pods by name, as their own servers counted. `concurrent` says whether the split gave
    stable a share as well; where it didn't, the candidate can only be held against the time before.
    """

    until: datetime
    stable: Counts
    candidate: Counts
    pods: Mapping[str, Counts] = field(default_factory=dict)
    concurrent: bool = True
    load: Load | None = None
    """None where it isn't known, or latency isn't part of the increment."""
    since: datetime | None = None
    """When it began, of a source that is read at any time; None of one that is read at points of a grid."""
    pod_traffic: PodTraffic | None = None
    """What a pod of the candidate answered on average; None where it isn't known, or latency isn't part of it."""

    @property
    def lasted(self) -> timedelta | None:
        """How long it is, as far as that is known."""
        return None if self.since is None else self.until - self.since


@dataclass(frozen=True)
class Spread:
    """How much luck a pod has with its node: σ of the logarithm of its rate, as so many pods of stable tell it."""

    sigma: float = 0.0
    pods: int = 1


ALIKE = Spread()


class LatencyBlock(NamedTuple):
    """What stable's pods answered in one block of time: requests per second and pod, all requests, and those of them
    that were slow at each percentile."""

    rate: float
    requests: int
    slow: Mapping[int, int]


@dataclass(frozen=True)
class Overdispersion:
    """How many bad requests come in one clump: of errors, and of slow requests at each percentile. 1 is by chance.

    `latency_over_time` is that of all pods together from one time to another of about the same load, which two arms at
    one time share; `latency_blocks` are those times. `spread` and `latency_spread` say how much stable's pods differ
    for good.
    """

    errors: float = 1.0
    latency: Mapping[int, float] = field(default_factory=dict)
    latency_over_time: Mapping[int, float] = field(default_factory=dict)
    spread: Spread = ALIKE
    latency_spread: Mapping[int, Spread] = field(default_factory=dict)
    noisy: str = ""
    """A sentence where a pod of stable looks worse than the others; '' where none does."""
    latency_blocks: tuple[LatencyBlock, ...] = ()
    errors_over_time: float = 1.0
    """That of errors of all pods together from one time to the next: what one user does is spread over pods."""
    users: float = 0.0
    """How far a revision's rate may lie off by the users that it happens to have, where they stay with it
    (`judge.users`); 0 where requests are drawn one by one."""


BY_CHANCE = Overdispersion()


@dataclass(frozen=True)
class BaselineTraffic:
    """Today's traffic of one revision: requests per second, the share that fails, and how long they take."""

    rate: float
    failed: float
    durations: Durations = NO_DURATIONS
    read_directly: bool = False
    """Whether its routers tell what they count about each second."""


@dataclass(frozen=True)
class QueryAnswer:
    """What a user's own query said at the last two points, oldest first; none where it didn't give one finite number.

    `failure` says why it didn't.
    """

    name: str
    values: tuple[float, ...] = ()
    failure: str = ""
    pending: bool = False
    """Whether it is still to be asked as often as it takes to judge by it."""
    polls: int = 0
    failed: int = 0
    inconclusive: int = 0
    """Of a query with a limit: how many polls were counted, how many of them were beyond what is allowed, and how many
    gave no number."""
    counted_until: datetime | None = None


class QueryState(StrEnum):
    """What a user's own query has come to, as an analysis run of Argo Rollouts names it."""

    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    """It gives no single finite number."""
    PENDING = "Pending"
    """It is still to be asked."""


@dataclass(frozen=True)
class QueryResult:
    """A user's own query held against its limits. `value` is the last one, None where there is none."""

    name: str
    state: QueryState
    message: str
    value: float | None = None
    dry_run: bool = False


class MetricsGap(StatusMessage):
    """Why something can't be measured; the sentence says what to do."""


@dataclass(frozen=True)
class Measurements:
    """All that could be seen of a rollout.

    `reference` is stable's latency from before the first increment. `exposed` is all that the candidate has answered,
    also around a shift, where nothing is judged.
    """

    increments: tuple[Increment, ...]
    reference: Durations = NO_DURATIONS
    exposed: Counts = Counts()
    overdispersion: Overdispersion = BY_CHANCE
    answers: tuple[QueryAnswer, ...] = ()
    """Of the user's own queries, about the candidate."""
    shadowed: Counts = Counts()
    """What the candidate has answered to copies of requests: nobody got it, and none of it is in `exposed`."""
    matched: int = 0
    """How many of its requests came by a step's rules: of people who were chosen, not drawn."""
    baseline: BaselineTraffic | None = None
    """Stable's traffic, told while the candidate has none."""
    before: Counts = Counts()
    """What stable answered before the first increment, for those without it: requests and failures of half an hour,
    predictions since its pods began."""
    points_apart: int = 0
    """The increments in which each arm's traffic is read once; 0 where both are read at the same time."""
    missing: tuple[MetricsGap, ...] = ()
    """Why an input of its own can't be seen, such as latency; the increments tell what the others saw."""
    read_from: str = ""
    """Where the counters were read, as a sentence ends; '' where nothing is said of it."""
    inputs: InputsSeen | None = None
    """What the candidate is asked, beside its training; None where that isn't looked at, or can't be seen."""


class Answer(Enum):
    """The four answers. Only ACCEPTABLE advances, only WORSE rolls back."""

    WORSE = "Worse"
    ACCEPTABLE = "Acceptable"
    NOT_ENOUGH = "NotEnoughEvidence"
    CANNOT_SEE = "CannotSee"


@dataclass(frozen=True)
class Evidence:
    """Two e-values and the thresholds that they are held against (Ville's inequality bounds the mistakes)."""

    worse: float
    worse_needed: float
    acceptable: float
    acceptable_needed: float


@dataclass(frozen=True)
class Verdict:
    """An answer with its reasons. `evidence` is None where nothing could be seen."""

    answer: Answer
    reason: str
    message: str
    evidence: Evidence | None = None
    per_metric: tuple[tuple[str, float, float], ...] = ()
    """(metric, e-value for worse, e-value for acceptable), for the operator's own gauges."""
    exposed: Counts = Counts()
    """All that the candidate has answered so far."""
    shadowed: Counts = Counts()
    """What it has answered to copies, for nobody; not in `exposed`."""
    caution: str = ""
    """What makes the judge's work harder than it should be; '' where nothing does."""
    baseline: BaselineTraffic | None = None
    """Stable's traffic, before the candidate has any."""
    queries: tuple[QueryResult, ...] = ()
    """What the user's own queries have come to, in the spec's order."""
    inputs: InputsSeen | None = None
    """What the candidate is asked, beside its training."""


def total(counts: Sequence[Counts]) -> Counts:
    """The sum over increments or series."""
    result = Counts()
    for each in counts:
        result = result + each
    return result
