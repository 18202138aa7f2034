"""One named rule of the user's route as a model's router: taken, written and given back step by step. Pure.

A backend enters and leaves the rule at 0, the user's own as revisions do: implementations lose requests otherwise. So
taking a rule is two writes, and giving it back three, each when the routers have taken the one before.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from tidegate.kube.api import HTTP_ROUTES, VIRTUAL_SERVICES
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import RouteState, TrafficSplit, Writer
from tidegate.resources.lent_rule import Loan, Operations, PlaceOfRule, RuleShape
from tidegate.resources.ownership import Owner
from tidegate.resources.revision import Manifest
from tidegate.resources.seen_route import SeenObject, split_of
from tidegate.traffic_routing.backend import Returns, RoutePatch

RESOURCES = {each.kind: each for each in (HTTP_ROUTES, VIRTUAL_SERVICES)}
Refs = list[Manifest]
R = TypeVar("R", bound=SeenObject)


class UsersRule(Protocol):
    """One rule of a route."""

    @property
    def name(self) -> str:
        """Its own; empty for none."""

    @property
    def refs(self) -> Sequence[Manifest]:
        """Its backends, as the route has them."""

    @property
    def backends(self) -> Sequence[tuple[str, int]]:
        """By name and weight, in order."""


class Lent(NamedTuple, Generic[R]):
    """A rule of the user's as it was seen, and the route that it is of."""

    shape: RuleShape
    route: R
    rule: UsersRule
    at: int
    """Its place among the route's rules."""
    is_taken: bool = True
    """Whether every router has taken the route as it is, where that can be known."""

    @property
    def loan(self) -> Loan | None:
        """To whom it is lent."""
        return self.route.loans.get(self.rule.name)


Routes = Iterable[tuple[R, Sequence[UsersRule]]]
"""Anybody's, with their rules."""


def find(owner: Owner, name: str, rule: str, routes: Routes[R], shape: RuleShape) -> Lent[R] | str:
    """The rule that a ModelDeployment names; a sentence where it can't have it."""
    where = f"{owner.namespace}/{name}"
    found = [(route, rules) for route, rules in routes if (route.namespace, route.name) == (owner.namespace, name)]
    if not found:
        return f"there is no {shape.kind} {where}, which {shape.section} names"
    ((route, rules),) = found
    named = [Lent(shape, route, each, at) for at, each in enumerate(rules) if each.name == rule]
    if len(named) != 1:
        return (
            f"the {shape.kind} {where} has {len(named)} {shape.rule}s of the name {rule}, which {shape.field} names; "
            "give that name to exactly one of them"
        )
    loan = named[0].loan
    if loan and loan.to != owner.name:
        return (
            f"the {shape.rule} {rule} of the {shape.kind} {where} is lent to the ModelDeployment {loan.to}; name "
            f"another one in {shape.field}"
        )
    return named[0]


def state_of(lent: Lent[Any]) -> RouteState:
    """What can be said of the rule whatever its kind."""
    route, rule, loan = lent.route, lent.rule, lent.loan
    leaving = loan.leaving & {name for name, weight in rule.backends if weight == 0} if loan else frozenset[str]()
    return RouteState(
        split_of(rule.backends, leaving),
        version=route.version,
        writer=route.writer if loan else None,
        edited_by=route.written_by if loan else "",
        lists_first=True,
        leaving=leaving,
        seen_as=lent,
    )


def refused(why: str) -> RouteState:
    """The state where a rule can't be had."""
    return RouteState(lists_first=True, problem=StatusMessage(Reason.ROUTE_REFUSED, why), untold=why)


def returns(lent: Iterable[Lent[Any]]) -> Returns:
    """The next steps of giving all of these back."""
    back = list(lent)
    return Returns(len(back), [patch for each in back for patch in given_back(each)])


def lent_to(owner: Owner, routes: Routes[R], shape: RuleShape, kept: tuple[str, str] | None) -> list[Lent[R]]:
    """What a ModelDeployment has, but for the rule that it names: by the names of the route and of the rule."""
    found = [
        Lent(shape, route, rule, at)
        for route, rules in routes
        if route.namespace == owner.namespace
        for at, rule in enumerate(rules)
        if (route.name, rule.name) != kept
    ]
    return [each for each in found if each.loan and each.loan.to == owner.name]


def taken(
    owner: Owner, lent: Lent[Any], split: TrafficSplit, leaving: Collection[str], writer: Writer
) -> Sequence[RoutePatch]:
    """What makes the rule have this split; nothing while Gateways haven't taken the step before."""
    shape, rule, loan = lent.shape, lent.rule, lent.loan
    before = loan.backends if loan else rule.refs
    known = {shape.named(each): each for each in (*before, *rule.refs)}
    listed = {name for name, _ in rule.backends}
    serving = {name for name, weight in rule.backends if weight > 0} - {name for name, _ in split}
    newcomers = [name for name, weight in split if weight > 0 and name not in listed]
    if serving and newcomers:
        refs: Refs = [*shape.weighted(rule.refs), *_at_0(shape, newcomers, {})]
        leaving = ()
    elif serving and any((name, 0) in rule.backends for name, weight in split if weight > 0) and not lent.is_taken:
        return ()
    else:
        refs = [*shape.ours(split), *_at_0(shape, sorted(leaving), known)]
    loans = {**lent.route.loans, rule.name: Loan(owner.name, before, frozenset(leaving))}
    return (_patch(lent, _place(lent).replaced(refs, loans, writer)),)


def given_back(lent: Lent[Any]) -> Sequence[RoutePatch]:
    """The next step towards what the rule had; nothing while Gateways haven't taken the one before."""
    shape, route, rule, loan = lent.shape, lent.route, lent.rule, lent.route.loans[lent.rule.name]
    theirs = {shape.named(each) for each in loan.backends}
    listed = {name for name, _ in rule.backends}
    serving = {name for name, weight in rule.backends if weight > 0} - theirs
    missing = [name for name in theirs if name not in listed]
    if serving and theirs and not lent.is_taken:
        return ()
    if serving and missing:
        known = {shape.named(each): each for each in loan.backends}
        refs = [*shape.weighted(rule.refs), *_at_0(shape, missing, known)]
        return (_patch(lent, _place(lent).replaced(refs, route.loans, route.writer)),)
    if serving and theirs:
        leave = [{**each, "weight": 0} for each in rule.refs if shape.named(each) not in theirs]
        refs = [*shape.weighted(loan.backends), *leave]
        return (_patch(lent, _place(lent).replaced(refs, route.loans, route.writer)),)
    if theirs and not lent.is_taken:
        return ()
    loans = {name: each for name, each in route.loans.items() if name != rule.name}
    return (_patch(lent, _place(lent).replaced(loan.backends, loans, route.writer if loans else None)),)


def _at_0(shape: RuleShape, names: Collection[str], known: Mapping[str, Manifest]) -> Refs:
    """Backends at weight 0: the user's own as they were, ours as we write them."""
    return [{**known[name], "weight": 0} if name in known else shape.ours([(name, 0)])[0] for name in names]


def _place(lent: Lent[Any]) -> PlaceOfRule:
    return PlaceOfRule(lent.shape, lent.rule.name, lent.at, lent.rule.refs, lent.route.version, lent.route.annotations)


def _patch(lent: Lent[Any], operations: Operations) -> RoutePatch:
    return RoutePatch(RESOURCES[lent.shape.kind], lent.route.namespace, lent.route.name, operations)
