"""What is asked of candidates that are drawn by chance again and again. Pure."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.markdown import met
from tidegate.model.units import format_percent


class Case(Protocol):
    """A kind of candidate."""

    @property
    def is_within(self) -> bool:
        """Whether calling it bad would be wrong."""
        ...

    @property
    def is_goal(self) -> bool:
        """Whether it has to be found."""
        ...


@dataclass(frozen=True)
class Goals:
    """At most `wrong` of the runs of what is within may be called bad, and at least `found` of a goal's have to be."""

    wrong: float
    found: float

    def are_met(self, case: Case, called: int, found: int, runs: int) -> bool:
        """By how many of its runs were ever called bad, and found to be."""
        if case.is_within:
            return called <= self.wrong * runs
        return not case.is_goal or found >= self.found * runs

    def told(self, case: Case, *, are_met: bool) -> str:
        """A cell of a table; '' where nothing is asked of it."""
        if case.is_within:
            return f"≤ {format_percent(self.wrong)}: {met(are_met)}"
        return f"≥ {format_percent(self.found)}: {met(are_met)}" if case.is_goal else ""
