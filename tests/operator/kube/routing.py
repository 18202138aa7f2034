"""One model's route on the API server of the tests, written and read as the operator does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tidegate.controller.act import signed
from tidegate.controller.observe import FollowedFor
from tidegate.kube.cluster import KubernetesCluster
from tidegate.model.traffic import RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing.backend import Returns, RouterBackend, RouteWrite

Weights = Mapping[str, int | None]
Listed = Callable[[], Weights]
Settle = Callable[[], None]
STABLE, CANDIDATE = "digits-6f9c1d2e", "digits-81aa0b4c"
NOBODY: frozenset[str] = frozenset()
RELEASE = (
    (TrafficSplit.only(STABLE), NOBODY),
    (TrafficSplit.between(STABLE, CANDIDATE, 0), NOBODY),
    (TrafficSplit.between(STABLE, CANDIDATE, 25), NOBODY),
    (TrafficSplit.only(STABLE), frozenset({CANDIDATE})),
)
"""What is written one after the other, with the revisions that leave meanwhile."""
LOAN = (NOBODY, frozenset({"legacy"}), NOBODY)
"""Who leaves at each of the writes that take what the user lends: `legacy` is what requests went to before."""


class Seen(NamedTuple):
    """What is known of a route: as it was written, or as it was read."""

    split: TrafficSplit | None
    settings: Any
    leaving: frozenset[str]
    writer: Writer | None
    edited_by: str


@dataclass(frozen=True)
class Routing:
    """`ours`: the settings of a route of ours, which are meant where none are named."""

    router: RouterBackend
    cluster: KubernetesCluster
    owner: Owner
    ours: RouteSettings

    def read(self, wanted: RouteSettings | None = None) -> RouteState:
        return self.router.read(self.owner, wanted or self.ours, FollowedFor(self.cluster, self.owner), ())

    def write(
        self,
        split: TrafficSplit,
        wanted: RouteSettings | None = None,
        seen: RouteState | None = None,
        leaving: frozenset[str] = NOBODY,
    ) -> None:
        wanted = wanted or self.ours
        seen = seen or self.read(wanted)
        for each in self.router.writes(self.owner, split, wanted, seen, leaving, self.cluster.writer):
            if isinstance(each, RouteWrite):
                self.cluster.apply(each.resource, signed(each.manifest, self.cluster.writer), each.version)
            else:
                self.cluster.patch(*each)

    def released(self, wanted: RouteSettings | None = None) -> tuple[list[Seen], list[Seen]]:
        """A release as it was written, and as it was read back."""
        written, read = [], []
        settings = self.router.settings(self.owner, wanted or self.ours)
        for split, leaving in RELEASE:
            self.write(split, wanted, leaving=leaving)
            written.append(Seen(split, settings, leaving, self.cluster.writer, ""))
            state = self.read(wanted)
            read.append(Seen(state.split, state.settings, state.leaving, state.writer, state.edited_by))
        return written, read

    @property
    def returns(self) -> Returns:
        """What a model that asks for no route any more gives back next."""
        return self.router.returns(self.owner, None, FollowedFor(self.cluster, self.owner))

    def taken(self, lent: RouteSettings, listed: Listed, settle: Settle) -> list[tuple[Weights, frozenset[str]]]:
        """What the user's route has by weight, and who is seen to leave, after each write; `settle` lies between."""
        found: list[tuple[Weights, frozenset[str]]] = []
        for leaving in LOAN:
            if found:
                settle()
            self.write(TrafficSplit.only(STABLE), lent, leaving=leaving)
            found.append((listed(), self.read(lent).leaving))
        return found

    def given_back(self, listed: Listed, settle: Settle) -> list[Weights]:
        """What the user's route has by weight after each of three steps, with `settle` before each."""
        found = []
        for _ in range(3):
            settle()
            for patch in self.returns.patches:
                self.cluster.patch(*patch)
            found.append(listed())
        return found
