"""A clock that was set decides nothing. Pure.

What is recorded in the future was recorded by a clock that has been set back since: it counts from now. Where the clock
was set forward, what is recorded moves with it.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta

from tidegate.model.observation import Observation
from tidegate.model.status import Rollout, Since, Status

TOLERANCE = timedelta(seconds=10)
"""By so much the clocks of two operators may differ, and one clock is corrected all the time."""


def with_sound_clock(seen: Observation) -> Observation:
    """The observation as if its rollout had been recorded by the clock as it is now."""
    jump = seen.clock_jump if abs(seen.clock_jump) > TOLERANCE else timedelta()
    recorded = seen.recorded
    if recorded.rollout is not None:
        rollout = _moved(recorded.rollout, jump) if jump > timedelta() else recorded.rollout
        rollout = _not_in_future(rollout, seen.now)
        if jump < timedelta():
            rollout = _seen_from_now(rollout, seen.now)
        recorded = replace(recorded, rollout=rollout)
    return replace(seen, recorded=_shifted_by_now(recorded, seen.now))


def _moved(rollout: Rollout, jump: timedelta) -> Rollout:
    # Shifts stay: what was counted before the jump has the old times.
    return replace(
        rollout,
        step_started_at=rollout.step_started_at + jump,
        suspended_seconds=rollout.suspended_seconds + (jump // timedelta(seconds=1) if rollout.shifts else 0),
        since=_each(rollout.since, lambda at: at + jump),
    )


def _not_in_future(rollout: Rollout, now: datetime) -> Rollout:
    def past(at: datetime) -> datetime:
        return now if at > now + TOLERANCE else at

    return replace(
        rollout,
        started_at=past(rollout.started_at),
        step_started_at=past(rollout.step_started_at),
        shifts=tuple(replace(shift, at=past(shift.at)) for shift in rollout.shifts),
        since=_each(rollout.since, past),
    )


def _seen_from_now(rollout: Rollout, now: datetime) -> Rollout:
    """Where the clock was set back, the counters of the latest shift were read at times that are yet to come."""
    if not rollout.shifts or rollout.shifts[-1].at == now:
        return rollout
    return replace(rollout, shifts=(*rollout.shifts, replace(rollout.shifts[-1], at=now)))


def _shifted_by_now(status: Status, now: datetime) -> Status:
    if status.shifted_at is None or status.shifted_at <= now + TOLERANCE:
        return status
    return replace(status, shifted_at=now)


def _each(since: Since, change: Callable[[datetime], datetime]) -> Since:
    values = ((each.name, getattr(since, each.name)) for each in fields(since))
    return Since(**{name: change(value) for name, value in values if value})
