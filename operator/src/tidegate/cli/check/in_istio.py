"""What the API server tells of Istio's part in a model's requests, by your rights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.cli.check.finding import Finding, State
from tidegate.cli.check.in_cluster import Operator, nobody_is_told, readable_spec
from tidegate.cli.common.cluster import Cluster
from tidegate.errors import ClusterUnavailable
from tidegate.kube.api import VIRTUAL_SERVICES, Resource
from tidegate.kube.informer import MALFORMED
from tidegate.model.istio import VirtualServiceRef
from tidegate.resources.ownership import Owner
from tidegate.resources.virtual_service import read_virtual_service
from tidegate.traffic_routing.istio_route import read_lent

GATEWAYS = Resource("networking.istio.io/v1", "Gateway", "gateways")
FOLLOWS = "TIDEGATE_ISTIO"


def istio(cluster: Cluster, operators: Sequence[Operator], manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Of one ModelDeployment; nothing where its router is another."""
    metadata = manifest["metadata"]
    about = f"{metadata['namespace']}/{metadata['name']}"
    spec = readable_spec(manifest)
    wanted = spec.route_settings.istio if spec else None
    if wanted is None:
        return
    if nobody_is_told(operators, FOLLOWS):
        what = "its router is Istio, and no operator follows VirtualServices: set the chart's istio.enabled"
        yield Finding(about, State.WRONG, what)
    try:
        for gateway in wanted.within(metadata["namespace"]).gateways:
            yield _gateway(cluster, about, gateway)
        if wanted.virtual_service:
            yield _route(cluster, about, manifest, wanted.virtual_service)
    except ClusterUnavailable as error:
        yield Finding(about, State.UNSEEN, f"its part of Istio can't be looked at: {error.said}")


def _gateway(cluster: Cluster, about: str, gateway: str) -> Finding:
    namespace, _, name = gateway.partition("/")
    if cluster.api.get(GATEWAYS, namespace, name) is None:
        what = f"there is no Gateway {gateway} of Istio's: create it, or name another one in istio.gateways"
        return Finding(about, State.WRONG, what)
    return Finding(about, State.OK, f"Istio's Gateway {gateway} is there; its proxies count requests")


def _route(cluster: Cluster, about: str, manifest: Mapping[str, Any], ref: VirtualServiceRef) -> Finding:
    metadata = manifest["metadata"]
    owner = Owner(metadata["namespace"], metadata["name"], metadata.get("uid", ""))
    found = cluster.api.get(VIRTUAL_SERVICES, owner.namespace, ref.name)
    try:
        seen = read_virtual_service(found) if found else None
    except MALFORMED as error:
        return Finding(about, State.WRONG, f"the VirtualService {ref.name} can't be read: {error}")
    state = read_lent(owner, ref, [seen] if seen else [])
    if state.problem:
        return Finding(about, State.WRONG, state.problem.message)
    return Finding(about, State.OK, f"the HTTP route {ref.route} of the VirtualService {ref.name} is there")
