"""What was promised of each scenario, and whether what was measured keeps it. Pure.

A release that has no figure, because it never came that far or ended otherwise, counts as one that took for ever.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isinf
from statistics import median
from typing import assert_never

from benchmarks.releases.results import Measured, Release
from benchmarks.releases.scenarios import PROMOTED, THIS_CODE, Kind

MOST_MEDIAN_SECONDS: Mapping[Kind, float] = {Kind.FAILING: 3.0, Kind.UNSEEN: 3.0, Kind.BUSY: 2.0, Kind.SLOW: 5.0}
"""Until a bad candidate is gone: from its first bad answer to its last, or of a slow one from its first to its last."""
MOST_WORST_SECONDS = 5.0
MOST_MEDIAN_USERS = 7.0
BETTER_FROM_SCRAPE = 30
"""Seconds. A scrape as rare as this is what the commit before had to wait for."""
TIMES_BETTER = 8.0


@dataclass(frozen=True)
class Goal:
    """One promise about one scenario. `before` is what was seen of the baseline; empty where none was measured."""

    scenario: str
    words: str
    seen: str
    met: bool
    before: str = ""


@dataclass(frozen=True)
class _Figure:
    """What a goal is about: a number of each scenario, and how it is said."""

    words: str
    of: Callable[[Measured], float]
    said: Callable[[float], str]
    most: float

    def goal(self, measured: Measured, before: Measured | None) -> Goal:
        value = self.of(measured)
        was = self.said(self.of(before)) if before else ""
        return Goal(measured.scenario.title, self.words, self.said(value), value <= self.most, was)


def judge(everything: Iterable[Measured]) -> list[Goal]:
    """Every goal of every scenario that was measured with this code, beside the baseline's figures."""
    listed = list(everything)
    before = {measured.scenario.title: measured for measured in listed if measured.scenario.code != THIS_CODE}
    ours = [measured for measured in listed if measured.scenario.code == THIS_CODE]
    return [goal for measured in ours for goal in _goals(measured, before.get(measured.scenario.title))]


def is_as_promised(measured: Measured, release: Release) -> bool:
    """Whether it ended as it had to."""
    return release.outcome == measured.scenario.outcome


def _goals(measured: Measured, before: Measured | None) -> Iterator[Goal]:
    yield _beside(_ended, measured, before)
    for figure in _figures(measured.scenario.kind):
        yield figure.goal(measured, before)
    if before and measured.scenario.kind is Kind.FAILING and measured.scenario.scrape >= BETTER_FROM_SCRAPE:
        yield from _times_better(measured, before)
    if before and measured.scenario.kind is Kind.EQUAL:
        yield _no_slower(measured, before)
    yield _beside(_nothing_lost, measured, before)


def _figures(kind: Kind) -> list[_Figure]:
    match kind:
        case Kind.FAILING | Kind.UNSEEN:
            median_words, worst_words = (f"{what} of first to last bad answer" for what in ("median", "longest"))
            most, users = MOST_MEDIAN_SECONDS[kind], f"median of users with a bad answer at most {MOST_MEDIAN_USERS:g}"
            return [
                _Figure(f"{median_words} at most {most:g} s", _typical(_bad_seconds), _seconds, most),
                _Figure(f"{worst_words} at most {MOST_WORST_SECONDS:g} s", _worst_bad, _seconds, MOST_WORST_SECONDS),
                _Figure(users, _typical(_users), _count, MOST_MEDIAN_USERS),
            ]
        case Kind.BUSY:
            most = MOST_MEDIAN_SECONDS[kind]
            words = f"median of first to last bad answer at most {most:g} s"
            return [_Figure(words, _typical(_bad_seconds), _seconds, most)]
        case Kind.SLOW:
            most = MOST_MEDIAN_SECONDS[kind]
            words = f"median of first to last answer at most {most:g} s"
            return [_Figure(words, _typical(_answer_seconds), _seconds, most)]
        case Kind.EQUAL:
            return []
        case _ as unhandled:
            assert_never(unhandled)


def _times_better(measured: Measured, before: Measured) -> Iterator[Goal]:
    for words, of in (("faster", _bad_seconds), ("fewer users", _users)):
        ours, theirs = _typical(of)(measured), _typical(of)(before)
        times = 0.0 if isinf(ours) else theirs / max(ours, 1e-9)
        seen = "for ever" if isinf(times) else f"{times:.1f}×"
        yield Goal(measured.scenario.title, f"{TIMES_BETTER:g} times {words}", seen, times >= TIMES_BETTER, "1")


def _no_slower(measured: Measured, before: Measured) -> Goal:
    """Medians of a few releases differ by chance: a tenth longer is no slower."""
    ours, theirs = _typical(_promotion_seconds)(measured), _typical(_promotion_seconds)(before)
    words = "median from apply to promotion no longer than before (and a tenth)"
    return Goal(measured.scenario.title, words, _seconds(ours), ours <= 1.1 * theirs, _seconds(theirs))


def _beside(goal_of: Callable[[Measured], Goal], measured: Measured, before: Measured | None) -> Goal:
    goal = goal_of(measured)
    return replace(goal, before=goal_of(before).seen) if before else goal


def _ended(measured: Measured) -> Goal:
    scenario = measured.scenario
    right = sum(is_as_promised(measured, release) for release in measured.releases)
    words = "each is promoted, none rolled back" if scenario.outcome == PROMOTED else "each is rolled back"
    return Goal(scenario.title, words, f"{right} of {scenario.releases}", right == scenario.releases)


def _nothing_lost(measured: Measured) -> Goal:
    seen = f"{measured.lost} of {measured.sent:,}"
    return Goal(measured.scenario.title, "no request is lost", seen, measured.lost == 0 and measured.sent > 0)


_Number = Callable[[Measured, Release], float]


def _typical(of: _Number) -> Callable[[Measured], float]:
    """The median over all releases that were planned."""
    return lambda measured: median(_padded(measured, [of(measured, release) for release in measured.releases]))


def _worst_bad(measured: Measured) -> float:
    return max(_padded(measured, [_bad_seconds(measured, release) for release in measured.releases]))


def _padded(measured: Measured, values: list[float]) -> list[float]:
    """With one for each release that was planned."""
    return values + [inf] * (measured.scenario.releases - len(values))


def _bad_seconds(measured: Measured, release: Release) -> float:
    """A candidate of which nobody saw a bad answer shows nothing about how fast bad ones go."""
    if release.first_to_last_bad is None or not is_as_promised(measured, release):
        return inf
    return release.first_to_last_bad


def _answer_seconds(measured: Measured, release: Release) -> float:
    if release.first_to_last_answer is None or not is_as_promised(measured, release):
        return inf
    return release.first_to_last_answer


def _promotion_seconds(measured: Measured, release: Release) -> float:
    return release.seconds if is_as_promised(measured, release) else inf


def _users(measured: Measured, release: Release) -> float:
    return release.bad if is_as_promised(measured, release) and release.bad else inf


def _seconds(value: float) -> str:
    return "never" if isinf(value) else f"{value:.1f} s"


def _count(value: float) -> str:
    return "no end of them" if isinf(value) else f"{value:g}"
