"""What Prometheus and the judge would tell of synthetic traffic, point by point of the operator's own grid. Pure.

Requests are drawn by chance as time goes on, and go where the shifts of traffic send them. Prometheus always answers,
both models predict the same, and the user's own queries are content.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from tidegate.decide.criteria import criteria_for
from tidegate.judge.latency import boundaries_of
from tidegate.judge.latency_history import BLOCK, overdispersion_at_equal_load
from tidegate.judge.overdispersion import estimate_overdispersion
from tidegate.judge.pods import Tally
from tidegate.judge.sampling import INGESTION_LAG, Segment, segments
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.users import as_drawn
from tidegate.judge.verdict import answer
from tidegate.model.evidence import (
    Counts,
    Increment,
    LatencyBlock,
    Load,
    Measurements,
    Overdispersion,
    PodTraffic,
    Verdict,
    total,
)
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.model.status import Rollout, Shift
from tidegate.model.traffic import Share
from tidegate.simulation.synthetic_traffic import Behaviour, draw_arm, poisson

STABLE, CANDIDATE = "stable", "candidate"
"""Names of the two revisions."""
LEARNED_FROM = timedelta(minutes=30)
MOST_PODS = 100
"""Of an arm, whose luck is drawn one by one."""
"""Stable's history that the operator learns from before a rollout, and its blocks (see `metrics.preflight`)."""


@dataclass(frozen=True)
class Scenario:
    """What is simulated: requests per second, how both models do, and how often Prometheus reads the counters.

    `limit` ends a rollout that is still undecided then. `luck` is how much the pods' nodes differ, and `bursts` how
    much the traffic of one block differs from the next: σ of the logarithm of a latency and of the rate.
    """

    rate: float
    stable: Behaviour
    candidate: Behaviour
    scrape_interval: timedelta
    limit: timedelta | None = None
    luck: float = 0.0
    bursts: float = 0.0


def propagation_delay_of(spec: ModelDeploymentSpec, scenario: Scenario) -> timedelta:
    """How long after a shift of traffic the counters may still tell of the time before."""
    return max(spec.analysis.interval, scenario.scrape_interval)


class SyntheticMetrics:
    """Both arms' counters and the judge who reads them, from just before `began` on."""

    def __init__(self, spec: ModelDeploymentSpec, scenario: Scenario, random: Random, began: datetime) -> None:
        self._spec, self._scenario, self._random = spec, scenario, random
        self._delay = propagation_delay_of(spec, scenario)
        self._scraped = began + (random.random() - 1) * scenario.scrape_interval
        """When the counters were last read of which something has been drawn."""
        self._judged = -1, -1
        """Increments and step of the latest verdict."""
        self._done: dict[datetime, int] = {}
        self._read_at: datetime | None = None
        self._counted: list[tuple[datetime, Counts, Counts]] = []
        """Stable's and the candidate's counters at the latest points, as far back as a share has to reach."""
        self._shadowed = Counts()
        """What the candidate has answered to copies."""
        self._pods: Mapping[str, int] = {STABLE: spec.replicas}
        self._luck = {arm: [random.gauss(0, scenario.luck) for _ in range(MOST_PODS)] for arm in (STABLE, CANDIDATE)}
        """Of each pod with its node, for as long as the rollout lasts."""
        blocks = self._before()
        before = total(blocks)
        learned = _learned(spec, scenario, random)
        if not learned.latency:
            learned = _with_latency(learned, blocks, before, spec)
        learned = as_drawn(learned, spec.route_settings.sticky)
        self._test = SequentialTest(SequentialTestParameters(spec.analysis, before.durations, learned, before))

    def verdict(self, rollout: Rollout, now: datetime, pods: Mapping[str, int]) -> Verdict:
        """The judge's, on all that the counters say by now, while each revision has so many pods."""
        self._pods = pods
        if rollout.shifts:
            analysis = self._spec.analysis
            for segment in segments(rollout.shifts, analysis.interval, self._delay, now - INGESTION_LAG):
                self._read(segment, rollout.shifts)
        judged = self._test.increments, rollout.step
        if judged != self._judged:
            # While a shift settles there is nothing new, and the answer stands.
            exposed = self._counted[-1][2] if self._counted else Counts()
            measured = Measurements((), exposed=exposed, shadowed=self._shadowed)
            self._judged, self._verdict = judged, answer(self._test, criteria_for(self._spec, rollout), measured)
        return self._verdict

    def share(self) -> Share | None:
        """Requests per revision over the latest points, at least as many as a shift takes to be seen; None before."""
        if not self._counted:
            return None
        until, stable, candidate = self._counted[-1]
        earlier = [point for point in self._counted if point[0] <= until - self._delay]
        if not earlier:
            return None
        since, stable_then, candidate_then = earlier[-1]
        live = {
            STABLE: stable.requests - stable_then.requests,
            CANDIDATE: candidate.requests - candidate_then.requests,
        }
        return Share(since, until, live, {})

    def exposed(self, shifts: Sequence[Shift], now: datetime) -> Counts:
        """All that the candidate has answered by now, also since the last scrape."""
        _, late, _ = self._drawn(shifts, self._scraped, now, with_latency=False)
        return (self._counted[-1][2] if self._counted else Counts()) + late

    def _read(self, segment: Segment, shifts: Sequence[Shift]) -> None:
        for index in range(self._done.get(segment.start, 0), segment.points):
            self._take(segment, index, shifts)
        self._done[segment.start] = segment.points

    def _take(self, segment: Segment, index: int, shifts: Sequence[Shift]) -> None:
        at = segment.instant(index)
        scraped = (
            self._scraped + (at - self._scraped) // self._scenario.scrape_interval * self._scenario.scrape_interval
        )
        if self._read_at is None:
            # Nothing is read before the first shift.
            self._counted = [(at, Counts(), Counts())]
            self._read_at, self._scraped = at, scraped
            return
        with_latency = index > segment.delay_points
        stable, live, copies = self._drawn(shifts, self._scraped, scraped, with_latency=with_latency)
        candidate = live + copies
        # What was counted around a later shift isn't judged; before the first one the candidate answered nothing.
        if segment.start == shifts[0].at or self._read_at >= segment.instant(segment.delay_points):
            load = self._load(segment) if with_latency else None
            alone = self._traffic_of_a_pod(candidate, scraped) if with_latency else None
            self._test.update(
                Increment(at, stable, candidate, concurrent=segment.concurrent, load=load, pod_traffic=alone)
            )
        _, stable_before, candidate_before = self._counted[-1]
        self._counted.append((at, _added(stable_before, stable), _added(candidate_before, live)))
        self._shadowed = _added(self._shadowed, copies)
        del self._counted[: -(segment.delay_points + 2)]
        self._read_at, self._scraped = at, scraped

    def _drawn(
        self, shifts: Sequence[Shift], start: datetime, end: datetime, *, with_latency: bool
    ) -> tuple[Counts, Counts, Counts]:
        """What both arms answered between two instants, and the candidate to copies."""
        stable, candidate, copies = Counts(), Counts(), Counts()
        for shift, seconds in _spans(shifts, start, end):
            rate, weight = (
                self._scenario.rate * math.exp(self._random.gauss(0, self._scenario.bursts)),
                shift.weight / 100,
            )
            stable += self._arm(STABLE, (1 - weight) * rate, seconds, with_latency)
            candidate += self._arm(CANDIDATE, weight * rate, seconds, with_latency)
            if shift.mirror:
                copies += self._arm(CANDIDATE, shift.mirror / 100 * rate, seconds, with_latency)
        return stable, candidate, copies

    def _arm(self, arm: str, rate: float, seconds: float, with_latency: bool) -> Counts:
        requests = poisson(self._random, rate * seconds)
        behaviour = self._under_load(arm, rate)
        return draw_arm(self._random, requests, behaviour if with_latency else replace(behaviour, median=None))

    def _before(self) -> list[Counts]:
        """What stable answered in the time that the operator learns from, block by block where blocks differ."""
        blocks = LEARNED_FROM // BLOCK if self._scenario.bursts else 1
        seconds, counted = LEARNED_FROM.total_seconds() / blocks, []
        for _ in range(blocks):
            rate = self._scenario.rate * math.exp(self._random.gauss(0, self._scenario.bursts))
            requests = poisson(self._random, rate * seconds)
            counted.append(draw_arm(self._random, requests, self._under_load(STABLE, rate)))
        return counted

    def _under_load(self, arm: str, rate: float) -> Behaviour:
        """How an arm does whose pods share so many requests per second, with the luck that its pods have."""
        pods = max(1, min(self._pods.get(arm, 1), MOST_PODS))
        behaviour = (self._scenario.stable if arm == STABLE else self._scenario.candidate).under(rate / pods)
        return behaviour.times(latency=math.exp(sum(self._luck[arm][:pods]) / pods))

    def _traffic_of_a_pod(self, candidate: Counts, scraped: datetime) -> PodTraffic | None:
        """None where no pod was counted anew."""
        pods, seconds = self._pods.get(CANDIDATE, 0), (scraped - self._scraped).total_seconds()
        return PodTraffic(seconds, candidate.requests / pods) if pods and seconds else None

    def _load(self, segment: Segment) -> Load | None:
        return Load.of(segment.weight, self._pods.get(STABLE, 0), self._pods.get(CANDIDATE, 0), segment.mirror)


def _spans(shifts: Sequence[Shift], start: datetime, end: datetime) -> Iterator[tuple[Shift, float]]:
    """Each time of one split between two instants: what the candidate was granted, and seconds."""
    inside = [shift.at for shift in shifts if start < shift.at < end]
    for since, until in pairwise([start, *inside, end]):
        if until > since:
            granted = next((shift for shift in reversed(shifts) if shift.at <= since), Shift(start, 0))
            yield granted, (until - since).total_seconds()


def _added(before: Counts, gained: Counts) -> Counts:
    """Requests and failures alone: all that the routers count."""
    return Counts(before.requests + gained.requests, before.failed + gained.failed)


def _with_latency(
    learned: Overdispersion, blocks: Sequence[Counts], before: Counts, spec: ModelDeploymentSpec
) -> Overdispersion:
    """And what the operator would learn of how slow requests vary with load, and from block to block."""
    if len(blocks) < 2:
        return learned
    seconds = LEARNED_FROM.total_seconds() / len(blocks)
    boundaries = boundaries_of(before.durations, spec.analysis.latency)
    by_load = tuple(
        LatencyBlock(
            block.requests / seconds / spec.replicas,
            block.requests,
            {each.quantile: block.durations.slower_than(each.stable) for each in boundaries},
        )
        for block in blocks
    )
    over_time = {each.quantile: overdispersion_at_equal_load(by_load, each.quantile) for each in boundaries}
    return replace(learned, latency_over_time=over_time, latency_blocks=by_load)


def _learned(spec: ModelDeploymentSpec, scenario: Scenario, random: Random) -> Overdispersion:
    """What the operator would take the overdispersion of stable's failures to be."""
    fixed = spec.analysis.overdispersion
    if fixed is not None:
        latency = spec.analysis.latency
        return Overdispersion(fixed, dict.fromkeys((*latency.quantiles, *dict(latency.ceiling)), fixed))
    per_pod = scenario.rate * BLOCK.total_seconds() / spec.replicas
    stable = replace(scenario.stable, median=None)
    blocks = []
    for _ in range(LEARNED_FROM // BLOCK):
        drawn = [draw_arm(random, poisson(random, per_pod), stable) for _ in range(spec.replicas)]
        blocks.append({f"pod {number}": Tally(each.failed, each.requests) for number, each in enumerate(drawn)})
    return Overdispersion(estimate_overdispersion(blocks))
