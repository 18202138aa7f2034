"""Kayenta's judge (NetflixACAJudge): Mann–Whitney on one point a minute, against a baseline of the same size. Pure.

A metric is High when the 98 % confidence interval of the shift lies above a quarter of its Hodges–Lehmann estimate. The
interval's end is a root of the same statistic, so asking for the statistic at that quarter needs no root. NaN is
removed; a judgement without points scores 0, which is a failed canary.
"""

import math
from enum import Enum
from statistics import NormalDist

import numpy as np

from benchmarks.judge.traffic import Arm, Floats, Recording
from benchmarks.judge.windows import over_windows, percentile, share

JUDGED_AT = (600, 1200, 1800)
MINUTE = 60
TOLERANCE = 0.25
CONFIDENCE = 0.98
_NEEDED = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)


class Finding(Enum):
    """Of one metric in one judgement."""

    PASS = "Pass"  # noqa: S105 - a classification, no password
    HIGH = "High"
    NO_DATA = "Nodata"


def kayenta(recording: Recording) -> float | None:
    """The first judgement that fails the candidate."""
    candidate = _points(recording.candidate, recording.interval)
    baseline = _points(recording.baseline, recording.interval)
    for seconds in JUDGED_AT:
        points = seconds // MINUTE
        findings = [
            classify(of_candidate[:points], of_baseline[:points])
            for of_candidate, of_baseline in zip(candidate, baseline, strict=True)
        ]
        if Finding.HIGH in findings or 2 * findings.count(Finding.NO_DATA) >= len(findings):
            return float(seconds)
    return None


def classify(candidate: Floats, baseline: Floats) -> Finding:
    """One metric's points so far; an increase is what is feared."""
    candidate, baseline = candidate[~np.isnan(candidate)], baseline[~np.isnan(baseline)]
    if not len(candidate) or not len(baseline):
        return Finding.NO_DATA
    estimate = abs(float(np.median(candidate[:, np.newaxis] - baseline)))
    surely_higher = standard_score(candidate, baseline, TOLERANCE * estimate) > _NEEDED
    return Finding.HIGH if surely_higher and candidate.mean() >= baseline.mean() else Finding.PASS


def standard_score(candidate: Floats, baseline: Floats, shift: float = 0.0) -> float:
    """Wilcoxon's statistic of `candidate - shift` against `baseline`, with corrections for ties and continuity."""
    moved = candidate - shift
    apart = moved[:, np.newaxis] - baseline
    wins = float((apart > 0).sum() + 0.5 * (apart == 0).sum())
    ours, theirs = len(candidate), len(baseline)
    every = ours + theirs
    _, ties = np.unique(np.concatenate([moved, baseline]), return_counts=True)
    variance = ours * theirs / 12 * (every + 1 - float((ties**3 - ties).sum()) / (every * (every - 1)))
    if variance <= 0:
        return 0.0
    away = wins - ours * theirs / 2
    return (away - math.copysign(0.5, away)) / math.sqrt(variance) if away else 0.0


def _points(arm: Arm, interval: int) -> list[Floats]:
    """One row per metric: the error rate of each minute, and its p99 where there is latency."""
    requests = over_windows(arm.requests, interval, window=MINUTE, every=MINUTE)
    points = [share(over_windows(arm.failed, interval, window=MINUTE, every=MINUTE), requests)]
    if arm.has_latency:
        points.append(percentile(over_windows(arm.histogram, interval, window=MINUTE, every=MINUTE), 0.99))
    return points
