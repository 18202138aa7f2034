"""PromQL with limits that several ModelDeployments share, and a query that names it filled in. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.errors import MalformedObject
from tidegate.model.own_query import OwnQuery
from tidegate.model.spec import ModelDeploymentSpec

OURS = frozenset({"candidate", "stable", "namespace", "name"})
"""Placeholders that are put in when a query is asked."""
PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


@dataclass(frozen=True)
class MetricTemplate:
    """A MetricTemplate of a namespace."""

    name: str
    query: str
    args: tuple[tuple[str, str | None], ...]
    """Names, and what each is where nobody says; None where somebody has to."""
    at_least: float | None
    at_most: float | None
    generation: int = 0

    @classmethod
    def parse(cls, manifest: Mapping[str, Any]) -> "MetricTemplate":
        """Raises MalformedObject with a sentence."""
        metadata = manifest["metadata"]
        try:
            spec = manifest["spec"]
            return cls(
                metadata["name"],
                spec["query"],
                tuple((arg["name"], arg.get("value")) for arg in spec.get("args") or ()),
                float(spec["min"]) if "min" in spec else None,
                float(spec["max"]) if "max" in spec else None,
                int(metadata.get("generation") or 0),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise MalformedObject(f"the MetricTemplate {metadata.get('name')} can't be read: {error!r}") from error


FoundTemplate = MetricTemplate | str | None
"""A template, why it can't be read, or None where there is none."""


def parse_template(manifest: Mapping[str, Any]) -> MetricTemplate | str:
    """A template, or a sentence why it is none."""
    try:
        return MetricTemplate.parse(manifest)
    except MalformedObject as error:
        return str(error)


def with_templates(spec: ModelDeploymentSpec, find: Callable[[str], FoundTemplate]) -> ModelDeploymentSpec:
    """The spec with each query that names a template filled in, or with a sentence why it can't be."""
    if not any(query.template for query in spec.analysis.queries):
        return spec
    queries = tuple(
        filled_in(query, find(query.template)) if query.template else query for query in spec.analysis.queries
    )
    return replace(spec, analysis=replace(spec.analysis, queries=queries))


def filled_in(query: OwnQuery, found: FoundTemplate) -> OwnQuery:
    """A query that names this template. One that can't be filled in has a `problem`."""
    if not isinstance(found, MetricTemplate):
        missing = f"there is no MetricTemplate {query.template} in this namespace; make it, or correct templateRef.name"
        return replace(query, problem=found or missing)
    if problem := _misfit(query, found):
        return replace(query, problem=f"MetricTemplate {found.name}: {problem}", template_generation=found.generation)
    values = {name: value for name, value in (*found.args, *query.args) if value is not None}
    own_limits = query.at_least is not None or query.at_most is not None
    return replace(
        query,
        query=PLACEHOLDER.sub(lambda each: values.get(each[1].removeprefix("args."), each[0]), found.query),
        at_least=query.at_least if own_limits else found.at_least,
        at_most=query.at_most if own_limits else found.at_most,
        template_generation=found.generation,
    )


def _misfit(query: OwnQuery, template: MetricTemplate) -> str | None:
    """What is wrong between a query and its template, and what to do."""
    known, given = dict(template.args), dict(query.args)
    if many := sorted(given.keys() - known):
        return f"it has no arg {many[0]}, only {', '.join(known) or 'none'}; take it out of args"
    if few := [name for name, value in template.args if value is None and name not in given]:
        return f"its arg {few[0]} has no value; give it in args"
    for inside in PLACEHOLDER.findall(template.query):
        if inside not in OURS and (not inside.startswith("args.") or inside.removeprefix("args.") not in known):
            return f"its query has {{{{{inside}}}}}, which nobody fills in; name it in spec.args as args.NAME is"
    if "{{candidate}}" not in template.query:
        return "its query doesn't name {{candidate}}, the revision that it is about"
    if all(each is None for each in (query.at_least, query.at_most, template.at_least, template.at_most)):
        return "it has neither min nor max, and the query has none either"
    return None
