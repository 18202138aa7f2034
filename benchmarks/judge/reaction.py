"""How long a bad model answers, by who is asked for the counters and how often. Pure: the generator is an input.

Unlike in the cells, requests come at their own times here, and go through the product's own fold: what a scrape or an
answer shows, what is left out after a shift, and when somebody looks. How long the API server, the routers and the
clients take is the same for all, and measured elsewhere (`make bench-releases`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import NormalDist, median

import numpy as np
from numpy.random import Generator

from benchmarks.judge.tidegate_defaults import MEDIAN
from benchmarks.judge.traffic import Bools, Floats, Ints
from benchmarks.markdown import met, table
from tidegate.judge.sampling import INGESTION_LAG, READ_EVERY, READ_SOON, is_urgent, segments
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics.accumulate import (
    Comparison,
    DetailsFold,
    Reading,
    ReadyPods,
    TrafficFold,
    accumulate_details,
    accumulate_readings,
    accumulate_traffic,
)
from tidegate.metrics.increments import DURATION, FAILED, REQUESTS, Counted, Process, Sample, SeriesKey
from tidegate.model.evidence import Durations
from tidegate.model.spec import Analysis
from tidegate.model.status import Shift
from tidegate.model.traffic import Arms
from tidegate.simulation.synthetic_traffic import BOUNDS, SIGMA

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ARMS = Arms("shop", "digits", "stable", "candidate")
BEFORE, HORIZON = 40.0, 120.0
"""Seconds of traffic before the shift and after it."""
TAKEN = 0.1
"""Seconds until a shift shows in what clients get, forward and back."""
ANSWERED = 0.02
"""Seconds until routers have answered."""
WRITTEN = 0.15
"""Seconds from a verdict to the route that is written."""
PODS = ReadyPods(9, ("candidate-1",))
NORMAL = NormalDist()
LABELS = tuple("+Inf" if np.isinf(bound) else f"{bound:.9g}" for bound in BOUNDS)


@dataclass(frozen=True)
class Bad:
    """A candidate that fails on a share of its requests, or takes some seconds longer for each."""

    title: str
    rate: float
    weight: int
    goal: float
    """Seconds from its first bad answer to its last one, where routers are asked: of half of the runs at most."""
    fails: float = 0.0
    takes_longer: float = 0.0


@dataclass(frozen=True)
class Reader:
    """Who is asked: Prometheus that scrapes every so many seconds, or where that is None the routers themselves."""

    title: str
    scrape: int | None


@dataclass(frozen=True)
class Reaction:
    """Seconds from the first bad answer to the last, and how many there were."""

    seconds: float
    users: int


BAD = (
    Bad("20 % failing at 10 % of 100/s", 100, 10, 3.0, fails=0.2),
    Bad("20 % failing at 10 % of 1,000/s", 1000, 10, 2.0, fails=0.2),
    Bad("+100 ms at 5 % of 100/s", 100, 5, 5.0, takes_longer=0.1),
)
READERS = (
    Reader("routers, each second", None),
    *(Reader(f"Prometheus, {scrape} s", scrape) for scrape in (2, 5, 15, 30)),
)


@dataclass(frozen=True)
class ReactionRow:
    """Of many runs: medians, and what 19 of 20 were within. `goal` is of the median seconds, None where it has none."""

    bad: str
    reader: str
    runs: int
    gone: int
    seconds: float
    most_seconds: float
    users: float
    most_users: int
    goal: float | None

    @property
    def is_good(self) -> bool:
        """Whether it is within its goal."""
        return self.goal is None or (self.gone == self.runs and self.seconds <= self.goal)


def reactions(analysis: Analysis, runs: int, seed: int) -> list[ReactionRow]:
    """Takes a minute or two for a hundred runs."""
    return [
        _row(bad, reader, [react(bad, reader, analysis, np.random.default_rng([seed, run])) for run in range(runs)])
        for bad in BAD
        for reader in READERS
    ]


def reaction_report(rows: Sequence[ReactionRow]) -> str:
    """Markdown."""
    head = ["", "who is asked", "gone after", "19 of 20 within", "users", "19 of 20 at most", "goal"]
    return table([head, *(_told(row) for row in rows)], labels=2)


def _told(row: ReactionRow) -> list[str]:
    if row.gone < row.runs:
        return [row.bad, row.reader, f"{row.gone} of {row.runs} gone", "", "", "", met(row.is_good)]
    goal = "" if row.goal is None else f"{row.goal:g} s: {met(row.is_good)}"
    seconds = f"{row.seconds:.1f} s", f"{row.most_seconds:.1f} s"
    return [row.bad, row.reader, *seconds, f"{row.users:g}", f"{row.most_users}", goal]


def _row(bad: Bad, reader: Reader, found: Sequence[Reaction | None]) -> ReactionRow:
    gone = [each for each in found if each] or [Reaction(math.inf, 0)]
    seconds, users = sorted(each.seconds for each in gone), sorted(each.users for each in gone)
    within = -(-19 * len(gone) // 20) - 1
    figures = median(seconds), seconds[within], float(median(users)), users[within]
    goal = bad.goal if reader.scrape is None else None
    return ReactionRow(bad.title, reader.title, len(found), len([each for each in found if each]), *figures, goal)


@dataclass(frozen=True)
class _Arm:
    """When each request was answered, in seconds since the shift and ascending, whether it failed, and its bucket."""

    answered: Floats
    failed: Bools
    bucket: Ints

    def counted(self, revision: str, owner: Process, at: float) -> Iterator[tuple[SeriesKey, Counted]]:
        """Its counters at a time."""
        until = int(np.searchsorted(self.answered, at))
        when = (BEGAN + timedelta(seconds=at)).timestamp()
        yield SeriesKey(owner, revision, REQUESTS), Counted(until, when)
        yield SeriesKey(owner, revision, FAILED), Counted(int(self.failed[:until].sum()), when)

    def latency(self, revision: str, owner: Process, at: float) -> Iterator[tuple[SeriesKey, Counted]]:
        """Its histogram at a time."""
        until = int(np.searchsorted(self.answered, at))
        within = np.bincount(self.bucket[:until], minlength=len(BOUNDS)).cumsum().tolist()
        when = (BEGAN + timedelta(seconds=at)).timestamp()
        for label, count in zip(LABELS, within, strict=True):
            yield SeriesKey(owner, revision, DURATION, label), Counted(count, when)


def react(bad: Bad, reader: Reader, analysis: Analysis, random: Generator) -> Reaction | None:
    """One release; None where the candidate was still there at the end."""
    share = bad.weight / 100
    stable = _drawn(bad.rate * (1 - share), -BEFORE, 0.0, 0.0, random)
    candidate = _drawn(bad.rate * share, TAKEN, bad.fails, bad.takes_longer, random)
    arms = {ARMS.stable: stable, ARMS.candidate: candidate}
    found = _read_directly(bad, arms, analysis, random) if reader.scrape is None else None
    if reader.scrape is not None:
        found = _scraped(bad, arms, reader.scrape, analysis, random)
    if found is None:
        return None
    wrong = candidate.answered[candidate.failed] if bad.fails else candidate.answered
    seen = wrong[wrong <= found + WRITTEN + TAKEN]
    return Reaction(float(seen[-1] - seen[0]), len(seen)) if len(seen) else None


def _drawn(rate: float, since: float, fails: float, longer: float, random: Generator) -> _Arm:
    count = random.poisson(rate * (HORIZON - since))
    took = MEDIAN * np.exp(SIGMA * random.standard_normal(count)) + longer
    answered = random.uniform(since, HORIZON, count) + took
    order = np.argsort(answered)
    return _Arm(answered[order], random.random(count) < fails, np.searchsorted(BOUNDS, took[order]))


def _test(analysis: Analysis) -> SequentialTest:
    below = [1.0 if math.isinf(bound) else NORMAL.cdf(math.log(bound / MEDIAN) / SIGMA) for bound in BOUNDS]
    known = Durations(tuple(map(float, LABELS)), tuple(round(share * 1e6) for share in below))
    return SequentialTest(SequentialTestParameters(analysis, known))


def _read_directly(bad: Bad, arms: dict[str, _Arm], analysis: Analysis, random: Generator) -> float | None:
    owner, test, fold = Process(pod="router"), _test(analysis), TrafficFold()
    comparison = Comparison(ARMS, BEGAN, test.parameters.reference)
    grid = segments((Shift(BEGAN, bad.weight),), timedelta(seconds=1), timedelta(seconds=1), BEGAN)
    asked = float(random.uniform(-READ_SOON.total_seconds(), 0))
    while asked < HORIZON:
        sample = dict(
            each
            for revision, arm in arms.items()
            for counters in (arm.counted(revision, owner, asked), arm.latency(revision, owner, asked))
            for each in counters
        )
        reading = Reading(BEGAN + timedelta(seconds=asked), sample)
        fold, found = accumulate_readings(fold, comparison, grid, [reading], span=timedelta(seconds=5), pods=PODS)
        for increment in found:
            test.update(increment)
        if test.rejected_at:
            return asked + ANSWERED
        soon = is_urgent(test.last.log_worse, test.increments)
        asked += (READ_SOON if soon else READ_EVERY).total_seconds()
    return None


def _scraped(bad: Bad, arms: dict[str, _Arm], scrape: int, analysis: Analysis, random: Generator) -> float | None:
    """Polls come every `interval`, or as often as it is scraped where that is more often."""
    interval = min(analysis.interval, timedelta(seconds=scrape))
    settles = max(interval, timedelta(seconds=scrape))
    (segment,) = segments((Shift(BEGAN, bad.weight),), interval, settles, BEGAN + timedelta(seconds=HORIZON))
    test = _test(replace(analysis, interval=interval))
    comparison = Comparison(ARMS, BEGAN, test.parameters.reference)
    phases = dict(zip(("router", *arms), random.uniform(0, scrape, 3).tolist(), strict=True))
    traffic, details = TrafficFold(), DetailsFold()
    for index in range(segment.points):
        at = (index * interval).total_seconds()
        traffic, counted = accumulate_traffic(traffic, comparison, segment, index, [_routers(arms, phases, scrape, at)])
        for increment in counted:
            test.update_traffic(increment)
        block, rest = divmod(index, segment.delay_points)
        if not rest:
            sample = _servers(arms, phases, scrape, at)
            details, detailed = accumulate_details(details, comparison, segment, block, [sample])
            for increment in detailed:
                test.update_details(replace(increment, load=None))
        if test.rejected_at:
            return at + INGESTION_LAG.total_seconds() + ANSWERED
    return None


def _routers(arms: dict[str, _Arm], phases: dict[str, float], scrape: int, at: float) -> Sample:
    """One process counts both arms."""
    owner, when = Process(pod="router"), _last_scrape(phases["router"], scrape, at)
    return dict(each for revision, arm in arms.items() for each in arm.counted(revision, owner, when))


def _servers(arms: dict[str, _Arm], phases: dict[str, float], scrape: int, at: float) -> Sample:
    """Each arm's pod counts for itself."""
    return dict(
        each
        for revision, arm in arms.items()
        for each in arm.latency(revision, Process(pod=revision), _last_scrape(phases[revision], scrape, at))
    )


def _last_scrape(phase: float, scrape: int, at: float) -> float:
    return phase + (at - phase) // scrape * scrape
