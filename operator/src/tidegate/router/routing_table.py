"""What should be routed, and who answers: kept up to date change by change, at the cost of the change. Pure."""

from collections.abc import Collection, Mapping, Set
from dataclasses import replace

from tidegate.resources.model_route import Route
from tidegate.resources.names import Name
from tidegate.router.objects import Answering, Service

NOBODY = Answering()

Versioned = tuple[Route, int]
"""A route and its resourceVersion."""


class RoutingTable:
    """Routes as the cluster has them, and the endpoints of their revisions."""

    def __init__(self) -> None:
        self._routes: dict[Name, Route] = {}
        self._listed: Mapping[str, Collection[Versioned]] = {}
        """All that were set last."""
        self._versions: Mapping[str, Mapping[Name, int]] = {}
        self._newest: Mapping[str, int] = {}
        self._services: dict[Service, Answering] = {}
        self._users: dict[Service, set[Name]] = {}

    @property
    def routes(self) -> Mapping[Name, Route]:
        """As they were asked for."""
        return self._routes

    @property
    def versions(self) -> Mapping[str, Mapping[Name, int]]:
        """The resourceVersion of each, by the namespace that is followed."""
        return self._versions

    @property
    def newest(self) -> Mapping[str, int]:
        """The greatest of these; 0 where there is none."""
        return self._newest

    def wanted(self, name: Name) -> Route | None:
        """The route as far as somebody can answer, or None."""
        route = self._routes.get(name)
        return answerable(route, self._services) if route else None

    def answering(self, service: Service) -> Answering:
        """Who answers for it."""
        return self._services.get(service, NOBODY)

    def users(self, service: Service) -> Set[Name]:
        """The routes that name it."""
        return self._users.get(service, frozenset())

    def set_routes(self, listed: Mapping[str, Collection[Versioned]]) -> Set[Name]:
        """These are all. Gives the names that changed."""
        before, self._routes = self._routes, dict(self._routes)
        versions = {where: dict(self._versions.get(where, {})) for where in listed}
        # First what is gone: a route of another namespace that is followed may have the name.
        gone = {where: _without(found, listed.get(where, ())) for where, found in self._listed.items()}
        for where, fewer in gone.items():
            for route, _ in fewer:
                self._routes.pop(name_of(route), None)
                versions.get(where, {}).pop(name_of(route), None)
        fresh = {where: _without(found, self._listed.get(where, ())) for where, found in listed.items()}
        for where, more in fresh.items():
            for route, version in more:
                self._routes[name_of(route)] = route
                versions[where][name_of(route)] = version
        touched = {name_of(route) for found in (*gone.values(), *fresh.values()) for route, _ in found}
        changed = {name for name in touched if before.get(name) != self._routes.get(name)}
        self._listed, self._versions = dict(listed), versions
        self._newest = {where: max(found.values(), default=0) for where, found in versions.items()}
        for name in changed:
            self._enter(name, before.get(name))
        return changed

    def _enter(self, name: Name, before: Route | None) -> None:
        for service in services_of(before):
            self._users[service].discard(name)
            if not self._users[service]:
                del self._users[service]
        for service in services_of(self._routes.get(name)):
            self._users.setdefault(service, set()).add(name)

    def set_answering(self, changed: Mapping[Service, Answering]) -> Set[Name]:
        """These answer from now on. Gives the names whose `wanted` that may change."""
        concerned: set[Name] = set()
        for service, found in changed.items():
            before = self.answering(service)
            if (bool(before.endpoints), before.leaving) != (bool(found.endpoints), found.leaving):
                concerned |= self.users(service)
            if found == NOBODY:
                self._services.pop(service, None)
            else:
                self._services[service] = found
        return concerned


def _without(listed: Collection[Versioned], others: Collection[Versioned]) -> list[Versioned]:
    """Those that aren't among the others as the same object. There are thousands, and most are as they were."""
    known = set(map(id, others))
    return [each for each in listed if id(each) not in known]


def name_of(route: Route) -> Name:
    """Under which a route is known."""
    return route.namespace, route.name


def services_of(route: Route | None) -> Set[Service]:
    """The Services of all its revisions."""
    return frozenset(Service(route.namespace, each.revision) for each in route.backends) if route else frozenset()


def drawn_from(route: Route | None) -> Set[Service]:
    """The Services of those that have a share."""
    if route is None:
        return frozenset()
    drawn = {each.revision for each in route.backends if each.weight > 0}
    chosen = {route.matched.revision} if route.matched and route.matched_weight else set[str]()
    return frozenset(Service(route.namespace, revision) for revision in drawn | chosen)


def answerable(route: Route, services: Mapping[Service, Answering]) -> Route:
    """The route as far as somebody can answer: a revision without a ready pod gives its share to the others.

    Its requests would be lost otherwise: now, or as soon as the last of its pods that are ending has ended, which
    nobody hears of in time. Where no revision has a ready pod, those that are ending go on. The operator sees the
    same: it holds the rollout, or ends it if the pods crashed. By the preview header the revision can still be asked,
    and the answer says that nobody is there.
    """
    own = (Service(route.namespace, backend.revision) for backend in route.backends)
    found = {service: services[service] for service in own if service in services}
    answering = {service for service, each in found.items() if each.endpoints}
    staying = {service for service in answering if not found[service].leaving}
    return _among(route, staying) or _among(route, answering) or route


def _among(route: Route, services: Set[Service]) -> Route | None:
    """The route with the shares of these revisions alone; None where they have none."""
    backends = tuple(
        backend if Service(route.namespace, backend.revision) in services else backend._replace(weight=0)
        for backend in route.backends
    )
    if not any(backend.weight for backend in backends):
        return None
    can_choose = route.matched is not None and Service(route.namespace, route.matched.revision) in services
    return replace(route, backends=backends, matched_weight=100 if can_choose else 0)
