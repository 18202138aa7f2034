"""RouterBackend: all that lies between decisions and a router. A new router is one module and one row in BACKENDS."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tidegate.kube.api import Manifest, Resource
from tidegate.kube.informer import Kind
from tidegate.model.traffic import Capabilities, RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.lent_rule import Operations
from tidegate.resources.ownership import Owner
from tidegate.resources.router_report import RouterReport

T = TypeVar("T")


class RouteWrite(NamedTuple):
    """An object that has to have these fields (server-side apply), if nobody has written it since."""

    resource: Resource
    manifest: Manifest
    version: str
    """Its resourceVersion as it was seen; empty where there was none."""


class RoutePatch(NamedTuple):
    """A change of an object that is the user's, by JSON patch: it does nothing where that isn't as it was seen."""

    resource: Resource
    namespace: str
    name: str
    operations: Operations


class Returns(NamedTuple):
    """What a ModelDeployment has of others' and isn't to have any more, and the next step of giving it back."""

    lent: int
    patches: Sequence[RoutePatch]


NOTHING_LENT = Returns(0, ())


class Followed(Protocol):
    """What was followed of a cluster, as last seen, for one ModelDeployment."""

    def own(self, kind: Kind[T]) -> list[T]:
        """The ModelDeployment's objects of one kind."""

    def everybody(self, kind: Kind[T]) -> list[T]:
        """All objects of a kind."""

    def unfollowed(self, kind: Kind[T]) -> str | None:
        """Why objects of a kind can't be seen; None where they can."""


class RouterBackend(Protocol):
    """One kind of router. Reads what was followed, returns what is to be written; calls no API itself."""

    @property
    def name(self) -> str:
        """Its value in `spec.traffic.router`."""

    @property
    def kinds(self) -> Sequence[Kind[Any]]:
        """What has to be followed for `read`."""

    @property
    def can(self) -> Capabilities:
        """What it can do beside splitting by weight."""

    def counted_by(self, route: RouteState) -> str:
        """The name of the metric source that counts the requests and failures of this route by revision."""

    @property
    def tells_counters(self) -> bool:
        """Whether its routers tell their counters to an operator that asks them (see `resources.sampling`)."""

    def settings(self, owner: Owner, wanted: RouteSettings) -> RouteSettings | None:
        """The settings as far as this router can carry them, as `read` gives them back; None where it carries none."""

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        """The route as it is: split, settings, and who has taken it. NO_ROUTE where there is none.

        `routers` are Tidegate's own, those that live. Raises RouterUnavailable where the cluster doesn't have what
        the route is written in.
        """

    def writes(
        self,
        owner: Owner,
        split: TrafficSplit,
        wanted: RouteSettings,
        seen: RouteState,
        leaving: Collection[str],
        writer: Writer,
    ) -> Sequence[RouteWrite | RoutePatch]:
        """What makes the route be so, in order. `seen` is what it was when the split was decided.

        Where the route `lists_first`, the revisions that are `leaving` stay listed at 0. `writer` is who writes.
        """

    def returns(self, owner: Owner, wanted: RouteSettings | None, followed: Followed) -> Returns:
        """What gives back whatever was lent to a ModelDeployment and isn't wanted any more; with None nothing is."""

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        """Services by which clients find the model. `router_service` is the DNS name of the chart's router."""
