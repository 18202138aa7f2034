"""The user's own PromQL: one number about a revision, or a sentence why it gives none."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.provider import MetricsProvider
from tidegate.model.evidence import QueryAnswer
from tidegate.model.judged_queries import JudgedQuery
from tidegate.model.own_query import OwnQuery
from tidegate.model.traffic import Arms

POINTS = 2
"""A limit has to be passed at two points in a row: one odd scrape decides nothing."""


def ask(
    provider: MetricsProvider, queries: Sequence[JudgedQuery], arms: Arms, *, until: datetime, step: timedelta
) -> tuple[QueryAnswer, ...]:
    """What each query says about its revision, at the last two points. One that fails says why, by itself."""
    return tuple(_answer(provider, each, filled(each.query.query, arms, each.about), until, step) for each in queries)


def filled(query: str, arms: Arms, about: str) -> str:
    """The PromQL with `{{candidate}}`, `{{stable}}`, `{{namespace}}` and `{{name}}` put in."""
    values = {"candidate": about, "stable": arms.stable, "namespace": arms.namespace, "name": arms.name}
    for name, value in values.items():
        query = query.replace("{{" + name + "}}", value)
    return query


def _answer(
    provider: MetricsProvider, judged: JudgedQuery, promql: str, until: datetime, step: timedelta
) -> QueryAnswer:
    query, since = judged.query, judged.since
    # What an answer tells of is before it, so the first is asked for a step later.
    if since is not None and until - POINTS * step < since:
        return QueryAnswer(query.name, pending=True)
    try:
        return _ask(provider, query, promql, until, step)
    except MetricsUnavailable as error:
        return QueryAnswer(query.name, failure=str(error))


def _ask(provider: MetricsProvider, query: OwnQuery, promql: str, until: datetime, step: timedelta) -> QueryAnswer:
    series = provider.series(promql, until - (POINTS - 1) * step, step, POINTS)
    if len(series) > 1:
        return QueryAnswer(query.name, failure=f"it gives {len(series)} series; make it one, as with sum()")
    values = [value for value in (series[0] if series else ()) if value is not None]
    if not values:
        return QueryAnswer(query.name, failure="it gives no value")
    odd = next((value for value in values if not math.isfinite(value)), None)
    if odd is not None:
        return QueryAnswer(query.name, failure=f"it gives {odd}, which is no number to judge by")
    return QueryAnswer(query.name, tuple(values))
