"""The product's own judge: a real Trial that hears real Polls. Nothing of it is written anew here."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from benchmarks.judge.outcomes import Outcome
from benchmarks.judge.traffic import Arm, Ints, Recording
from tidegate.judge.confidence_sequence import ConfidenceSequence
from tidegate.judge.latency import boundaries_of
from tidegate.judge.overdispersion import Block, estimate_overdispersion
from tidegate.judge.pods import Tally
from tidegate.judge.sequential_test import WATCHFUL, SequentialTest, SequentialTestParameters
from tidegate.judge.spread import estimate_spread
from tidegate.model.evidence import Overdispersion
from tidegate.model.spec import Analysis


class NoInterval(ConfidenceSequence):
    """An interval is a sentence for people and no part of a verdict; a trial takes a part of the time without it."""

    def add(self, candidate: tuple[float, float], stable: tuple[float, float]) -> None:
        return


def judge_recording(
    recording: Recording, analysis: Analysis, overdispersion: Overdispersion, *, until_promoted: bool = False
) -> Outcome:
    """When the candidate would have been rolled back, and before that promoted, were this the last step.

    A promotion ends a rollout, and so the run where it `until_promoted`.
    """
    test = SequentialTest(
        SequentialTestParameters(
            replace(analysis, interval=timedelta(seconds=recording.interval)),
            recording.reference(),
            overdispersion,
            points_apart=recording.points_apart,
        )
    )
    test.confidence_sequence = NoInterval(analysis.false_rollback)
    promoted: float | None = None
    for number, increment in enumerate(recording.increments(), start=1):
        test.update(increment)
        if test.rejected_at:
            return Outcome(number * recording.interval, promoted)
        if recording.candidate.has_latency and promoted is None and _is_acceptable(test):
            promoted = float(number * recording.interval)
            if until_promoted:
                break
    return Outcome(None, promoted)


def learned(recording: Recording, analysis: Analysis) -> Overdispersion:
    """What the product knows of clumps before the rollout: the user's number, or what stable's pods tell."""
    latency = analysis.latency
    boundaries = boundaries_of(recording.reference(), latency)
    slow = {boundary.quantile: _slower_than(recording.before, boundary.stable) for boundary in boundaries}
    failed = _blocks(recording.before, [pod.failed for pod in recording.before])
    slowed = {quantile: _blocks(recording.before, counted) for quantile, counted in slow.items()}
    errors = analysis.overdispersion or estimate_overdispersion(failed)
    clumps = {q: analysis.overdispersion or estimate_overdispersion(blocks) for q, blocks in slowed.items()}
    spreads = {quantile: estimate_spread(blocks, clumps[quantile]) for quantile, blocks in slowed.items()}
    return Overdispersion(errors, clumps, spread=estimate_spread(failed, errors), latency_spread=spreads)


def _is_acceptable(test: SequentialTest) -> bool:
    if test.last.log_worse >= math.log(WATCHFUL):
        return False
    return test.weakest().log_acceptable() >= -math.log(test.parameters.analysis.false_promotion)


def _slower_than(pods: Sequence[Arm], bound: int) -> list[Ints]:
    return [pod.histogram[:, -1] - pod.histogram[:, bound] for pod in pods]


def _blocks(pods: Sequence[Arm], bad: Sequence[Ints]) -> list[Block]:
    names = [f"stable-{number}" for number in range(len(pods))]
    requests = np.stack([pod.requests for pod in pods], axis=1).tolist()
    return [
        {name: Tally(*tally) for name, tally in zip(names, zip(of_bad, of_all, strict=True), strict=True)}
        for of_bad, of_all in zip(np.stack(bad, axis=1).tolist(), requests, strict=True)
    ]
