"""A second RouterBackend, for tests: it keeps each split that it is told, in an object of a kind of its own."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tidegate.kube.api import Manifest, Resource
from tidegate.kube.informer import Kind
from tidegate.model.traffic import NO_ROUTE, Capabilities, RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.ownership import Owner
from tidegate.resources.router_report import RouterReport
from tidegate.traffic_routing.backend import NOTHING_LENT, Followed, Returns, RouteWrite

RECORDED_ROUTES = Resource("recording.example/v1", "RecordedRoute", "recordedroutes")


def read_recorded(manifest: Mapping[str, Any]) -> RouteState:
    """The split that was written last, taken by a router of that name."""
    backends = manifest["spec"]["backends"]
    split = TrafficSplit(tuple((each["revision"], each["weight"]) for each in backends))
    version = manifest["metadata"]["resourceVersion"]
    return RouteState(split, None, frozenset({"recorder"}), version=version)


RECORDED_ROUTE = Kind(RECORDED_ROUTES, read_recorded)


class Recording:
    """Knows weights and nothing else: no settings, no Services, no counters of its own."""

    name = "Recording"
    kinds = (RECORDED_ROUTE,)
    can = Capabilities()
    tells_counters = False

    def __init__(self) -> None:
        self.splits: list[TrafficSplit] = []

    def counted_by(self, route: RouteState) -> str:
        return "Servers"

    def settings(self, owner: Owner, wanted: RouteSettings) -> None:
        """It carries none."""

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        return next(iter(followed.own(RECORDED_ROUTE)), NO_ROUTE)

    def writes(
        self,
        owner: Owner,
        split: TrafficSplit,
        wanted: RouteSettings,
        seen: RouteState,
        leaving: Collection[str],
        writer: Writer,
    ) -> Sequence[RouteWrite]:
        self.splits.append(split)
        metadata = {"namespace": owner.namespace, "name": owner.name}
        spec = {"backends": [{"revision": revision, "weight": weight} for revision, weight in split]}
        kind = {"apiVersion": RECORDED_ROUTES.api_version, "kind": RECORDED_ROUTES.kind}
        return (RouteWrite(RECORDED_ROUTES, {**kind, "metadata": metadata, "spec": spec}, seen.version),)

    def returns(self, owner: Owner, wanted: RouteSettings | None, followed: Followed) -> Returns:
        return NOTHING_LENT

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        return ()
