"""What was promised of each scenario, and whether what was measured keeps it. Pure.

A release that has no figure, because it never came that far or ended otherwise, counts as one that took for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isinf
from statistics import median
from typing import assert_never

from benchmarks.releases.results import Measured, Release
from benchmarks.releases.scenarios import PROMOTED, Kind

MOST_MEDIAN_SECONDS = {2: 8.0, 5: 12.0}
"""From the first bad answer to the last, by the scrape interval."""
MOST_USERS = 25
MOST_SLOW_SECONDS = 15.0


@dataclass(frozen=True)
class Goal:
    """One promise about one scenario."""

    scenario: str
    words: str
    seen: str
    met: bool


def judge(everything: Iterable[Measured]) -> list[Goal]:
    """Every goal of every scenario that was measured."""
    return [goal for measured in everything for goal in (*_goals_of(measured), _nothing_lost(measured))]


def is_as_promised(measured: Measured, release: Release) -> bool:
    """Whether it ended as it had to."""
    return release.outcome == measured.scenario.outcome


def _goals_of(measured: Measured) -> list[Goal]:
    match measured.scenario.kind:
        case Kind.FAILING:
            return _failing(measured)
        case Kind.SLOW:
            return [_ended(measured), _slow(measured)]
        case Kind.EQUAL:
            return [_ended(measured)]
        case _ as unhandled:
            assert_never(unhandled)


def _failing(measured: Measured) -> list[Goal]:
    goals = [_ended(measured)]
    limit = MOST_MEDIAN_SECONDS.get(measured.scenario.scrape)
    if limit is not None:
        typical = median(_padded(measured, [_bad_seconds(measured, release) for release in measured.releases]))
        words = f"median of first to last bad answer at most {limit:g} s"
        goals.append(Goal(measured.scenario.title, words, _seconds(typical), typical <= limit))
    users = max(_padded(measured, [_users(measured, release) for release in measured.releases]))
    words = f"at most {MOST_USERS} users saw a bad answer, in any release"
    goals.append(Goal(measured.scenario.title, words, _count(users), users <= MOST_USERS))
    return goals


def _slow(measured: Measured) -> Goal:
    worst = max(_padded(measured, [_answer_seconds(measured, release) for release in measured.releases]))
    words = f"each is gone within {MOST_SLOW_SECONDS:g} s of its first answer"
    return Goal(measured.scenario.title, words, f"{_seconds(worst)} at worst", worst <= MOST_SLOW_SECONDS)


def _ended(measured: Measured) -> Goal:
    scenario = measured.scenario
    right = sum(is_as_promised(measured, release) for release in measured.releases)
    words = "each is promoted, none rolled back" if scenario.outcome == PROMOTED else "each is rolled back"
    return Goal(scenario.title, words, f"{right} of {scenario.releases}", right == scenario.releases)


def _nothing_lost(measured: Measured) -> Goal:
    seen = f"{measured.lost} of {measured.sent:,}"
    return Goal(measured.scenario.title, "no request is lost", seen, measured.lost == 0 and measured.sent > 0)


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


def _users(measured: Measured, release: Release) -> float:
    return release.bad if is_as_promised(measured, release) and release.bad else inf


def _seconds(value: float) -> str:
    return "never" if isinf(value) else f"{value:.1f} s"


def _count(value: float) -> str:
    return "no end of them" if isinf(value) else f"{value:.0f}"
