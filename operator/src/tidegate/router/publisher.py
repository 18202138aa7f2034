"""Brings Envoy from what it has to what it should have, in an order that loses no request. Pure.

    new clusters → their endpoints → weights → routes → taken? → as long as requests may take, and their counts are of
    use to somebody → old clusters go

Endpoints that change travel at once and alone, and so do weights among revisions that Envoy's routes name already. Each
model is a case of its own: one whose clusters aren't there yet, or whose routes Envoy refuses, stays as it was, and the
others go on. Times are seconds of one steady clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

from tidegate.model.route_policy import NO_POLICY, RoutePolicy
from tidegate.resources.model_route import Backend, Route
from tidegate.resources.names import Name
from tidegate.resources.router_report import Applied
from tidegate.router import xds_pb2 as pb
from tidegate.router.cluster_key import ClusterKey, cluster_keys, keys_by_service, read_cluster_name
from tidegate.router.cluster_lifecycle import DrainingCluster, confirmed, draining_clusters, next_end, timeouts_of
from tidegate.router.clusters import cluster_resources, endpoints_resource
from tidegate.router.objects import Answering, Service
from tidegate.router.resource_names import CERTIFICATE_NAME, ROUTES_NAME, layer_of
from tidegate.router.route_set import RouteSet
from tidegate.router.routes import CLUSTER_DOMAIN, routes_resource, shape_of
from tidegate.router.routing_table import RoutingTable, Versioned, drawn_from, name_of
from tidegate.router.splits import Splits, blended, weights_of
from tidegate.router.subscription import Outcome, Resource, Subscription
from tidegate.router.xds import CLUSTERS, ENDPOINTS, ROUTES, SECRETS, SPLITS

FIRST_ROUTES_SECONDS = 10.0
"""How long an Envoy whose routes aren't known waits for the last model's clusters: then the others begin without it."""
LAST_POD_SECONDS = 0.5
"""How long a revision's last endpoint stays for the weights to change first, so that no request finds nobody there."""
MAX_REFUSED = 20
"""Models whose refusal is told. Where there are more, the rest counts as not applied, and the versions stay behind."""


class Publisher:
    """Is told what should be, and what Envoy says; gives what to send. One thread only."""

    def __init__(self, domain: str = CLUSTER_DOMAIN) -> None:
        """`domain`: the cluster's."""
        self._routes_resource = partial(routes_resource, domain=domain)
        self._secrets = Subscription(SECRETS)
        self._layers = Subscription(SPLITS)
        self._clusters = Subscription(CLUSTERS, wildcard=True)
        self._endpoints = Subscription(ENDPOINTS)
        self._routes = Subscription(ROUTES)
        self._table = RoutingTable()
        self._set = RouteSet()
        self._splits = Splits(self._layers)
        self._open: set[Name] = set()
        """The routes that Envoy doesn't work with yet as they should be."""
        self._has: dict[Name, int] = {}
        """Of each of these the version that Envoy worked with last; nothing of one that it never had."""
        self._done: set[Name] = set()
        """Those with which it has come to work since `take_taken` was asked last."""
        self._keys: frozenset[ClusterKey] = frozenset()
        """The revisions that should have clusters."""
        self._services: Mapping[Service, Collection[ClusterKey]] = {}
        """Those that should have endpoints: the same revisions', and a key for each protocol."""
        self._timeouts: dict[ClusterKey, float] = {}
        self._policies: dict[ClusterKey, RoutePolicy] = {}
        """With which the clusters are there."""
        self._leaving: tuple[DrainingCluster, ...] = ()
        self._leaves_at: float | None = None
        """When the first of them goes."""
        self._held: dict[Service, float] = {}
        """Those that have lost their last endpoint, and until when Envoy isn't told."""
        self._first_by: float | None = None
        """Until when the first routes wait for the last model; None where Envoy's routes are known."""
        self._has_routes = False
        """Whether anybody has said which routes there should be."""
        self._is_confirmed = False
        """Whether this Envoy has taken routes."""
        self.applied: Applied | None = None
        """None while Envoy hasn't taken anything."""

    @property
    def _subscriptions(self) -> tuple[Subscription, ...]:
        """In the order in which their responses go."""
        return self._secrets, self._clusters, self._endpoints, self._layers, self._routes

    # What should be

    def recall(self, routes: Iterable[Route], endpoints: Mapping[Service, Answering], now: float) -> None:
        """What an agent here told Envoy before: for an Envoy that has nothing, until `settle`."""
        listed = list(routes)
        self._set.assume({name_of(route): shape_of(route) for route in listed})
        for route in listed:
            self._splits.tell(name_of(route), weights_of(route))
        self.set_answering(endpoints, now)
        self.set_routes({"": [(route, 0) for route in listed]}, now)

    def settle(self, now: float) -> None:
        """What was set last tells of the cluster as it is: from now on what Envoy has is changed too."""
        if self._first_by is not None:
            self._first_by = now + FIRST_ROUTES_SECONDS
        for each in (self._clusters, self._endpoints, self._routes):
            each.settle()
        self._note_applied()

    def set_certificate(self, certificate: Resource) -> None:
        """What the listener with TLS serves from now on."""
        self._secrets.put(certificate)
        self._secrets.settle()

    @property
    def certificate_refused(self) -> str:
        """Envoy's sentence on the newest certificate, where it goes on with the one before; else empty."""
        refusal = self._secrets.refused.get(CERTIFICATE_NAME)
        return refusal.message if refusal else ""

    def set_routes(self, listed: Mapping[str, Collection[Versioned]], now: float) -> None:
        """All routes that there are, by the namespace that is followed."""
        self._has_routes = True
        before = self._table.versions
        changed = self._table.set_routes(listed)
        self._timeouts |= timeouts_of(route for name in changed if (route := self._table.routes.get(name)))
        if self._want(changed, before):
            self._choose_clusters(now)
        self._note_applied()

    def set_answering(self, changed: Mapping[Service, Answering], now: float) -> None:
        """Who answers for these Services from now on."""
        self._want(self._table.set_answering(changed), self._table.versions)
        for service, found in changed.items():
            self._held.pop(service, None)
            if not found.endpoints and self._is_about_to_go(service):
                self._held[service] = now + LAST_POD_SECONDS
            elif service in self._services:
                self._put_endpoints(service)
        if self.applied is not None and self.applied.refused:
            self._note_applied()  # what is back to what Envoy has is refused no more

    def _want(self, names: Iterable[Name], before: Mapping[str, Mapping[Name, int]]) -> bool:
        """Whether other revisions are named than in these versions before, or anything but weights is new."""
        is_news = False
        for name in names:
            route = self._table.routes.get(name)
            is_news |= self._set.want(name, shape_of(route) if route else None)
            if name not in self._open:
                self._open.add(name)
                self._has[name] = max((found.get(name, -1) for found in before.values()), default=-1)
        return is_news

    def _is_about_to_go(self, service: Service) -> bool:
        """Whether Envoy may still draw a Service that it is about to be told not to."""
        return any(
            name in self._open and service not in drawn_from(self._table.wanted(name))
            for name in self._table.users(service)
        )

    def _put_endpoints(self, service: Service) -> None:
        found = self._table.answering(service).endpoints
        for key in self._services[service]:
            self._endpoints.put(endpoints_resource(key, found))

    def _choose_clusters(self, now: float) -> None:
        """Those that a route names, those that Envoy still sends to, and those whose requests may not have ended."""
        routed = self._routed()
        known = self._keys | {key for name in self._clusters.known if (key := read_cluster_name(name))}
        self._let_leave(draining_clusters(known, self._leaving, routed, now, self._timeouts))
        self._take_keys(routed | {draining.key for draining in self._leaving})

    def _let_leave(self, leaving: tuple[DrainingCluster, ...]) -> None:
        self._leaving, self._leaves_at = leaving, next_end(leaving)

    def _routed(self) -> frozenset[ClusterKey]:
        return cluster_keys(self._table.routes.values()) | cluster_keys(self._set.taken.values())

    def _take_keys(self, keys: frozenset[ClusterKey]) -> None:
        before, self._keys = self._keys, keys
        for key in keys:
            policy = self._policy_of(key)
            if key not in before or policy != self._policies[key]:
                self._policies[key] = policy
                for cluster in cluster_resources(key, policy):
                    self._clusters.put(cluster)
        for key in before - keys:
            self._timeouts.pop(key, None)
            self._policies.pop(key, None)
            for name in key.clusters:
                self._clusters.drop(name)
        self._choose_services()

    def _policy_of(self, key: ClusterKey) -> RoutePolicy:
        """That of its route; of one that has none any more, the one that it had."""
        route = self._table.routes.get((key.namespace, key.route))
        return route.policy if route else self._policies.get(key, NO_POLICY)

    def _choose_services(self) -> None:
        before, self._services = self._services, keys_by_service(self._keys)
        for service, keys in self._services.items():
            if keys != before.get(service):
                self._put_endpoints(service)
        kept = {key.assignment for key in self._keys}
        for name in {key.assignment for keys in before.values() for key in keys} - kept:
            self._endpoints.drop(name)

    # What Envoy says

    def close(self) -> None:
        """Envoy, or its stream, is gone. It goes on with what it has."""
        for each in self._subscriptions:
            each.close()
        self._routes.drop(ROUTES_NAME)
        self._set.abandon()
        self._release(tuple(self._held))

    def hear(self, request: pb.DeltaDiscoveryRequest, now: float) -> None:
        """Takes in one request of the stream. Those of another type are nobody's."""
        if request.type_url == SECRETS:
            self._secrets.hear(request)
        elif request.type_url == CLUSTERS:
            self._hear_of_clusters(request, now)
        elif request.type_url == ROUTES:
            self._hear_of_routes(request, now)
        elif request.type_url in (ENDPOINTS, SPLITS):
            self._note_refused((self._endpoints if request.type_url == ENDPOINTS else self._layers).hear(request))

    def _hear_of_clusters(self, request: pb.DeltaDiscoveryRequest, now: float) -> None:
        is_first = not self._clusters.is_open
        self._note_refused(self._clusters.hear(request))
        if is_first and self._clusters.is_fresh:
            self._let_leave(())
            self._take_keys(self._routed())  # of the last Envoy's requests none is under way any more
        elif is_first:
            self._choose_clusters(now)

    def _hear_of_routes(self, request: pb.DeltaDiscoveryRequest, now: float) -> None:
        is_first = not self._routes.is_open
        outcome = self._routes.hear(request)
        if is_first:
            self._resume(now)
        elif outcome.accepted:
            self._set.accept()
            self._confirm(now)
        elif outcome.refused:
            self._set.refuse(self._routes.refused[ROUTES_NAME].message)
            self._routes.drop(ROUTES_NAME)
            self._note_applied()

    def _resume(self, now: float) -> None:
        """Envoy works with the routes that it took last, or else has to be told all of them."""
        if self._routes.is_fresh:
            self._set.assume({})
            self._open |= self._table.routes.keys()
            self._has, self._is_confirmed, self.applied = {}, False, None
        known = self._routes.known.get(ROUTES_NAME)
        self._set.resume(has_tried=known == self._routes_resource(self._set.with_tried()).version)
        if known == self._routes_resource(self._set.taken.values()).version:
            self._confirm(now)
        else:
            self._first_by = now + FIRST_ROUTES_SECONDS
            self._splits.hedge(not self._routes.is_fresh)

    def _confirm(self, now: float) -> None:
        """Envoy works with the routes in `taken`: what they don't name gets no new requests."""
        self._splits.hedge(False)
        self._choose_clusters(now)
        self._let_leave(confirmed(self._leaving, now))
        self._is_confirmed = True
        self._note_applied()

    # What to send

    def respond(self, now: float) -> list[pb.DeltaDiscoveryResponse]:
        """What to send now, in this order."""
        if not self._has_routes:
            return []
        if self._leaves_at is not None and self._leaves_at <= now:
            self._choose_clusters(now)
        self._settle_layers()
        self._advance()
        self._release([each for each, until in self._held.items() if until <= now or not self._is_about_to_go(each)])
        self._splits.flush()
        self._try_routes(now)
        clusters = self._clusters.respond()
        self._repeat_endpoints(clusters)
        rest = (each.respond() for each in self._subscriptions if each is not self._clusters)
        return [response for response in (clusters, *rest) if response]

    def _repeat_endpoints(self, clusters: pb.DeltaDiscoveryResponse | None) -> None:
        """A new cluster waits for its endpoints, and all clusters for it: those that another one has come again."""
        for resource in clusters.resources if clusters else ():
            if key := read_cluster_name(resource.name):
                self._endpoints.repeat(key.assignment)

    def again_at(self) -> float | None:
        """When to ask again although nothing was heard."""
        times = [self._leaves_at, self._first_by, *self._held.values()]
        return min((time for time in times if time is not None), default=None)

    def _settle_layers(self) -> None:
        """Before Envoy has said which pods and routes it has, the weights may still be those of an outdated copy."""
        has_said = self._routes.is_open and (self._endpoints.is_open or not self._clusters.known)
        if has_said and self._clusters.authoritative:
            self._layers.settle()

    def _advance(self) -> None:
        """Tells the weights of those that may have them now, and closes what Envoy has as it should be."""
        done = {name for name in self._open if self._is_done(name)}
        if done:
            self._open -= done
            self._has = {name: version for name, version in self._has.items() if name in self._open}
            self._done |= done
            self._note_applied()

    def _is_done(self, name: Name) -> bool:
        wanted, shapes = self._table.wanted(name), self._set.shapes(name)
        if wanted is None or not shapes or self._can_draw_all(wanted):
            self._splits.tell(name, blended(wanted, shapes, self._splits.told(name)))
        if name in self._set.pending or name in self._set.tried:
            return False
        if self._splits.is_hedged or not self._splits.is_taken(name):
            return False
        return self._splits.told(name) == (weights_of(wanted) if wanted else {})

    def _try_routes(self, now: float) -> None:
        if not self._routes.is_open or self._routes.waits or not (self._routes.authoritative or self._routes.is_fresh):
            return
        is_first = self._first_by is not None
        if self._first_by is not None and now < self._first_by and not self._set.all_may_go(self._may_go):
            return
        self._first_by = None
        tried = self._set.next_try(self._may_go)
        if tried is None and not is_first:
            return
        self._routes.put(self._routes_resource(self._set.taken.values() if tried is None else tried))
        if self._routes.known.get(ROUTES_NAME) == self._routes.version_wanted(ROUTES_NAME):
            self._set.accept()  # back to what Envoy has
            self._confirm(now)

    def _may_go(self, name: Name) -> bool:
        """Whether Envoy has all that the model's routes need: its clusters and its weights."""
        wanted = self._table.wanted(name)
        return wanted is None or (self._is_ready(wanted) and self._splits.is_taken(name))

    def _is_ready(self, route: Route) -> bool:
        """Whether Envoy can send to each revision that the route names."""
        return all(map(self._has_clusters, cluster_keys([route]))) and self._can_draw_all(route)

    def _can_draw_all(self, route: Route) -> bool:
        """Whether Envoy can send to each revision that has a share. No rollback waits for a revision that has none."""
        services = drawn_from(route)
        return all(self._can_draw(key) for key in cluster_keys([route]) if key.service in services)

    def _has_clusters(self, key: ClusterKey) -> bool:
        name = key.assignment
        is_settled = name in self._endpoints.known or name in self._endpoints.refused
        return is_settled and all(name in self._clusters.known for name in key.clusters)

    def _can_draw(self, key: ClusterKey) -> bool:
        """Envoy has the newest endpoints, or at least some."""
        name = key.assignment
        known = self._endpoints.known.get(name)
        if known is None or known == self._endpoints.version_wanted(name):
            return known is not None
        return known != endpoints_resource(key, ()).version

    def _release(self, services: Collection[Service]) -> None:
        for service in services:
            del self._held[service]
            if service in self._services:
                self._put_endpoints(service)

    # What to tell of it

    def take_taken(self) -> dict[Name, Route | None]:
        """The routes with which Envoy has come to work since the last time, as it does; None where there is none."""
        names, self._done = self._done, set()
        return {name: self._with_weights(name) for name in names}

    def _with_weights(self, name: Name) -> Route | None:
        shape, told = self._set.taken.get(name), self._splits.told(name)
        if shape is None:
            return None
        keys = sorted(key for key in cluster_keys([shape]) if not key.grpc and not key.suffix)
        backends = tuple(Backend(key.revision, told.get(key.live, 0)) for key in keys)
        return replace(shape, backends=backends, matched_weight=100)

    def _note_refused(self, outcome: Outcome) -> None:
        told = self.applied is not None and self.applied.refused
        if outcome.refused or (told and outcome.accepted):
            self._note_applied()

    def _note_applied(self) -> None:
        if not (self._is_confirmed and self._routes.authoritative):
            return
        refused = dict(sorted(self._refusals().items())[:MAX_REFUSED])
        waiting = self._open - refused.keys()
        self.applied = Applied({where: self._upto(where, waiting) for where in self._table.versions}, refused)

    def _upto(self, where: str, waiting: Iterable[Name]) -> int:
        versions = self._table.versions[where]
        missing = [versions[name] for name in waiting if self._has.get(name, -1) < versions.get(name, -1)]
        return min(missing) - 1 if missing else self._table.newest[where]

    def _refusals(self) -> dict[Name, str]:
        found = {
            (key.namespace, key.route): refusal.message
            for name, refusal in self._clusters.refused.items()
            if (key := read_cluster_name(name))
        }
        for layer, refusal in self._layers.refused.items():
            found |= dict.fromkeys((name for name in self._open if layer_of(*name) == layer), refusal.message)
        for name, refusal in self._endpoints.refused.items():
            found |= dict.fromkeys(self._table.users(Service(*name.split("/")[:2])), refusal.message)
        return {name: said for name, said in {**found, **self._set.refused()}.items() if name in self._table.routes}
