"""What the API server tells of a model's Gateways, by your rights: the operator itself sees nothing but routes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import Operator, nobody_is_told, readable_spec
from tidegate.cli.common.cluster import Cluster
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import HTTP_ROUTES, Manifest, Resource
from tidegate.kube.informer import MALFORMED, Kind
from tidegate.model.gateway import ParentRef, RouteRef
from tidegate.model.traffic import NO_ROUTE, RouteState
from tidegate.resources.gateway import why_not_taken
from tidegate.resources.http_route import read_route
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing import backend_for
from tidegate.traffic_routing.gateway_profiles import PROFILES, profile_of

GATEWAYS = Resource("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASSES = Resource("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses")
FOLLOWS = "TIDEGATE_GATEWAY_API"
T = TypeVar("T")


def gateways(cluster: Cluster, operators: Sequence[Operator], manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Of one ModelDeployment; nothing where its router is another."""
    metadata = manifest["metadata"]
    about = f"{metadata['namespace']}/{metadata['name']}"
    spec = readable_spec(manifest)
    gateway = spec.route_settings.gateway if spec else None
    if gateway is None:
        return
    if nobody_is_told(operators, FOLLOWS):
        what = "its router is GatewayAPI, and no operator follows HTTPRoutes: set the chart's gatewayAPI.enabled"
        yield Finding(about, State.WRONG, what)
    try:
        if gateway.route_ref:
            yield _rule(cluster, about, metadata["namespace"], gateway.route_ref)
        for parent in gateway.within(metadata["namespace"]).parents:
            # Calls by gRPC have hosts of their own, which a listener may take where it takes no other.
            for hostnames in (gateway.hostnames, gateway.grpc_hostnames)[: 2 if gateway.grpc_hostnames else 1]:
                yield _parent(cluster, about, parent, hostnames, metadata["namespace"])
    except ClusterUnavailable as error:
        yield Finding(about, State.UNSEEN, f"its Gateways can't be looked at: {error.said}")


@dataclass(frozen=True)
class _Seen:
    """One HTTPRoute as a backend follows it, and none for calls. See traffic_routing.backend.Followed."""

    route: Any

    def own(self, kind: Kind[T]) -> list[T]:
        return self.everybody(kind)

    def everybody(self, kind: Kind[T]) -> list[T]:
        return [self.route] if kind.resource == HTTP_ROUTES else []

    def unfollowed(self, kind: Kind[T]) -> str | None:
        return None


def route_of(cluster: Cluster, manifest: Manifest) -> RouteState:
    """By which a ModelDeployment's requests come, as far as it says who counts them; NO_ROUTE where none is seen."""
    spec, metadata = readable_spec(manifest), manifest["metadata"]
    if spec is None or spec.route_settings.gateway is None:
        return NO_ROUTE
    ref = spec.route_settings.gateway.route_ref
    name = ref.name if ref else metadata["name"]
    try:
        found = cluster.api.get(HTTP_ROUTES, metadata["namespace"], name)
        seen = read_route(found) if found else None
    except (ClusterUnavailable, *MALFORMED):
        return NO_ROUTE
    owner = Owner(metadata["namespace"], metadata["name"], metadata.get("uid", ""))
    return backend_for(spec.router).read(owner, spec.route_settings, _Seen(seen), ()) if seen else NO_ROUTE


def _parent(cluster: Cluster, about: str, parent: ParentRef, hostnames: Sequence[str], namespace: str) -> Finding:
    found = cluster.api.get(GATEWAYS, parent.namespace, parent.name)
    if found is None:
        return Finding(about, State.WRONG, f"there is no {parent.told}: create it, or name another one in parentRefs")
    if why := why_not_taken(found, parent, hostnames, namespace):
        return Finding(about, State.WRONG, f"{parent.told}: {why}")
    name = (found.get("spec") or {}).get("gatewayClassName", "")
    try:
        made_by = cluster.api.read(GATEWAY_CLASSES.path(name=name))
    except ClusterUnavailable as error:
        return Finding(
            about, State.UNSEEN, f"{parent.told} is there; its GatewayClass {name} can't be read: {error.said}"
        )
    controller = (made_by.get("spec") or {}).get("controllerName", "")
    profile = profile_of(controller)
    if controller not in PROFILES:
        what = (
            f"{parent.told} is {controller}'s, which was never tried with Tidegate: {profile.uncounted}, so the model"
        )
        return Finding(about, State.WARNING, f"{what} servers' are judged")
    counted = "the model servers count" if profile.uncounted else "its Envoys count"
    return Finding(about, State.OK, f"{parent.told} is {profile.name}'s and takes the route; {counted} requests")


def _rule(cluster: Cluster, about: str, namespace: str, ref: RouteRef) -> Finding:
    found = cluster.api.get(HTTP_ROUTES, namespace, ref.name)
    if found is None:
        return Finding(about, State.WRONG, f"there is no HTTPRoute {namespace}/{ref.name}, which routeRef names")
    rules = [each for each in found["spec"].get("rules") or () if each.get("name") == ref.rule]
    if len(rules) != 1:
        what = f"the HTTPRoute {ref.name} has {len(rules)} rules of the name {ref.rule}: give it to exactly one"
        return Finding(about, State.WRONG, what)
    return Finding(about, State.OK, f"the rule {ref.rule} of the HTTPRoute {ref.name} is there")
