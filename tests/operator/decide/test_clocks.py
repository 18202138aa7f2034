"""A clock that was set decides nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.decide.builder import CANDIDATE, MINUTE, NOW, TOO_LITTLE, WORSE, a_canary, rollout_of
from tidegate.decide.rollout import decide
from tidegate.model.observation import Observation
from tidegate.model.reasons import Outcome, Reason
from tidegate.model.status import Rollout, Shift, Since

HOUR = timedelta(hours=1)
BEGAN = NOW - 5 * MINUTE


def canary_at_ten_percent(by: timedelta, **changes: Any) -> Observation:
    """A canary of five minutes, undecided; then all clocks are set."""
    seen = a_canary(1, verdict=TOO_LITTLE, step_started_at=BEGAN, shifts=(Shift(BEGAN, 10),), **changes)
    return replace(seen, now=NOW + by, clock_jump=by)


@pytest.mark.parametrize("policy", ["Promote", "Rollback"])
@pytest.mark.parametrize("by", [2 * HOUR, -2 * HOUR], ids=["forward", "back"])
def test_a_clock_that_is_set_promotes_and_rolls_back_nothing(by: timedelta, policy: str) -> None:
    decision = decide(canary_at_ten_percent(by, spec_analysis={"onInconclusive": policy}))

    assert decision.status.history == ()
    assert decision.status.rollout is not None
    assert decision.status.rollout.granted == 10
    assert Reason.CLOCK_JUMPED in [event.reason for event in decision.events]


def test_what_deadlines_have_counted_stays_when_the_clock_is_set_forward() -> None:
    seen = canary_at_ten_percent(2 * HOUR, spec_analysis={"onInconclusive": "Rollback"})
    recorded = decide(seen).status
    later = replace(seen, recorded=recorded, clock_jump=timedelta(), now=seen.now + 54 * MINUTE)

    assert decide(later).status.history == ()
    assert decide(replace(later, now=later.now + 2 * MINUTE)).status.history[0].outcome == Outcome.ROLLED_BACK


def test_counters_are_read_from_now_on_when_the_clock_is_set_back() -> None:
    by = -2 * MINUTE
    rollout = decide(canary_at_ten_percent(by)).status.rollout

    assert rollout is not None
    assert rollout.shifts == (Shift(BEGAN, 10), Shift(NOW + by, 10))


def test_what_is_recorded_in_the_future_counts_from_now() -> None:
    """A restarted operator doesn't know that the clock was set: only its records tell."""
    future = NOW + HOUR
    since = Since(paused=None, unseen=future, pods=future)
    rollout = Rollout(CANDIDATE, future, 1, future, (Shift(future, 10),), since=since)
    seen = a_canary(1, verdict=TOO_LITTLE)
    decision = decide(replace(seen, recorded=replace(seen.recorded, rollout=rollout, shifted_at=future)))

    assert decision.status.rollout == replace(
        rollout, started_at=NOW, step_started_at=NOW, shifts=(Shift(NOW, 10),), since=Since(), replicas=4
    )
    assert decision.status.shifted_at == NOW


@pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_worse_candidate_goes_back_whatever_the_clock(by: timedelta) -> None:
    decision = decide(replace(canary_at_ten_percent(by), verdict=WORSE))

    assert decision.status.history[0].outcome == Outcome.ROLLED_BACK


def test_a_waiting_time_moves_with_the_clock() -> None:
    seen = canary_at_ten_percent(HOUR, ready=0, since=Since(pods=BEGAN))

    assert rollout_of(seen).since.pods == BEGAN
    status = decide(seen).status
    assert status.rollout is not None
    assert status.rollout.since.pods == BEGAN + HOUR
    stalled = status.condition("Stalled")
    assert stalled is not None
    assert stalled.status == "False"
