"""Istio: a VirtualService says how to split, and the Envoys of its Gateways carry it out.

The VirtualService is ours whole, or one HTTP route of the user's is lent to us. Istio says nothing of whether a proxy
has one by now: it is taken as written, and no step follows before the share is seen in the proxies' counters.
"""

from collections.abc import Collection, Sequence

from tidegate.errors import RouterUnavailable
from tidegate.kube.api import VIRTUAL_SERVICES, Manifest
from tidegate.kube.informer import Kind
from tidegate.model.istio import Istio
from tidegate.model.traffic import Capabilities, RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.model_route import bounded
from tidegate.resources.ownership import Owner
from tidegate.resources.router_report import RouterReport
from tidegate.resources.virtual_service import read_virtual_service, virtual_service_manifest
from tidegate.traffic_routing.backend import NOTHING_LENT, Followed, Returns, RoutePatch, RouteWrite
from tidegate.traffic_routing.istio_route import read_lent, read_ours, returned
from tidegate.traffic_routing.lent_rules import Lent, taken

VIRTUAL_SERVICE = Kind(VIRTUAL_SERVICES, read_virtual_service, selector=None, optional=True)


class IstioRouter:
    """The RouterBackend of Istio's own API."""

    name = "Istio"
    kinds = (VIRTUAL_SERVICE,)
    can = Capabilities(grpc=True)
    tells_counters = False

    def counted_by(self, route: RouteState) -> str:
        return self.name

    def settings(self, owner: Owner, wanted: RouteSettings) -> RouteSettings | None:
        """None for a route of the user's, whose settings aren't ours."""
        istio = (wanted.istio or Istio()).within(owner.namespace)
        if istio.virtual_service:
            return None
        return RouteSettings("", bounded(wanted).timeout, grpc=wanted.grpc, istio=istio)

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        if why := followed.unfollowed(VIRTUAL_SERVICE):
            raise RouterUnavailable(
                f"spec.traffic.router is Istio, and VirtualServices can't be followed here ({why}): install Istio and "
                "set the chart's istio.enabled, or set spec.traffic.router to Builtin"
            )
        everybody = followed.everybody(VIRTUAL_SERVICE)
        if wanted.istio and wanted.istio.virtual_service:
            return read_lent(owner, wanted.istio.virtual_service, everybody)
        ours = next((each for each in followed.own(VIRTUAL_SERVICE) if each.name == owner.name), None)
        return read_ours(ours, everybody) if ours else RouteState(lists_first=True)

    def writes(
        self,
        owner: Owner,
        split: TrafficSplit,
        wanted: RouteSettings,
        seen: RouteState,
        leaving: Collection[str],
        writer: Writer,
    ) -> Sequence[RouteWrite | RoutePatch]:
        if isinstance(seen.seen_as, Lent):
            return taken(owner, seen.seen_as, split, leaving, writer)
        settings = self.settings(owner, wanted)
        if settings is None:
            return ()  # there is no such route, or it is lent to somebody else: the route's state says so
        manifest = virtual_service_manifest(*owner, split, settings, leaving)
        return (RouteWrite(VIRTUAL_SERVICES, manifest, seen.version),)

    def returns(self, owner: Owner, wanted: RouteSettings | None, followed: Followed) -> Returns:
        if followed.unfollowed(VIRTUAL_SERVICE):
            return NOTHING_LENT
        kept = wanted.istio.virtual_service if wanted and wanted.istio else None
        return returned(owner, kept, followed.everybody(VIRTUAL_SERVICE))

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        """None: clients ask a Gateway by one of the hosts."""
        return ()
