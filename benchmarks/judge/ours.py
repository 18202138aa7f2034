"""The product's own judge: a real Trial that hears real Polls. Nothing of it is written anew here."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.judge.outcomes import Outcome
from benchmarks.judge.traffic import Arm, Ints, Recording
from tidegate.judge.dispersion import Block, clump_size
from tidegate.judge.interval import Interval
from tidegate.judge.latency import boundaries_of
from tidegate.judge.pods import Tally
from tidegate.judge.trial import Terms, Trial
from tidegate.judge.verdict import WATCHFUL
from tidegate.model.evidence import Dispersion
from tidegate.model.spec import Analysis


class _NobodyReads(Interval):
    """An interval is a sentence for people and no part of a verdict; a trial takes a part of the time without it."""

    def add(self, candidate: tuple[float, float], stable: tuple[float, float]) -> None:
        return


def hear(recording: Recording, analysis: Analysis, dispersion: Dispersion, *, until_promoted: bool = False) -> Outcome:
    """When the candidate would have been rolled back, and before that promoted, were this the last step.

    A promotion ends a rollout, and so the run where it `until_promoted`.
    """
    trial = Trial(Terms(analysis, reference=recording.reference(), dispersion=dispersion))
    trial.interval = _NobodyReads(analysis.false_rollback)
    promoted: float | None = None
    for number, poll in enumerate(recording.polls(), start=1):
        trial.hear(poll)
        if trial.condemned:
            return Outcome(number * recording.interval, promoted)
        if recording.candidate.has_latency and promoted is None and _is_acceptable(trial):
            promoted = float(number * recording.interval)
            if until_promoted:
                break
    return Outcome(None, promoted)


def learned(recording: Recording, analysis: Analysis) -> Dispersion:
    """What the product knows of clumps before the rollout: the user's number, or what stable's pods tell."""
    latency = analysis.latency
    boundaries = boundaries_of(recording.reference(), latency)
    slow = {boundary.quantile: _slower_than(recording.before, boundary.stable) for boundary in boundaries}
    return Dispersion(
        analysis.dispersion or clump_size(_blocks(recording.before, [pod.failed for pod in recording.before])),
        {
            quantile: analysis.dispersion or clump_size(_blocks(recording.before, counted))
            for quantile, counted in slow.items()
        },
    )


def _is_acceptable(trial: Trial) -> bool:
    if trial.last.log_worse >= math.log(WATCHFUL):
        return False
    return trial.weakest().log_acceptable() >= -math.log(trial.terms.analysis.false_promotion)


def _slower_than(pods: Sequence[Arm], bound: int) -> list[Ints]:
    return [pod.histogram[:, -1] - pod.histogram[:, bound] for pod in pods]


def _blocks(pods: Sequence[Arm], bad: Sequence[Ints]) -> list[Block]:
    names = [f"stable-{number}" for number in range(len(pods))]
    requests = np.stack([pod.requests for pod in pods], axis=1).tolist()
    return [
        {name: Tally(*tally) for name, tally in zip(names, zip(of_bad, of_all, strict=True), strict=True)}
        for of_bad, of_all in zip(np.stack(bad, axis=1).tolist(), requests, strict=True)
    ]
