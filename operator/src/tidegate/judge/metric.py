"""What is judged: each metric gathers evidence in two directions, increment by increment.

Where stable serves beside the candidate, the two are held against each other. Where it doesn't, after a switch or at
100 %, the candidate is held against a fixed line: the wider, acceptable one above what stable did before, as nobody can
say what else has changed since.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from tidegate.judge.arms import Arm, add_ceiling, add_two_arms, with_luck
from tidegate.judge.context import ALL_BUT_ALL, ENOUGH_OF_THE_PAST, Context, at_least, at_most
from tidegate.judge.e_process import CEILING_UPWARD, DOWNWARD, UPWARD, EProcess, log_add, log_sum
from tidegate.judge.latency import Boundary, boundaries_of, bucket_from
from tidegate.judge.latency_history import EQUAL, NOTHING_YET, Overload, Stretch, highest_load, slow_at_load
from tidegate.judge.pods import Tally
from tidegate.judge.spread import luck
from tidegate.judge.users import MOST_LUCK, Everybody, everybody_of, luck_of_users, of_halves
from tidegate.model.evidence import ALIKE, Durations, Increment, Overdispersion
from tidegate.model.reasons import Policy
from tidegate.model.spec import ErrorRate, Latency, Margin

LATENCY_TOLERANCE = Margin(1.25, 0.001)
"""The pods of two revisions are never equally lucky with their nodes: a quarter more slow requests is no regression."""
LATENCY_LEEWAY = 0.5
"""A percentile is acceptable when fewer requests are slower than stable's share plus half of what it leaves above it.

A bucket's bound lies somewhat above the percentile, so stable's own share of slower requests may be near zero there,
and against zero nothing could ever be shown.
"""


class Clump(NamedTuple):
    """What comes in clumps, as people say it, and of how many."""

    what: str
    size: float


class Metric:
    """`weight` is its part in a rollback. What else it knows than the increment is in the context, which it shares."""

    name: str
    weight: float
    _phi = 1.0
    reads_details = False
    """Whether it is about latency, which comes from the servers; else it is about requests and failures."""

    def __init__(self) -> None:
        self.worse: list[EProcess] = []
        self.acceptable: list[EProcess] = []
        self.everybody: list[Everybody] = []
        """Where users stay with a revision: for each of `worse`, whether users as a whole are worse off than before."""

    def update(self, increment: Increment) -> None:
        """Takes in one increment."""
        raise NotImplementedError

    def e_processes(self) -> Iterator[EProcess]:
        """All that it gathers evidence in."""
        yield from (*self.worse, *self.acceptable, *(each.worse for each in self.everybody))

    def log_worse(self) -> float:
        """The average over what it looks at: valid whatever the dependence among them. 0 where it looks at nothing."""
        if not self.worse:
            return 0.0
        seen = [e_process.log_value for e_process in self.worse]
        if self.everybody:
            seen = [min(log, each.worse.log_value) for log, each in zip(seen, self.everybody, strict=True)]
        return log_sum(seen) - math.log(len(seen))

    def log_acceptable(self) -> float:
        """The minimum over what it looks at, as each has to be shown; -∞ where nothing can be."""
        return min((e_process.log_value for e_process in self.acceptable), default=-math.inf)

    def clump(self) -> Clump:
        """What a promotion waits for the most, and how large its clumps are."""
        return Clump("failures", self._phi)


class Errors(Metric):
    """Failures of both arms."""

    name, weight = "errors", 0.5

    def __init__(self, errors: ErrorRate, overdispersion: Overdispersion, context: Context) -> None:
        super().__init__()
        self._errors, self._context = errors, context
        self._phi, self._spread, self._users = overdispersion.errors, overdispersion.spread, overdispersion.users
        self.worse, self.acceptable = [EProcess(UPWARD)], [EProcess(DOWNWARD, start_at_once=1.0)]
        before = context.before
        self.everybody = everybody_of(overdispersion, (before.failed, before.requests), self._phi)
        self._gross = [EProcess(UPWARD) for _ in self.everybody]
        """Whether it is worse than any users explain: a bad half hour before must not hide a model that fails."""

    @property
    def has_past(self) -> bool:
        """Whether there is something to hold the candidate against where stable doesn't serve."""
        return self._context.past.requests >= ENOUGH_OF_THE_PAST

    def _tolerated(self, users: float) -> Margin:
        """Above what is laid to the pods, and to the users, that the candidate happens to have."""
        return with_luck(self._errors.tolerate, max(luck(self._spread, self._context.candidate_pods), users))

    def e_processes(self) -> Iterator[EProcess]:
        """With that of gross failures, where there is one."""
        yield from (*super().e_processes(), *self._gross)

    def log_worse(self) -> float:
        """The average with that of gross failures, which has a bound of its own."""
        own = super().log_worse()
        return log_sum([own, *(each.log_value for each in self._gross)]) - math.log(1 + len(self._gross))

    def update(self, increment: Increment) -> None:
        candidate = increment.candidate.failed, increment.candidate.requests
        stable = increment.stable.failed, increment.stable.requests
        for each in self.everybody:
            each.update(candidate, stable, self._errors.tolerate, increment.lasted)
        if self._context.leaves_alone(increment):
            self._against_the_past(candidate, increment.lasted)
            return
        gross = Margin(self._errors.tolerate.ratio * MOST_LUCK, self._errors.ceiling)
        for each, e_process in zip(self.everybody, self._gross, strict=True):
            if each.fares_better(candidate, stable):
                add_two_arms(e_process, gross, candidate, stable, self._phi, increment.lasted)
        tolerate = self._tolerated(luck_of_users(self._users, candidate[1], stable[1]))
        for e_process, margin in zip((*self.worse, *self.acceptable), (tolerate, self._errors.accept), strict=True):
            add_two_arms(e_process, margin, candidate, stable, self._phi, increment.lasted)

    def _against_the_past(self, candidate: Arm, lasted: timedelta | None) -> None:
        if not self.has_past:
            return
        # Before the rollout stable had all users, as the candidate has now; beside it stable had some of them.
        past = self._context.before if self.everybody else self._context.past
        highest = at_most(past.failed, past.requests, self._phi)
        accept, tolerate = self._errors.accept, self._tolerated(1.0 if self.everybody else of_halves(self._users))
        line = min(1.0, accept.ratio * highest + accept.absolute)
        wider = min(1.0, max(line, tolerate.ratio * highest + tolerate.absolute))
        for e_process, each in zip((*self.worse, *self.acceptable), (wider, line), strict=True):
            add_ceiling(e_process, each, candidate, self._phi, lasted)


class Ceiling(Metric):
    """The candidate's failures against a fixed rate.

    An increment in which stable itself fails more often than that says nothing about the candidate: something else is
    broken. Leaving it out keeps the bound, as it is chosen by stable's counts and not by the candidate's. Where stable
    doesn't serve, and failed more often before, going back would make it worse: so often the candidate may fail too.
    """

    name, weight = "ceiling", 0.2

    def __init__(self, ceiling: float, overdispersion: Overdispersion, context: Context) -> None:
        super().__init__()
        self._ceiling, self._phi, self._context = ceiling, overdispersion.errors, context
        self._users = overdispersion.users
        self.worse, self.acceptable = [EProcess(CEILING_UPWARD)], [EProcess(DOWNWARD, start_at_once=1.0)]

    def update(self, increment: Increment) -> None:
        if increment.stable.failed > self._ceiling * increment.stable.requests:
            return
        ceiling = self._ceiling
        if self._context.leaves_alone(increment) and (past := self._context.past).requests:
            ceiling = max(ceiling, at_least(past.failed, past.requests, self._phi))
        arm = increment.candidate.failed, increment.candidate.requests
        wider = min(1.0, ceiling * luck_of_users(self._users, arm[1], increment.stable.requests))
        for e_process, each in zip((*self.worse, *self.acceptable), (wider, ceiling), strict=True):
            add_ceiling(e_process, each, arm, self._phi, increment.lasted)

    def e_processes(self) -> Iterator[EProcess]:
        """Without everybody's, which are those of the errors."""
        yield from (*self.worse, *self.acceptable)


class Remedy(Metric):
    """While stable is unwell: whether the candidate is inside the ceiling, or better than stable. Only promotes.

    The average of the two is evidence against "neither". Which increments count is settled before each of them.
    """

    name, weight = "errors", 0.0

    def __init__(self, ceiling: float, overdispersion: Overdispersion, context: Context) -> None:
        super().__init__()
        self._ceiling, self._phi, self._context = ceiling, overdispersion.errors, context
        self._inside, self._better = EProcess(DOWNWARD, start_at_once=1.0), EProcess(DOWNWARD, start_at_once=1.0)

    def update(self, increment: Increment) -> None:
        if not self._context.stable_is_unwell:
            return
        candidate = increment.candidate.failed, increment.candidate.requests
        stable = increment.stable.failed, increment.stable.requests
        add_ceiling(self._inside, self._ceiling, candidate, self._phi, increment.lasted)
        add_two_arms(self._better, Margin(1.0, 0.0), candidate, stable, self._phi, increment.lasted)

    def e_processes(self) -> Iterator[EProcess]:
        yield from (self._inside, self._better)

    def log_acceptable(self) -> float:
        return log_add(self._inside.log_value, self._better.log_value) - math.log(2)


class LatencyMetric(Metric):
    """Requests slower than boundaries near stable's percentiles, chosen before what is judged by them."""

    name, weight, reads_details = "latency", 0.3, True

    def __init__(
        self, latency: Latency, reference: Durations, overdispersion: Overdispersion, context: Context
    ) -> None:
        super().__init__()
        self._latency, self._reference, self._overdispersion = latency, reference, overdispersion
        self._context = context
        self.boundaries: tuple[Boundary, ...] = ()
        self.overload: Overload | None = None
        """Of the last block of a candidate alone."""
        self._stretch = NOTHING_YET
        self._choose()

    def update(self, increment: Increment) -> None:
        if not self.boundaries:
            # Too little was known of stable: this increment helps to choose, and so it isn't judged by what it chose.
            self._reference = self._reference + increment.stable.durations
            self._choose()
            return
        self._everybody(increment)
        candidate, stable = increment.candidate.durations, increment.stable.durations
        if not self._context.leaves_alone(increment) or stable.total:
            self._stretch, self.overload = NOTHING_YET, None
            for index, boundary in enumerate(self.boundaries):
                self._against_stable(index, boundary, increment)
        elif candidate.bounds and candidate.bounds == self._context.past_durations.bounds:
            self._alone(increment)

    @property
    def is_comparable(self) -> bool:
        """Whether there is a latency of stable's to compare with now, and not only that of its failures."""
        return bool(self.boundaries) and self._context.failing < ALL_BUT_ALL

    def _against_stable(self, index: int, boundary: Boundary, increment: Increment) -> None:
        candidate, stable = increment.candidate.durations, increment.stable.durations
        if self._context.stable_is_unwell and not self.is_comparable:
            return
        phi = self._phi_of(boundary)
        slow_stable = stable.slower_than(boundary.stable) if stable.bounds else 0
        users = luck_of_users(self._overdispersion.users, candidate.total, stable.total)
        tolerance = with_luck(LATENCY_TOLERANCE, max(self._luck(boundary), users))
        for e_process, margin, at in (
            (self.worse[index], tolerance, boundary.tolerate),
            (self.acceptable[index], _acceptance(boundary), boundary.accept),
        ):
            slow = candidate.slower_than(at) if candidate.bounds else 0
            arms = (slow, candidate.total), (slow_stable, self._judged(stable))
            add_two_arms(e_process, margin, *arms, phi, increment.lasted)

    def _everybody(self, increment: Increment) -> None:
        candidate, stable = increment.candidate.durations, increment.stable.durations
        for boundary, each in zip(self.boundaries, self.everybody, strict=False):
            slow = candidate.slower_than(boundary.tolerate) if candidate.bounds else 0
            slow_stable = stable.slower_than(boundary.stable) if stable.bounds else 0
            each.update((slow, candidate.total), (slow_stable, stable.total), LATENCY_TOLERANCE, increment.lasted)

    def _judged(self, stable: Durations) -> float:
        """Stable's requests; while it is unwell, those that didn't fail, as failing may be fast."""
        return stable.total * (1 - self._context.failing) if self._context.stable_is_unwell else stable.total

    def _alone(self, increment: Increment) -> None:
        """Where the load of its pods is known, block by block."""
        if not increment.pod_traffic or not self._heeds_load:
            self._against_the_past(Stretch(increment.candidate.durations), 0.0, increment.lasted)
            return
        self._stretch = self._stretch.with_increment(increment)
        if self._stretch.is_a_block:
            block, self._stretch = self._stretch, NOTHING_YET
            self.overload = self._overload_in(block)
            self._against_the_past(block, block.traffic.rate)

    @property
    def _heeds_load(self) -> bool:
        return self._latency.on_load_differs == Policy.HOLD and len(self._overdispersion.latency_blocks) > 1

    def _against_the_past(self, block: Stretch, load: float, lasted: timedelta | None = None) -> None:
        for index, boundary in enumerate(self.boundaries):
            past = self._past(boundary, load)
            if past is None:
                continue
            line, phi = self._line(boundary, past), self._phi_over_time(boundary)
            arm = block.durations.slower_than(boundary.accept), block.durations.total
            add_ceiling(self.worse[index], line, arm, phi, lasted)
            add_ceiling(self.acceptable[index], line, arm, phi, lasted)

    def _past(self, boundary: Boundary, load: float) -> Tally | None:
        """Stable's slow requests of all, where a pod had as much to do; None where none ever had."""
        blocks, past = self._overdispersion.latency_blocks, self._context.past_durations
        if load and blocks and boundary.quantile in blocks[0].slow:
            return slow_at_load(blocks, boundary.quantile, load)
        return Tally(past.slower_than(boundary.stable), past.total)

    def _line(self, boundary: Boundary, past: Tally) -> float:
        """The share of slow requests that is acceptable after such a past."""
        slow_before = at_most(past.bad, past.requests, self._phi_over_time(boundary))
        return min(1.0, self._luck(boundary) * slow_before + _acceptance(boundary).absolute)

    def _overload_in(self, block: Stretch) -> Overload | None:
        """Whether the load was beyond all of stable's, and a percentile slower than whatever its load was before."""
        highest = highest_load(self._overdispersion.latency_blocks)
        if block.traffic.rate * (1 - EQUAL) <= highest:
            return None
        lines = [(self._past(each, 0.0), each) for each in self.boundaries]
        slower = any(
            block.durations.slower_than(each.accept) > self._line(each, past) * block.durations.total
            for past, each in lines
            if past
        )
        return Overload(block.traffic.rate, highest) if slower else None

    def _luck(self, boundary: Boundary) -> float:
        """How many times stable's share of slow requests is laid to the pods that the candidate happens to have."""
        spread = self._overdispersion.latency_spread.get(boundary.quantile, ALIKE)
        return luck(spread, self._context.candidate_pods)

    def clump(self) -> Clump:
        if not self.boundaries:
            return Clump("slow requests", 1.0)
        _, boundary = min(zip(self.acceptable, self.boundaries, strict=True), key=lambda pair: pair[0].log_value)
        return Clump(f"requests slower than p{boundary.quantile}", self._phi_of(boundary))

    def _phi_of(self, boundary: Boundary) -> float:
        return self._overdispersion.latency.get(boundary.quantile, 1.0)

    def _phi_over_time(self, boundary: Boundary) -> float:
        """Nobody shares the candidate's time, so that what comes over all pods at once has to be in it."""
        return self._overdispersion.latency_over_time.get(boundary.quantile, self._phi_of(boundary))

    def heaviest(self) -> Boundary:
        """The boundary with the most evidence that the candidate is slower."""
        return max(zip(self.worse, self.boundaries, strict=True), key=lambda pair: pair[0].log_value)[1]

    def _choose(self) -> None:
        self.boundaries = boundaries_of(self._reference, self._latency)
        self.worse = [EProcess(UPWARD) for _ in self.boundaries]
        self.acceptable = [EProcess(DOWNWARD, start_at_once=1.0) for _ in self.boundaries]
        before = self._context.before.durations
        self.everybody = [
            each
            for boundary in self.boundaries
            for each in everybody_of(
                self._overdispersion,
                (before.slower_than(boundary.stable) if before.bounds else 0, before.total),
                self._phi_over_time(boundary),
            )
        ]


class LatencyCeiling(Metric):
    """The candidate's percentiles against fixed limits: of p99 250 ms, at most 1 % may be slower than 250 ms."""

    name, weight, reads_details = "latency ceiling", 0.1, True

    def __init__(self, latency: Latency, overdispersion: Overdispersion) -> None:
        super().__init__()
        self._limits, self._overdispersion = latency.ceiling, overdispersion
        self.worse = [EProcess(CEILING_UPWARD) for _ in self._limits]

    def update(self, increment: Increment) -> None:
        durations = increment.candidate.durations
        for e_process, (quantile, limit) in zip(self.worse, self._limits, strict=True):
            # The first bound at or above the limit: fewer requests are slower than it, so nobody is wronged.
            slow = (
                durations.slower_than(bucket_from(durations.bounds, limit.total_seconds())) if durations.bounds else 0
            )
            phi = self._overdispersion.latency.get(quantile, 1.0)
            users = luck_of_users(self._overdispersion.users, durations.total, increment.stable.durations.total)
            share = min(1.0, (1 - quantile / 100) * users)
            add_ceiling(e_process, share, (slow, durations.total), phi, increment.lasted)


def metrics_for(
    errors: ErrorRate, latency: Latency, reference: Durations, overdispersion: Overdispersion, context: Context
) -> Sequence[Metric]:
    """What is judged. Their weights add to 1, which the bound on false rollbacks rests on."""
    failures, ceiling = Errors(errors, overdispersion, context), Ceiling(errors.ceiling, overdispersion, context)
    ceiling.everybody = failures.everybody
    metrics: list[Metric] = [
        failures,
        LatencyMetric(latency, reference, overdispersion, context),
        ceiling,
    ]
    if latency.ceiling:
        ceiling.weight = 0.1
        metrics.append(LatencyCeiling(latency, overdispersion))
    return metrics


def _acceptance(boundary: Boundary) -> Margin:
    return Margin(1.0, LATENCY_LEEWAY * (1 - boundary.quantile / 100))
