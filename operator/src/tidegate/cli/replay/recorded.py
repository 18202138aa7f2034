"""What the status recorded of a rollout, and the spec that fits it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tidegate.cli.common.errors import CannotReplay
from tidegate.judge.sampling import INGESTION_LAG, segments
from tidegate.model.spec import BlueGreen, Canary, CanaryStep, ModelDeploymentSpec
from tidegate.model.status import HistoryEntry, Rollout, Shift, Status
from tidegate.simulation.engine import last_shift_of


@dataclass(frozen=True)
class Recorded:
    """A rollout as the status has it. `number` counts the history from 1, the newest; None is the one under way."""

    number: int | None
    stable: str
    candidate: str
    started_at: datetime
    shifts: tuple[Shift, ...]
    until: datetime
    """When it ended; now for the one under way."""
    outcome: str | None = None
    reason: str = ""
    message: str = ""

    @property
    def began(self) -> datetime:
        """When the candidate got its first request."""
        return self.shifts[0].at

    @property
    def ended_after(self) -> timedelta:
        """Until its traffic was where it ended."""
        return last_shift_of(self.outcome, self.shifts, self.until) - self.began

    def rollout(self) -> Rollout:
        """As the operator had it when it last reconciled."""
        return Rollout(self.candidate, self.started_at, 1, self.began, self.shifts)


def recorded_in(status: Status, number: int | None, now: datetime) -> Recorded:
    """The rollout under way, or the newest of the history; with a number, that of the history.

    Raises CannotReplay where there is none, or where what it takes wasn't recorded.
    """
    if number is None and status.rollout is not None:
        return _under_way(status, status.rollout, now)
    if not status.history:
        raise CannotReplay("it has no rollout, neither under way nor in its history")
    number = number or 1
    if not 1 <= number <= len(status.history):
        raise CannotReplay(f"its history has {len(status.history)} of them, so there is no number {number}")
    return _ended(status.history[number - 1], number)


def _under_way(status: Status, rollout: Rollout, now: datetime) -> Recorded:
    if status.stable is None:
        raise CannotReplay(f"{rollout.candidate} is its first revision, so there is nothing to compare it with")
    if not rollout.shifts:
        raise CannotReplay(f"the candidate {rollout.candidate} has had no traffic yet, so nothing was judged")
    return Recorded(None, status.stable, rollout.candidate, rollout.started_at, rollout.shifts, now)


def _ended(entry: HistoryEntry, number: int) -> Recorded:
    if not entry.stable:
        raise CannotReplay(
            f"entry {number} of its history, {entry.revision}, was written by an older operator, which didn't record "
            "when traffic was shifted"
        )
    if not entry.shifts:
        raise CannotReplay(f"{entry.revision} ended before it had any traffic, so nothing was judged: {entry.message}")
    return Recorded(
        number,
        entry.stable,
        entry.revision,
        entry.started_at,
        entry.shifts,
        entry.finished_at,
        entry.outcome,
        entry.reason,
        entry.message,
    )


def spec_then(spec: ModelDeploymentSpec, shifts: tuple[Shift, ...]) -> ModelDeploymentSpec:
    """The spec with the strategy of these shifts: its own, or one that fits them where it has changed since."""
    weights = [shift.weight for shift in shifts if shift.weight < 100]
    if not weights:
        own = spec.strategy if isinstance(spec.strategy, BlueGreen) else BlueGreen(timedelta(), timedelta())
        return replace(spec, strategy=own)
    if isinstance(spec.strategy, Canary) and {step.weight for step in spec.strategy.steps} >= set(weights):
        return spec
    return replace(spec, strategy=Canary(tuple(CanaryStep(weight, timedelta()) for weight in dict.fromkeys(weights))))


def expected_increments(recorded: Recorded, interval: timedelta, propagation_delay: timedelta) -> int:
    """How many increments there would be if Prometheus had every sample."""
    first, *later = segments(recorded.shifts, interval, propagation_delay, recorded.until - INGESTION_LAG)
    # The candidate had no traffic before the first shift, so nothing has to settle there.
    return max(0, first.points - 1) + sum(max(0, each.points - 1 - each.delay_points) for each in later)
