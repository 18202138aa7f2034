"""The user's own PromQL: one number about a revision, or a sentence why it gives none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.errors import MetricsUnavailable
from tidegate.metrics.provider import MetricsProvider
from tidegate.model.evidence import QueryAnswer
from tidegate.model.judged_queries import JudgedQuery
from tidegate.model.own_query import OwnQuery
from tidegate.model.traffic import Arms

POINTS = 2
"""A limit has to be passed at two points in a row: one odd scrape decides nothing."""
MOST_AT_ONCE = 1000
"""Points that are asked for at once, of those that an operator has missed."""
NO_VALUE = "it gives no value"
Answers = tuple[tuple[JudgedQuery, QueryAnswer], ...]
"""What was asked, and what came: an answer to another question is none."""
NOTHING_BEFORE: Mapping[JudgedQuery, QueryAnswer] = {}


def ask(
    provider: MetricsProvider,
    queries: Sequence[JudgedQuery],
    arms: Arms,
    *,
    until: datetime,
    step: timedelta,
    before: Mapping[JudgedQuery, QueryAnswer] = NOTHING_BEFORE,
) -> tuple[QueryAnswer, ...]:
    """What each query says about its revision, at the last two points. One that fails says why, by itself.

    `before` is what they said last: the polls of one that has a limit are counted on from there.
    """
    return tuple(_answer(provider, each, arms, until, step, before.get(each)) for each in queries)


def all_say(judged: tuple[JudgedQuery, ...], failure: str, before: Mapping[JudgedQuery, QueryAnswer]) -> Answers:
    """None of them has answered; what was counted of them stays counted."""
    return tuple(
        (each, replace(before.get(each) or QueryAnswer(each.query.name), values=(), pending=False, failure=failure))
        for each in judged
    )


def of_today(judged: tuple[JudgedQuery, ...], answers: Answers) -> tuple[QueryAnswer, ...]:
    """The answers to what is asked now; of a step or a query that is new there are none yet."""
    said = dict(answers)
    return tuple(said.get(each) or QueryAnswer(each.query.name, pending=True) for each in judged)


def filled(query: str, arms: Arms, about: str) -> str:
    """The PromQL with `{{candidate}}`, `{{stable}}`, `{{namespace}}` and `{{name}}` put in."""
    values = {"candidate": about, "stable": arms.stable, "namespace": arms.namespace, "name": arms.name}
    for name, value in values.items():
        query = query.replace("{{" + name + "}}", value)
    return query


def _answer(
    provider: MetricsProvider,
    judged: JudgedQuery,
    arms: Arms,
    until: datetime,
    step: timedelta,
    before: QueryAnswer | None,
) -> QueryAnswer:
    query, since = judged.query, judged.since
    promql, nothing_yet = filled(query.query, arms, judged.about), QueryAnswer(query.name, counted_until=since)
    if query.unusable:
        return QueryAnswer(query.name, failure=query.unusable)
    # What an answer tells of is before it, so the first is asked for a step later.
    if since is not None and until - POINTS * step < since:
        return replace(nothing_yet, pending=True)
    try:
        if query.is_counted and since is not None:
            return _count(provider, query, promql, before or nothing_yet, until, step)
        return _ask(provider, query, promql, until, step)
    except MetricsUnavailable as error:
        return replace(before or nothing_yet, values=(), pending=False, failure=str(error))


def _count(
    provider: MetricsProvider, query: OwnQuery, promql: str, before: QueryAnswer, until: datetime, step: timedelta
) -> QueryAnswer:
    """Every poll since the last one that was counted, a step apart, also those that nobody has asked for in time."""
    new = 0 if before.counted_until is None else (until - before.counted_until) // step
    if new < 1:
        return before
    first, points = until - (new - 1) * step, min(new, MOST_AT_ONCE)
    series = provider.series(promql, first, step, points)
    told = [_poll([each[index] for each in series]) for index in range(points)]
    values = [value for value, _ in told if value is not None]
    return replace(
        before,
        values=(*before.values, *values)[-POINTS:] if told[-1][0] is not None else (),
        failure=told[-1][1],
        pending=points < new,
        polls=before.polls + points,
        failed=before.failed + sum(map(query.is_beyond, values)),
        inconclusive=before.inconclusive + points - len(values),
        counted_until=first + (points - 1) * step,
    )


def _poll(found: Sequence[float | None]) -> tuple[float | None, str]:
    """The value of one poll, or why there is none."""
    values = [value for value in found if value is not None]
    if len(values) > 1:
        return None, _too_many(len(values))
    if not values:
        return None, NO_VALUE
    return (values[0], "") if math.isfinite(values[0]) else (None, _no_number(values[0]))


def _ask(provider: MetricsProvider, query: OwnQuery, promql: str, until: datetime, step: timedelta) -> QueryAnswer:
    series = provider.series(promql, until - (POINTS - 1) * step, step, POINTS)
    if len(series) > 1:
        return QueryAnswer(query.name, failure=_too_many(len(series)))
    values = [value for value in (series[0] if series else ()) if value is not None]
    if not values:
        return QueryAnswer(query.name, failure=NO_VALUE)
    odd = next((value for value in values if not math.isfinite(value)), None)
    if odd is not None:
        return QueryAnswer(query.name, failure=_no_number(odd))
    return QueryAnswer(query.name, tuple(values))


def _too_many(series: int) -> str:
    return f"it gives {series} series; make it one, as with sum()"


def _no_number(value: float) -> str:
    return f"it gives {value}, which is no number to judge by"
