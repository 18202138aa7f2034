"""An Envoy that speaks incremental xDS and does nothing else: it takes what it is sent, or refuses it.

Like the real one it asks for weights first, then clusters, then the endpoints of those, then routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tidegate.router import xds_pb2 as pb
from tidegate.router.resource_names import ROUTES_NAME, layer_names
from tidegate.router.xds import CLUSTERS, ENDPOINTS, ROUTES, SPLITS

SHORT = {CLUSTERS: "clusters", ENDPOINTS: "endpoints", SPLITS: "weights", ROUTES: "routes"}
Refuse = Callable[[pb.Resource], str]


def nothing(_: pb.Resource) -> str:
    """Refuses nothing."""
    return ""


@dataclass
class EnvoyDouble:
    """`journal`: what came, in order, as 'kind name name …'. `refuse` gives its sentence on a resource, or ''."""

    refuse: Refuse = nothing
    journal: list[str] = field(default_factory=list)
    resources: dict[str, dict[str, pb.Resource]] = field(default_factory=lambda: {each: {} for each in SHORT})
    _asked: set[str] = field(default_factory=set)
    _settled: set[str] = field(default_factory=set)
    """Endpoints that it doesn't wait for any more."""

    def connect(self) -> list[pb.DeltaDiscoveryRequest]:
        """The first requests of a stream: it says what it has."""
        self._asked = {SPLITS, CLUSTERS}
        first = [self._request(SPLITS, layer_names()), self._request(CLUSTERS, ())]
        if not self.resources[CLUSTERS]:
            return first
        self._asked |= {ENDPOINTS, ROUTES}
        return [*first, self._request(ENDPOINTS, self._services()), self._request(ROUTES, [ROUTES_NAME])]

    def _request(self, kind: str, names: Iterable[str]) -> pb.DeltaDiscoveryRequest:
        versions = {name: each.version for name, each in self.resources[kind].items()}
        return pb.DeltaDiscoveryRequest(
            type_url=kind, resource_names_subscribe=sorted(names), initial_resource_versions=versions
        )

    def take(self, response: pb.DeltaDiscoveryResponse) -> list[pb.DeltaDiscoveryRequest]:
        """What it answers."""
        kind = response.type_url
        names = [each.name for each in response.resources]
        gone = [f"-{name}" for name in response.removed_resources]
        self.journal.append(" ".join([SHORT[kind], *names, *gone]))
        answer = pb.DeltaDiscoveryRequest(type_url=kind, response_nonce=response.nonce)
        said = next((sentence for each in response.resources if (sentence := self.refuse(each))), "")
        if said:
            answer.error_detail.message = said
            self._settled |= set(names) if len(names) == 1 else set()
            return [answer, *self._asks_for_more(kind)]
        self.resources[kind] |= {each.name: each for each in response.resources}
        for name in response.removed_resources:
            del self.resources[kind][name]
        return [answer, *self._asks_for_more(kind)]

    def _asks_for_more(self, kind: str) -> list[pb.DeltaDiscoveryRequest]:
        if kind == CLUSTERS:
            return self._follow_endpoints()
        if ROUTES not in self._asked and self._services() <= self.resources[ENDPOINTS].keys() | self._settled:
            self._asked.add(ROUTES)
            return [self._request(ROUTES, [ROUTES_NAME])]
        return []

    def _follow_endpoints(self) -> list[pb.DeltaDiscoveryRequest]:
        known, wanted = self.resources[ENDPOINTS], self._services()
        more = pb.DeltaDiscoveryRequest(
            type_url=ENDPOINTS,
            resource_names_subscribe=sorted(wanted - known.keys()),
            resource_names_unsubscribe=sorted(known.keys() - wanted),
        )
        self.resources[ENDPOINTS] = {name: each for name, each in known.items() if name in wanted}
        asks = more.resource_names_subscribe or more.resource_names_unsubscribe
        return [more] if asks else [] if wanted else self._asks_for_more(ENDPOINTS)

    def _services(self) -> set[str]:
        found = (pb.Cluster.FromString(each.resource.value) for each in self.resources[CLUSTERS].values())
        return {each.eds_cluster_config.service_name for each in found}

    def since(self) -> list[str]:
        """What came since the last time."""
        came, self.journal = self.journal, []
        return came

    @property
    def live_clusters(self) -> list[str]:
        """Those for live traffic."""
        return sorted(name for name in self.resources[CLUSTERS] if not name.endswith("/preview"))

    def hosts(self, service: str) -> list[str]:
        """The addresses behind a Service."""
        found = pb.ClusterLoadAssignment.FromString(self.resources[ENDPOINTS][service].resource.value)
        return [each.endpoint.address.socket_address.address for part in found.endpoints for each in part.lb_endpoints]

    def shares(self, model: str) -> dict[str, int]:
        """How it draws now: percent by revision, of those that its routes name. Empty for a model without routes."""
        if ROUTES_NAME not in self.resources[ROUTES]:
            return {}
        found = pb.RouteConfiguration.FromString(self.resources[ROUTES][ROUTES_NAME].resource.value)
        host = next((each for each in found.virtual_hosts if each.name == model), None)
        if host is None:
            return {}
        weights = self._weights()
        split = host.routes[-1].route.weighted_clusters
        keys = {each.name: f"{split.runtime_key_prefix}.{each.name}" for each in split.clusters}
        drawn = {
            name.rpartition("/")[2]: weights.get(key, 1) for name, key in keys.items()
        }  # by default one, as in Envoy
        return {revision: round(100 * weight / sum(drawn.values())) for revision, weight in drawn.items()}

    def _weights(self) -> dict[str, int]:
        layers = (pb.Runtime.FromString(each.resource.value) for each in self.resources[SPLITS].values())
        return {key: round(each.number_value) for layer in layers for key, each in layer.layer.fields.items()}
