"""One named rule of the user's route as a model's router: taken, written and given back step by step. Pure.

A backend enters and leaves the rule at 0, the user's own as revisions do: implementations lose requests otherwise. So
taking a rule is two writes, and giving it back three, each when the Gateways have taken the one before.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tidegate.kube.api import HTTP_ROUTES
from tidegate.model.gateway import RouteRef
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import RouteState, TrafficSplit, Writer
from tidegate.resources.http_route import Rule, SeenRoute, backend_refs, split_of
from tidegate.resources.lent_rule import Loan, Operations, PlaceOfRule
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import Manifest
from tidegate.traffic_routing.backend import RoutePatch
from tidegate.traffic_routing.gateway_answers import answered
from tidegate.traffic_routing.gateway_profiles import PARTIAL_MIRROR, profile_of

Refs = list[Manifest]


class Lent(NamedTuple):
    """A rule of the user's as it was seen, and the route that it is of."""

    route: SeenRoute
    rule: Rule
    at: int
    """Its place among the route's rules."""

    @property
    def is_taken(self) -> bool:
        """Whether every Gateway has taken the route as it is."""
        return not answered(RouteState(), self.route, self.route.gateway.parents).awaited


def read_lent(owner: Owner, ref: RouteRef, routes: Collection[SeenRoute]) -> RouteState:
    """The state of the rule that a ModelDeployment names; without a split where it can't have it."""
    where = owner.namespace, ref.name
    route = next((each for each in routes if (each.namespace, each.name) == where), None)
    if route is None:
        return _without(f"there is no HTTPRoute {owner.namespace}/{ref.name}, which spec.traffic.gatewayAPI names")
    found = [Lent(route, rule, index) for index, rule in enumerate(route.rules) if rule.name == ref.rule]
    if len(found) != 1:
        return _without(
            f"the HTTPRoute {owner.namespace}/{ref.name} has {len(found)} rules of the name {ref.rule}, which "
            "spec.traffic.gatewayAPI.routeRef names; give that name to exactly one of them"
        )
    rule, loan = found[0].rule, route.loans.get(ref.rule)
    if loan and loan.to != owner.name:
        return _without(
            f"the rule {ref.rule} of the HTTPRoute {owner.namespace}/{ref.name} is lent to the ModelDeployment "
            f"{loan.to}; name another one in spec.traffic.gatewayAPI.routeRef"
        )
    leaving = loan.leaving & {name for name, weight in rule.backends if weight == 0} if loan else frozenset[str]()
    state = RouteState(
        split_of(rule.backends, leaving),
        version=route.version,
        writer=route.writer if loan else None,
        edited_by=route.written_by if loan else "",
        lists_first=True,
        leaving=leaving,
        cautions=tuple(_cautions(route, rule)),
        unmarked="" if rule.marks else f"the rule {rule.name} of the HTTPRoute {route.name}",
        seen_as=found[0],
    )
    return answered(state, route, route.gateway.parents)


def _without(why: str) -> RouteState:
    return RouteState(lists_first=True, problem=StatusMessage(Reason.ROUTE_REFUSED, why), untold=why)


def _cautions(route: SeenRoute, rule: Rule) -> Iterator[StatusMessage]:
    where = f"the rule {rule.name} of the HTTPRoute {route.name}"
    profiles = [profile_of(each.controller) for each in route.statuses]
    for what in (*rule.crosses, *([PARTIAL_MIRROR] if rule.mirrors_part else [])):
        ignoring = sorted({each.name for each in profiles if what in each.ignores})
        if ignoring:
            message = f"{', '.join(ignoring)} ignores the {what} in {where}, without a word; take it out of the rule"
            yield StatusMessage(Reason.FILTER_IGNORED, message)
    crossing = [each for each in rule.crosses if not profiles or any(each not in known.ignores for known in profiles)]
    if crossing:
        message = (
            f"{where} has {', '.join(crossing)}: a request of one revision may be answered by another, which hides a "
            "candidate's failures; take it out of the rule"
        )
        yield StatusMessage(Reason.ROUTE_CROSSES_REVISIONS, message)


def taken(
    owner: Owner, lent: Lent, split: TrafficSplit, leaving: Collection[str], writer: Writer
) -> Sequence[RoutePatch]:
    """What makes the rule have this split; nothing while Gateways haven't taken the step before."""
    rule, loan = lent.rule, lent.route.loans.get(lent.rule.name)
    before = loan.backends if loan else rule.refs
    known = {each["name"]: each for each in (*before, *rule.refs)}
    listed = {name for name, _ in rule.backends}
    serving = {name for name, weight in rule.backends if weight > 0} - {name for name, _ in split}
    newcomers = [name for name, weight in split if weight > 0 and name not in listed]
    if serving and newcomers:
        refs: Refs = [*rule.refs, *_at_0(newcomers, {})]
        leaving = ()
    elif serving and any((name, 0) in rule.backends for name, weight in split if weight > 0) and not lent.is_taken:
        return ()
    else:
        refs = [*backend_refs(split, ()), *_at_0(sorted(leaving), known)]
    loans = {**lent.route.loans, rule.name: Loan(owner.name, before, frozenset(leaving))}
    return (_patch(lent, _place(lent).replaced(refs, loans, writer)),)


def given_back(lent: Lent) -> Sequence[RoutePatch]:
    """The next step towards what the rule had; nothing while Gateways haven't taken the one before."""
    route, rule = lent.route, lent.rule
    loan = route.loans[rule.name]
    theirs = {each["name"] for each in loan.backends}
    listed = {name for name, _ in rule.backends}
    serving = {name for name, weight in rule.backends if weight > 0} - theirs
    missing = [name for name in theirs if name not in listed]
    if serving and theirs and not lent.is_taken:
        return ()
    if serving and missing:
        known = {each["name"]: each for each in loan.backends}
        return (_patch(lent, _place(lent).replaced([*rule.refs, *_at_0(missing, known)], route.loans, route.writer)),)
    if serving and theirs:
        leave = [{**each, "weight": 0} for each in rule.refs if each["name"] not in theirs]
        return (_patch(lent, _place(lent).replaced([*loan.backends, *leave], route.loans, route.writer)),)
    if theirs and not lent.is_taken:
        return ()
    loans = {name: each for name, each in route.loans.items() if name != rule.name}
    return (_patch(lent, _place(lent).replaced(loan.backends, loans, route.writer if loans else None)),)


def _at_0(names: Collection[str], known: Mapping[str, Manifest]) -> Refs:
    """Backends at weight 0: the user's own as they were, ours as we write them."""
    ours = {each["name"]: each for each in backend_refs((), names)}
    return [{**known.get(name, ours[name]), "weight": 0} for name in names]


def _place(lent: Lent) -> PlaceOfRule:
    return PlaceOfRule(lent.rule.name, lent.at, lent.rule.refs, lent.route.version, lent.route.annotations)


def _patch(lent: Lent, operations: Operations) -> RoutePatch:
    return RoutePatch(HTTP_ROUTES, lent.route.namespace, lent.route.name, operations)
