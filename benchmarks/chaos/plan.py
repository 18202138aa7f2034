"""Which fault strikes in which phase of which release, in an order that a seed decides. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Component(StrEnum):
    """What is struck."""

    OPERATOR = "operator"
    AGENT = "router's agent"
    ENVOY = "router's Envoy"
    STABLE = "a model server of stable"
    CANDIDATE = "a model server of the candidate"
    PROMETHEUS = "Prometheus"
    API_SERVER = "the API server"


class Kind(StrEnum):
    """How it is struck. What is frozen, slow or full is so for some seconds."""

    KILLED = "killed"
    FROZEN = "frozen"
    SLOW = "slow"
    FULL = "out of space"


class Phase(StrEnum):
    """Where a release stands when it is struck."""

    LIVE = "live"
    STARTING = "starting"
    FIRST_STEP = "at 20 %"
    SECOND_STEP = "at 50 %"
    ALL = "with all traffic"
    GOING_BACK = "as a failing one goes back"


PROMOTION = (Phase.LIVE, Phase.STARTING, Phase.FIRST_STEP, Phase.SECOND_STEP, Phase.ALL)
ROLLBACK = (Phase.GOING_BACK,)
KINDS: Mapping[Component, tuple[Kind, ...]] = {
    Component.OPERATOR: (Kind.KILLED, Kind.FROZEN, Kind.SLOW),
    Component.AGENT: (Kind.KILLED, Kind.FROZEN, Kind.SLOW, Kind.FULL),
    Component.ENVOY: (Kind.KILLED, Kind.FROZEN, Kind.SLOW),
    Component.STABLE: (Kind.KILLED, Kind.FROZEN, Kind.SLOW),
    Component.CANDIDATE: (Kind.KILLED, Kind.FROZEN, Kind.SLOW),
    Component.PROMETHEUS: (Kind.KILLED, Kind.FROZEN, Kind.SLOW),
    # Nobody would start it again: the cluster's own supervisor isn't part of what is tried here.
    Component.API_SERVER: (Kind.FROZEN, Kind.SLOW),
}
"""Only the routers have a bounded volume that can be filled without filling the machine's own disk."""
WITHOUT_CANDIDATE = (Phase.LIVE, Phase.STARTING)


@dataclass(frozen=True)
class Fault:
    """One of them."""

    component: Component
    kind: Kind
    phase: Phase

    @property
    def costs_requests(self) -> bool:
        """Whether what was under way in it may be lost, with nobody who could know."""
        carries = (Component.ENVOY, Component.STABLE, Component.CANDIDATE)
        return self.kind is Kind.KILLED and self.component in carries

    @property
    def leaves_nobody_to_ask_again(self) -> bool:
        """Whether a second try may be lost too: the candidate's only pod has died, and keeps its share for a second."""
        return self.kind is Kind.KILLED and self.component is Component.CANDIDATE

    @property
    def tells_against_the_candidate(self) -> bool:
        """Whether a good candidate may be taken back for it."""
        return self.component is Component.CANDIDATE


@dataclass(frozen=True)
class Release:
    """One release: of a good model, or of one that fails on an image in five; and what strikes while it goes on."""

    is_good: bool
    faults: tuple[Fault, ...]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The right ones."""
        if not self.is_good:
            return ("RolledBack",)
        struck = any(fault.tells_against_the_candidate for fault in self.faults)
        return ("Promoted", "RolledBack") if struck else ("Promoted",)


def every_fault() -> Iterator[Fault]:
    """Each component × kind × phase that there is."""
    for component, kinds in KINDS.items():
        for kind in kinds:
            for phase in Phase:
                if component is not Component.CANDIDATE or phase not in WITHOUT_CANDIDATE:
                    yield Fault(component, kind, phase)


def plan(seed: int, faults: int) -> tuple[Release, ...]:
    """Releases with so many faults: every one that there is, again and again, shuffled by the seed.

    A release of a good model meets at most one fault in each phase; one of a failing model has no time for two.
    """
    dice, drawn = random.Random(seed), list[Fault]()
    while len(drawn) < faults:
        once = list(every_fault())
        dice.shuffle(once)
        drawn += once
    return tuple(_releases(drawn[:faults], dice))


def _releases(faults: Sequence[Fault], dice: random.Random) -> Iterator[Release]:
    by_phase = {phase: [fault for fault in faults if fault.phase is phase] for phase in Phase}
    good = max(len(by_phase[phase]) for phase in PROMOTION)
    kinds = [True] * good + [False] * len(by_phase[Phase.GOING_BACK])
    dice.shuffle(kinds)
    for is_good in kinds:
        phases = PROMOTION if is_good else ROLLBACK
        struck = tuple(by_phase[phase].pop() for phase in phases if by_phase[phase])
        yield Release(is_good, struck)
