"""The trials under way, so that each poll is heard once, and not all of them anew at every look."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.judge.trial import Terms, Trial
from tidegate.judge.verdict import Question, answer, cannot_see, terms_of
from tidegate.model.evidence import Blindness, Poll, Sight, Verdict

Case = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


@dataclass
class _Held:
    terms: Terms
    trial: Trial
    last: Poll | None = None


class Docket:
    """Gives the verdicts that `judge` gives, for less. One case is judged by one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[Case, _Held] = {}

    def judge(
        self, case: Case, sight: Sight | Blindness, question: Question, nodes: Mapping[str, str] | None = None
    ) -> Verdict:
        """The verdict on all that has been seen so far."""
        if isinstance(sight, Blindness):
            return cannot_see(sight)
        held = self._of(case, terms_of(sight, question), sight)
        for poll in sight.polls[held.trial.polls :]:
            held.trial.hear(poll)
            held.last = poll
        return answer(held.trial, question, sight, nodes)

    def forget(self, namespace: str, name: str) -> None:
        """Drops the trial of a ModelDeployment that has no rollout any more."""
        self._held.pop((namespace, name), None)

    def _of(self, case: Case, terms: Terms, sight: Sight) -> _Held:
        held = self._held.get(case)
        if held is None or held.terms != terms or not _goes_on(held, sight):
            held = self._held[case] = _Held(terms, Trial(terms))
        return held


def _goes_on(held: _Held, sight: Sight) -> bool:
    """Whether the polls begin with those that were heard: another rollout, or another start, is another trial."""
    heard = held.trial.polls
    return len(sight.polls) >= heard and (heard == 0 or sight.polls[heard - 1] == held.last)
