"""A threshold on the candidate alone, tuned by simulation to roll back one harmless candidate in a hundred. Pure.

It knows what nobody knows: stable's true error rate or percentiles, the traffic, and that neither of them changes. A
window with fewer requests than usual is taken for a usual one, or else one failure of two requests would be a half.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from benchmarks.judge.scenarios import Scenario, Table
from benchmarks.judge.tidegate_defaults import rate_at_margin
from benchmarks.judge.traffic import HORIZON, PERCENTILES, WEIGHT, Arm, Floats, Ints, Recording
from benchmarks.judge.traffic_generator import slow_shares
from benchmarks.judge.windows import over_windows, share
from tidegate.model.spec import Analysis

WINDOWS = (60, 300, 600)
FALSE_ROLLBACKS = 0.01
EQUAL, TOLERATED = "equal", "tolerated"


@dataclass(frozen=True)
class Harmless:
    """A candidate that must stay: requests per second of both arms, and the share of its own that is bad."""

    rate: float
    share: float

    def usual(self, seconds: int) -> int:
        """The requests that it has in so many seconds."""
        return round(self.rate * WEIGHT * seconds)


@dataclass(frozen=True)
class Oracle:
    """Rolls back when more than a threshold of the candidate's requests in the last `window` seconds are bad.

    `column` says which percentile counts as slow; None counts errors. `tuned_for` names the harmless candidate.
    """

    tuned_for: str
    harmless: Harmless
    window: int
    column: int | None = None

    @property
    def name(self) -> str:
        """Of this one among its like."""
        what = "errors" if self.column is None else f"p{PERCENTILES[self.column]}"
        return f"{self.tuned_for}, {what}, {self.window} s"

    def rolled_back(self, recording: Recording, threshold: float) -> float | None:
        """The first time that the share is above the threshold."""
        bad = self._bad(recording.candidate)
        usual = self.harmless.usual(self.window)
        seen = over_full_windows(bad, recording.candidate.requests, recording.interval, self.window, usual)
        above = np.flatnonzero(seen > threshold)
        return float(self.window + above[0] * recording.interval) if len(above) else None

    def _bad(self, candidate: Arm) -> Ints:
        return candidate.failed if self.column is None else candidate.slow[:, self.column]


def oracles_for(scenario: Scenario, analysis: Analysis) -> tuple[Oracle, ...]:
    """Each window and, for latency, each percentile, once tuned for an equal and once for a tolerated candidate."""
    if scenario.is_for_tidegate_alone:
        return ()
    if scenario.table is Table.STRESS:
        return (Oracle(EQUAL, Harmless(scenario.rate, scenario.base), WINDOWS[0]),)
    return tuple(
        Oracle(tuned_for, Harmless(scenario.rate, bad), window, column)
        for tuned_for in (EQUAL, TOLERATED)
        for column, bad in _harmless_shares(scenario, analysis, tuned_for)
        for window in WINDOWS
    )


def tune(harmless: Harmless, interval: int, runs: int, random: Generator) -> dict[int, float]:
    """Each window's threshold: the least that so few harmless runs ever come above."""
    shape = (HORIZON // interval, runs)
    requests = random.poisson(harmless.rate * WEIGHT * interval, size=shape)
    bad = random.binomial(requests, harmless.share)
    thresholds = {}
    for window in WINDOWS:
        seen = over_full_windows(bad, requests, interval, window, harmless.usual(window))
        highest = np.sort(np.where(np.isnan(seen), 0.0, seen).max(axis=0))[::-1]
        thresholds[window] = float(highest[int(FALSE_ROLLBACKS * runs)])
    return thresholds


def over_full_windows(bad: Ints, requests: Ints, interval: int, window: int, usual: int) -> Floats:
    """The share of bad requests at each poll from the first on that has a whole window behind it."""
    part, whole = (over_windows(values, interval, window=window, every=interval) for values in (bad, requests))
    first = window // interval - 1
    return share(part[first:], np.maximum(whole[first:], usual))


def _harmless_shares(scenario: Scenario, analysis: Analysis, tuned_for: str) -> Iterator[tuple[int | None, float]]:
    tolerated = tuned_for == TOLERATED
    if scenario.slower is None:
        yield None, rate_at_margin(analysis.error_rate.tolerate, scenario.base) if tolerated else scenario.base
        return
    yield from enumerate(slow_shares(1 + analysis.latency.tolerate if tolerated else 1.0))
