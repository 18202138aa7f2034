"""Whether the candidate predicts other things than stable does on the same traffic. Pure.

A new model is meant to differ, so this never rolls back unless the user says so: it holds, and a person decides. For
each class, and at each bound of the top score, both directions are tested against a tolerance in percentage points.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from tidegate.judge.context import at_most
from tidegate.judge.e_process import EProcess, log_e, log_e_ceiling, log_sum, weighted
from tidegate.model.evidence import Predictions
from tidegate.model.spec import PredictionDrift
from tidegate.model.units import format_percent

ALTERNATIVES = weighted((1.3, 1.0), (1.8, 2.0), (3.0, 2.0), (8.0, 1.0), (40.0, 0.5))
ENOUGH_TO_CALL_CONSTANT = 50
OTHER_ANSWERS = 0.9
"""Stable's share of its most frequent class, above which a constant answer is nothing new."""

SCORE = "a score of at most"

Share = tuple[int, int]
"""Rows of a kind, and rows in all."""


class Shift(NamedTuple):
    """The largest difference: what it is about, and both shares as they were counted."""

    what: str
    candidate: Share
    stable: Share

    def __str__(self) -> str:
        return f"{self.what} in {_percent(self.candidate)} of the answers against {_percent(self.stable)} on stable"


class Drift:
    """Gathers evidence, increment by increment, that more of the answers are others than is tolerated."""

    def __init__(self, tolerated: PredictionDrift) -> None:
        self._tolerated = tolerated
        self._e_processes: dict[tuple[str, bool], EProcess] = {}

    def add(self, candidate: Predictions, stable: Predictions) -> None:
        """Takes in one increment."""
        for what, candidate_share, stable_share in _shares(candidate, stable):
            self._update(what, True, candidate_share, stable_share)
            self._update(what, False, _rest(candidate_share), _rest(stable_share))

    def add_alone(self, candidate: Predictions, past: Predictions) -> None:
        """Takes in one increment without stable: what it answered before is a fixed share, as far as that is known."""
        for what, candidate_share, past_share in _shares(candidate, past):
            if past_share[1]:
                self._hold_against(what, True, candidate_share, past_share)
                self._hold_against(what, False, _rest(candidate_share), _rest(past_share))

    def log_value(self) -> float:
        """Log of the average over all kinds of differences; 0 before any."""
        if not self._e_processes:
            return 0.0
        return log_sum(e_process.log_value for e_process in self._e_processes.values()) - math.log(
            len(self._e_processes)
        )

    def _update(self, what: str, more: bool, candidate: Share, stable: Share) -> None:
        e_process = self._e_processes.setdefault((what, more), EProcess(ALTERNATIVES))
        tolerance = self._tolerance(what)
        e_process.add(
            lambda kappa: log_e(
                candidate[0], stable[0], candidate[1], stable[1], kappa=kappa, ratio=1.0, absolute=tolerance
            )
        )

    def _hold_against(self, what: str, more: bool, candidate: Share, past: Share) -> None:
        e_process = self._e_processes.setdefault((what, more), EProcess(ALTERNATIVES))
        line = min(1.0, at_most(*past) + self._tolerance(what))
        e_process.add(lambda kappa: log_e_ceiling(candidate[0], candidate[1], kappa=kappa, ceiling=line))

    def _tolerance(self, what: str) -> float:
        return self._tolerated.score_drift if what.startswith(SCORE) else self._tolerated.drift


def largest_shift(candidate: Predictions, stable: Predictions, tolerated: PredictionDrift) -> Shift | None:
    """The kind of answer that is the furthest beyond what is tolerated; None without answers of both."""
    shifts = [Shift(what, ours, theirs) for what, ours, theirs in _shares(candidate, stable) if ours[1] and theirs[1]]

    def beyond(shift: Shift) -> float:
        tolerance = tolerated.score_drift if shift.what.startswith(SCORE) else tolerated.drift
        return abs(shift.candidate[0] / shift.candidate[1] - shift.stable[0] / shift.stable[1]) - tolerance

    return max(shifts, key=beyond, default=None)


def constant_answer(candidate: Predictions, stable: Predictions) -> str | None:
    """The one class that the candidate answers whatever it is asked, where stable has more than one."""
    rows, usual = sum(candidate.classes.values()), sum(stable.classes.values())
    if rows < ENOUGH_TO_CALL_CONSTANT or not usual:
        return None
    answered = [name for name, count in candidate.classes.items() if count]
    if len(answered) != 1 or max(stable.classes.values()) / usual > OTHER_ANSWERS:
        return None
    return answered[0]


def _shares(candidate: Predictions, stable: Predictions) -> Iterator[tuple[str, Share, Share]]:
    rows, usual = sum(candidate.classes.values()), sum(stable.classes.values())
    for name in sorted({*candidate.classes, *stable.classes}):
        yield f"class {name}", (candidate.classes.get(name, 0), rows), (stable.classes.get(name, 0), usual)
    if candidate.scores.bounds and candidate.scores.bounds == stable.scores.bounds:
        for index, bound in enumerate(candidate.scores.bounds[:-1]):
            ours = candidate.scores.cumulative[index], candidate.scores.total
            theirs = stable.scores.cumulative[index], stable.scores.total
            yield f"{SCORE} {bound:g}", ours, theirs


def _rest(share: Share) -> Share:
    return share[1] - share[0], share[1]


def _percent(share: Share) -> str:
    return format_percent(share[0] / share[1])
