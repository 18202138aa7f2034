"""The sequential tests under way: each increment updates its test once, and not all of them at every reconcile."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.judge.case import Criteria
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.judge.verdict import answer, cannot_see, parameters_of
from tidegate.model.evidence import Increment, Measurements, MetricsGap, Verdict

Case = tuple[str, str]
"""Namespace and name of a ModelDeployment."""


@dataclass
class _Held:
    parameters: SequentialTestParameters
    test: SequentialTest
    last: Increment | None = None


class VerdictCache:
    """Gives the verdicts that `judge` gives, for less. One ModelDeployment is judged by one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[Case, _Held] = {}

    def judge(
        self,
        case: Case,
        measurements: Measurements | MetricsGap,
        criteria: Criteria,
        nodes: Mapping[str, str] | None = None,
    ) -> Verdict:
        """The verdict on all measurements so far. `nodes` says on which node each pod runs, for people."""
        if isinstance(measurements, MetricsGap):
            return cannot_see(measurements)
        held = self._of(case, parameters_of(measurements, criteria), measurements)
        for increment in measurements.increments[held.test.increments :]:
            held.test.update(increment)
            held.last = increment
        return answer(held.test, criteria, measurements, nodes)

    def forget(self, namespace: str, name: str) -> None:
        """Drops the test of a ModelDeployment that has no rollout any more."""
        self._held.pop((namespace, name), None)

    def _of(self, case: Case, parameters: SequentialTestParameters, measurements: Measurements) -> _Held:
        held = self._held.get(case)
        if held is None or held.parameters != parameters or not _goes_on(held, measurements):
            held = self._held[case] = _Held(parameters, SequentialTest(parameters))
        return held


def _goes_on(held: _Held, measurements: Measurements) -> bool:
    """Whether the increments begin with those of the test: another rollout, or another start, is another test."""
    taken, increments = held.test.increments, measurements.increments
    return len(increments) >= taken and (taken == 0 or increments[taken - 1] == held.last)
