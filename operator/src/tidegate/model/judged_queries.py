"""Which of the user's own queries a rollout is judged by now, and from when on. Pure.

One that steps name is judged at those steps alone, as an inline analysis of Argo Rollouts is; any other one in the
background, from its startingStep to the end.
"""

from datetime import datetime
from typing import NamedTuple

from tidegate.model.own_query import OwnQuery
from tidegate.model.spec import ModelDeploymentSpec, Strategy
from tidegate.model.status import Rollout


class JudgedQuery(NamedTuple):
    """A query, the revision that it is about, and since when: None where what was before is no matter."""

    query: OwnQuery
    about: str
    since: datetime | None = None


def judged_queries(spec: ModelDeploymentSpec, rollout: Rollout) -> tuple[JudgedQuery, ...]:
    """Those about the candidate, in the spec's order."""
    by_step, step = spec.strategy.queries_by_step, rollout.step
    named = {name for names in by_step.values() for name in names}
    here = set(by_step.get(step, ()))
    found = []
    for query in spec.analysis.queries:
        if query.name in here:
            found.append(JudgedQuery(query, rollout.candidate, rollout.step_started_at))
        elif query.name not in named and rollout.shifts and step >= query.starting_step:
            found.append(JudgedQuery(query, rollout.candidate, _begins(query, spec.strategy, rollout)))
    return tuple(found)


def asked_about_stable(spec: ModelDeploymentSpec, stable: str) -> tuple[JudgedQuery, ...]:
    """Those that have to make sense for stable before a candidate gets traffic.

    Not those that are judged only of a candidate without any: stable is long past that.
    """
    only_before = set(spec.strategy.queries_before_traffic)
    return tuple(JudgedQuery(query, stable) for query in spec.analysis.queries if query.name not in only_before)


def _begins(query: OwnQuery, strategy: Strategy, rollout: Rollout) -> datetime | None:
    """When the candidate first had as much traffic, a group, or as many copies, as the query's first step gives it."""
    if query.starting_step == 1:
        return rollout.shifts[0].at if query.is_counted else None
    step = query.starting_step
    least = strategy.weight_at(step), bool(strategy.rules_at(step)), strategy.mirror_at(step)
    granted = ((each.at, (each.weight, each.matched, each.mirror)) for each in rollout.shifts)
    return next((at for at, exposure in granted if exposure >= least), None)
