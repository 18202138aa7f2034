"""One rollout under users who stay: what stable did before, three steps, and when the judge would have rolled back."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import numpy as np
from numpy.random import Generator

from benchmarks.judge.tidegate_defaults import default_analysis
from benchmarks.judge.tidegate_judge import NoInterval
from benchmarks.users.crowd import Crowd, Ints, Users, drawn, requests, sessions
from tidegate.judge.latency_history import BLOCK
from tidegate.judge.overdispersion import overdispersion_over_time
from tidegate.judge.pods import Tally
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.users import by_users
from tidegate.metrics.baseline import SPAN
from tidegate.model.evidence import Counts, Increment, Overdispersion
from tidegate.model.units import parse_instant

BEGAN = parse_instant("2026-01-01T00:00:00Z")
SECONDS = 10
WEIGHTS = (5, 25, 50)
STEP_SECONDS = 600
ANALYSIS = default_analysis()


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended: at which weight, after how many requests and failures of the candidate; None: not at all."""

    weight: int | None
    exposed: Counts


class Rule(Enum):
    """Whether the judge knows that users stay."""

    BY_REQUEST = "by request"
    BY_USER = "by user"


def judged(users: Users, random: Generator, rule: Rule, times: float = 1.0) -> Outcome:
    """Draws who they are, and what they do; `times` as many of the candidate's requests fail as stable's would."""
    crowd = drawn(users, random)
    learned, before = _learned(crowd, random)
    if rule is Rule.BY_USER:
        learned = by_users(learned)
    test = SequentialTest(SequentialTestParameters(ANALYSIS, overdispersion=learned, before=before))
    test.confidence_sequence = NoInterval(ANALYSIS.false_rollback)
    for weight, increment in _rollout(crowd, random, times):
        test.update(increment)
        if test.rejected_at:
            return Outcome(weight, test.candidate)
    return Outcome(None, test.candidate)


def _learned(crowd: Crowd, random: Generator) -> tuple[Overdispersion, Counts]:
    """As the product does before a rollout, of half an hour in which stable has everybody.

    Clumps of users are spread over its pods, so what pods tell of clumps is nothing.
    """
    seconds = int(BLOCK.total_seconds())
    there = sessions(crowd, int(SPAN.total_seconds()) // seconds, seconds, random)
    sent, failed = (each.sum(axis=1) for each in requests(crowd, there, seconds, random))
    blocks = [{"all": Tally(bad, every)} for bad, every in zip(failed.tolist(), sent.tolist(), strict=True)]
    return Overdispersion(errors_over_time=overdispersion_over_time(blocks)), Counts(int(sent.sum()), int(failed.sum()))


def _rollout(crowd: Crowd, random: Generator, times: float) -> Iterator[tuple[int, Increment]]:
    increments = STEP_SECONDS // SECONDS
    there = sessions(crowd, increments * len(WEIGHTS), SECONDS, random)
    at = BEGAN
    for number, weight in enumerate(WEIGHTS):
        on_candidate = crowd.on_candidate(weight)
        worse = crowd.users.later * np.where(on_candidate, times, 1.0)
        sent, failed = requests(crowd, there[number * increments :][:increments], SECONDS, random, worse)
        stable, candidate = (_summed(sent[:, who], failed[:, who]) for who in (~on_candidate, on_candidate))
        for arms in zip(stable, candidate, strict=True):
            since, at = at, at + timedelta(seconds=SECONDS)
            yield weight, Increment(at, *arms, since=since)


def _summed(sent: Ints, failed: Ints) -> list[Counts]:
    """Of all users, increment by increment."""
    return [Counts(*pair) for pair in zip(sent.sum(axis=1).tolist(), failed.sum(axis=1).tolist(), strict=True)]
