"""One named rule of the user's HTTPRoute as a model's router. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from tidegate.model.gateway import RouteRef
from tidegate.model.reasons import Reason, StatusMessage
from tidegate.model.traffic import RouteState
from tidegate.resources.http_route import HTTP_RULE, Rule, SeenRoute
from tidegate.resources.ownership import Owner
from tidegate.traffic_routing import lent_rules
from tidegate.traffic_routing.backend import Returns
from tidegate.traffic_routing.gateway_answers import answered
from tidegate.traffic_routing.gateway_profiles import PARTIAL_MIRROR, profile_of
from tidegate.traffic_routing.lent_rules import Lent


def read_lent(owner: Owner, ref: RouteRef, routes: Collection[SeenRoute]) -> RouteState:
    """The state of the rule that a ModelDeployment names; without a split where it can't have it."""
    found = lent_rules.find(owner, ref.name, ref.rule, _rules(routes), HTTP_RULE)
    if isinstance(found, str):
        return lent_rules.refused(found)
    route, rule = found.route, found.route.rules[found.at]
    state = replace(
        lent_rules.state_of(_known(found)),
        cautions=tuple(_cautions(route, rule)),
        unmarked="" if rule.marks else f"the rule {rule.name} of the HTTPRoute {route.name}",
    )
    return answered(state, route, route.gateway.parents)


def returned(owner: Owner, kept: RouteRef | None, routes: Collection[SeenRoute]) -> Returns:
    """What gives back all rules but the one that is `kept`."""
    return lent_rules.returns(map(_known, lent_rules.lent_to(owner, _rules(routes), HTTP_RULE, kept)))


def _rules(routes: Collection[SeenRoute]) -> list[tuple[SeenRoute, Sequence[Rule]]]:
    return [(route, route.rules) for route in routes]


def _known(lent: Lent[SeenRoute]) -> Lent[SeenRoute]:
    """With what the Gateways say of the route."""
    route = lent.route
    return lent._replace(is_taken=not answered(RouteState(), route, route.gateway.parents).awaited)


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
