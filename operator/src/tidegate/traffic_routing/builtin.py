"""Tidegate's own router: a ModelRoute says how to split, an agent beside each Envoy carries it out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.errors import MalformedObject
from tidegate.kube.api import MODEL_ROUTES, Manifest
from tidegate.kube.informer import Kind
from tidegate.model.traffic import NO_ROUTE, Capabilities, RouteSettings, RouteState, TrafficSplit, Writer
from tidegate.resources.last_writer import read_editor, read_version
from tidegate.resources.model_route import bounded, read_route, route_manifest
from tidegate.resources.names import PORT_NAME, labels
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import owner as owner_reference
from tidegate.resources.router_report import RouterReport, refusals, split_by_applied
from tidegate.traffic_routing.backend import NOTHING_LENT, Followed, Returns, RouteWrite


def read_state(manifest: Mapping[str, Any]) -> RouteState:
    """A route without who applied it. Never fails for a spec that makes no sense: that one is to be written anew."""
    version, writer = read_version(manifest)
    try:
        route = read_route(manifest)
    except MalformedObject:
        return RouteState(version=version, writer=writer)
    return RouteState(route.split, route.settings, version=version, writer=writer, edited_by=read_editor(manifest))


MODEL_ROUTE = Kind(MODEL_ROUTES, read_state)


class Builtin:
    """The RouterBackend of Tidegate's own router."""

    name = "Builtin"
    kinds = (MODEL_ROUTE,)
    can = Capabilities(preview=True, grpc=True, mirror=True, match=True, sticky=True, slices=True)
    tells_counters = True

    def counted_by(self, route: RouteState) -> str:
        return self.name

    def settings(self, owner: Owner, wanted: RouteSettings) -> RouteSettings:
        return bounded(wanted)

    def read(
        self, owner: Owner, wanted: RouteSettings, followed: Followed, routers: Sequence[RouterReport]
    ) -> RouteState:
        route = next(iter(followed.own(MODEL_ROUTE)), None)
        if route is None:
            return NO_ROUTE
        applied_by, awaited = split_by_applied(routers, owner.namespace, owner.name, route.version)
        refused_by = refusals(routers, owner.namespace, owner.name)
        return replace(route, applied_by=applied_by, awaited=awaited, refused_by=refused_by)

    def writes(
        self,
        owner: Owner,
        split: TrafficSplit,
        wanted: RouteSettings,
        seen: RouteState,
        leaving: Collection[str],
        writer: Writer,
    ) -> Sequence[RouteWrite]:
        manifest = route_manifest(owner.namespace, owner.name, owner.uid, split, bounded(wanted))
        return (RouteWrite(MODEL_ROUTES, manifest, seen.version),)

    def returns(self, owner: Owner, wanted: RouteSettings | None, followed: Followed) -> Returns:
        """Nothing is lent."""
        return NOTHING_LENT

    def client_services(self, owner: Owner, router_service: str) -> Sequence[Manifest]:
        return (alias_service_manifest(owner, router_service),)


def alias_service_manifest(owner: Owner, router_service: str) -> Manifest:
    """Lets clients in the cluster say `http://NAME.NAMESPACE`: an alias of the router's Service.

    An alias and not endpoints of our own, so that clients find the routers whether or not the operator runs.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": owner.name,
            "namespace": owner.namespace,
            "labels": labels(owner.name),
            "ownerReferences": owner_reference(owner.name, owner.uid),
        },
        "spec": {
            "type": "ExternalName",
            "externalName": router_service,
            "ports": [{"name": PORT_NAME, "port": 80, "protocol": "TCP"}],
        },
    }
