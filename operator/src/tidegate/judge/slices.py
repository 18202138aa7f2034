"""Groups of requests judged by themselves: as good overall, but worse for one tenant, is worse. Pure.

Each group of each slice has an e-process of its own, with the margins of all requests, and they are averaged. The
average of e-values is one, whatever the dependence among them, so that the whole stays within `falseRollback` however
many groups there are: a group that is worse has to show the number of groups times as much, which in logarithms, and so
in requests, is little. A group without requests adds a one to the average, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from tidegate.judge.arms import add_ceiling, add_two_arms, with_luck
from tidegate.judge.context import ENOUGH_OF_THE_PAST, SURE, Context, at_most
from tidegate.judge.e_process import DOWNWARD, UPWARD, EProcess
from tidegate.judge.metric import Clump, Metric
from tidegate.judge.spread import luck
from tidegate.model.evidence import IDLE, CellCounts, Cells, Increment, Overdispersion
from tidegate.model.slices import OTHER, Slice, Slices, cells_of, groups_of
from tidegate.model.spec import ErrorRate, Margin

PART_OF_SLICES = 0.2
"""Their weight in a rollback, where there are some; the others share the rest as they do without them."""
FEW = 100
"""Requests of a group at one of the revisions below which people are told that they are few."""


@dataclass(frozen=True)
class Group:
    """One value of a slice, or its others, and the cells that its requests are counted in."""

    slice: Slice
    value: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"slice {self.slice.name}, {self.value}"

    @property
    def is_required(self) -> bool:
        """Whether a promotion waits for it."""
        return self.slice.required and self.value != OTHER

    def counted(self, cells: Cells) -> CellCounts:
        """Its part of what was counted."""
        found = IDLE
        for cell in self.cells:
            if cell in cells:
                found = found.plus(cells[cell])
        return found


class SliceErrors(Metric):
    """Failures of both arms, group by group; without stable, against what it did of the group beside the candidate."""

    name = "slices"

    def __init__(self, slices: Slices, errors: ErrorRate, overdispersion: Overdispersion, context: Context) -> None:
        super().__init__()
        self.weight = PART_OF_SLICES
        self._errors, self._context = errors, context
        self._phi, self._spread = overdispersion.errors, overdispersion.spread
        # That one of the bounds of the past is wrong is as unlikely as it is of all requests.
        self._sure = NormalDist().inv_cdf(1 - (1 - NormalDist().cdf(SURE)) / len(list(groups_of(slices))))
        named = cells_of(slices)
        self.groups = tuple(Group(each, value, named[each.name, value]) for each, value in groups_of(slices))
        self.required = tuple(group for group in self.groups if group.is_required)
        self.worse = [EProcess(UPWARD) for _ in self.groups]
        self.acceptable = [EProcess(DOWNWARD, start_at_once=1.0) for _ in self.required]

    def update(self, increment: Increment) -> None:
        """Takes in one increment; groups that had no requests in it are left as they were."""
        tolerate = with_luck(self._errors.tolerate, luck(self._spread, self._context.candidate_pods))
        if self._context.leaves_alone(increment):
            self._against_the_past(increment, tolerate)
            return
        for groups, e_processes, margin in (
            (self.groups, self.worse, tolerate),
            (self.required, self.acceptable, self._errors.accept),
        ):
            for group, e_process in zip(groups, e_processes, strict=True):
                ours, theirs = group.counted(increment.candidate.cells), group.counted(increment.stable.cells)
                if ours.requests or theirs.requests:
                    arms = (ours.failed, ours.requests), (theirs.failed, theirs.requests)
                    add_two_arms(e_process, margin, *arms, self._phi, increment.lasted)

    def _against_the_past(self, increment: Increment, tolerate: Margin) -> None:
        """Where stable doesn't serve. What a group did before the rollout isn't known."""
        accept = self._errors.accept
        for group, e_process in zip(self.groups, self.worse, strict=True):
            ours, past = group.counted(increment.candidate.cells), group.counted(self._context.beside.cells)
            if not ours.requests or past.requests < ENOUGH_OF_THE_PAST:
                continue
            highest = at_most(past.failed, past.requests, self._phi, self._sure)
            line = max(margin.ratio * highest + margin.absolute for margin in (accept, tolerate))
            add_ceiling(e_process, min(1.0, line), (ours.failed, ours.requests), self._phi, increment.lasted)

    def heaviest(self) -> Group:
        """The group with the most evidence that the candidate is worse."""
        return max(zip(self.worse, self.groups, strict=True), key=lambda pair: pair[0].log_value)[1]

    def weakest(self) -> Group:
        """The one that a promotion waits for the most; there is one that it waits for."""
        return min(zip(self.acceptable, self.required, strict=True), key=lambda pair: pair[0].log_value)[1]

    def clump(self) -> Clump:
        return Clump("failures", self._phi)


def with_slices(
    metrics: Sequence[Metric], slices: Slices, errors: ErrorRate, overdispersion: Overdispersion, context: Context
) -> Sequence[Metric]:
    """What is judged, with the slices where there are some. The weights still add to 1."""
    if not slices:
        return metrics
    for metric in metrics:
        metric.weight *= 1 - PART_OF_SLICES
    return [*metrics, SliceErrors(slices, errors, overdispersion, context)]
