"""Whole rollouts on synthetic traffic, led by the operator's own decide(). Pure.

What isn't simulated: pods take no time to start, routers take a split at once, and nothing crashes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from tidegate.decide.deadline import after_deadline
from tidegate.decide.rollout import decide
from tidegate.judge.verdict import NOTHING_TO_JUDGE
from tidegate.model.decision import Decision
from tidegate.model.evidence import Answer, Counts
from tidegate.model.observation import Observation
from tidegate.model.reasons import ConditionType, Outcome, Phase, Policy
from tidegate.model.spec import Canary, ModelDeploymentSpec
from tidegate.model.status import Shift
from tidegate.simulation.deployment import SimulatedDeployment
from tidegate.simulation.synthetic_metrics import CANDIDATE, STABLE, Scenario, SyntheticMetrics, propagation_delay_of
from tidegate.simulation.world import SECOND, Pods, SimulatedWorld

INCONCLUSIVE = "Inconclusive"
"""The outcome of a rollout that is undecided when its time is over."""
START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedRollout:
    """One rollout's end, the time from the candidate's first request to it, and what the candidate answered by then."""

    outcome: str
    reason: str
    lasted: timedelta
    requests: int
    failed: int


def simulate_rollout(spec: ModelDeploymentSpec, scenario: Scenario, seed: str) -> SimulatedRollout:
    """The same seed always gives the same rollout, on any machine."""
    simulation = _Simulation(without_gates(without_people(spec)), scenario, Random(seed))
    simulation.run_until(lambda: bool(simulation.ended))
    return simulation.ended[0]


def without_people(spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    """The spec as if everybody whom it waits for said yes at once, and nobody were chosen by a step's rules."""
    strategy = spec.strategy
    if not isinstance(strategy, Canary):
        return replace(spec, paused=False, strategy=replace(strategy, approval=False))
    steps = tuple(
        replace(step, approval=False, pause=step.pause if step.paused_for else None, rules=())
        for step in strategy.steps
        if step.weight or step.mirror  # how many requests match, nobody knows
    )
    return replace(spec, paused=False, strategy=replace(strategy, steps=steps))


def without_gates(spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    """The spec as if nobody were asked: who would answer isn't simulated."""
    return replace(spec, gates=(), analysis=replace(spec.analysis, agreement=None))


def last_shift_of(outcome: str | None, shifts: Sequence[Shift], ended_at: datetime) -> datetime:
    """When traffic came to where it stayed: a canary that has all of it waits on, to see stable's last requests."""
    if outcome == Outcome.PROMOTED and shifts[0].weight < 100:
        return next((shift.at for shift in shifts if shift.weight == 100), ended_at)
    return ended_at


class _Simulation(SimulatedWorld):
    def __init__(self, spec: ModelDeploymentSpec, scenario: Scenario, random: Random) -> None:
        super().__init__(START)
        self._scenario, self._delay = scenario, propagation_delay_of(spec, scenario)
        self._deployment = SimulatedDeployment.released(spec, STABLE, CANDIDATE)
        self._metrics = SyntheticMetrics(spec, scenario, random, START)
        self._exposed: dict[datetime, Counts] = {}
        """The candidate's answers by the time of each shift of traffic."""
        self.ended: list[SimulatedRollout] = []
        """One, at the end."""

    def pods(self) -> dict[str, Pods]:
        """All of them ready."""
        return {revision: Pods(count, START) for revision, count in self._deployment.pods.items()}

    def reconcile(self) -> timedelta | None:
        """observe → judge → decide → act."""
        seen = self._observed()
        decision = decide(seen)
        before, self._deployment = self._deployment, self._deployment.after(decision)
        if self._deployment.split != before.split:
            self._exposed[self.now] = self._metrics.exposed(_shifts(seen), self.now)
        self.ended.extend(self._end(seen, decision))
        return decision.requeue_after

    def pass_time(self, due: datetime | None) -> None:
        """Up to the next reconcile: pods come only at one, and traffic is drawn when it is asked for."""
        self.now = max(due or self.now, self.now + SECOND)

    def _observed(self) -> Observation:
        rollout = self._deployment.recorded.rollout
        verdict = self._metrics.verdict(rollout, self.now, self._deployment.pods) if rollout else NOTHING_TO_JUDGE
        return self._deployment.observed(self.now, verdict, self._metrics.share(), self._delay)

    def _end(self, seen: Observation, decision: Decision) -> Iterator[SimulatedRollout]:
        if decision.status.history:
            entry = decision.status.history[0]
            ended = last_shift_of(entry.outcome, entry.shifts, entry.finished_at)
            yield _rollout(entry.outcome, entry.reason, ended - entry.shifts[0].at, self._exposed[ended])
        elif self._is_out_of_time(seen, decision):
            exposed = self._metrics.exposed(_shifts(seen), self.now)
            yield _rollout(INCONCLUSIVE, _held_by(seen, decision), self.now - _shifts(seen)[0].at, exposed)

    def _is_out_of_time(self, seen: Observation, decision: Decision) -> bool:
        rollout, limit = seen.recorded.rollout, self._scenario.limit
        # A canary that has all the traffic is promoted, and only waits to see stable's last requests.
        if rollout is None or not rollout.shifts or decision.status.phase == Phase.PROMOTING:
            return False
        if limit is not None and self.now - rollout.shifts[0].at >= limit:
            return True
        return after_deadline(seen, rollout) == Policy.HOLD


def _shifts(seen: Observation) -> tuple[Shift, ...]:
    return seen.recorded.rollout.shifts if seen.recorded.rollout else ()


def _held_by(seen: Observation, decision: Decision) -> str:
    waits = decision.status.condition(ConditionType.RECONCILING)
    return waits.reason if waits and seen.verdict.answer is Answer.ACCEPTABLE else seen.verdict.reason


def _rollout(outcome: str, reason: str, lasted: timedelta, exposed: Counts) -> SimulatedRollout:
    return SimulatedRollout(outcome, reason, lasted, exposed.requests, exposed.failed)
