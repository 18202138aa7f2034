"""The user's own queries against the user's own limits. Pure. No bound on mistakes covers these; no silence passes.

A dry run has a result as any other query, and is left out wherever something follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.evidence import QueryAnswer, QueryResult, QueryState
from tidegate.model.own_query import OwnQuery
from tidegate.model.reasons import Policy

IN_A_ROW = 2
"""Points at which a value has to be beyond its limit."""

STILL_TO_COME = "its first two answers at this step are still to come"


@dataclass(frozen=True)
class Beyond:
    """A query whose value is beyond its limit, and whether that ends the rollout."""

    message: str
    rolls_back: bool


def query_results(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> tuple[QueryResult, ...]:
    """What each query that was asked has come to, in the spec's order."""
    said = {answer.name: answer for answer in answers}
    return tuple(_result(said[query.name], query) for query in queries if query.name in said)


def beyond_limits(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> Beyond | None:
    """The first query that has failed; what rolls back comes before what holds."""
    policies = {query.name: query.on_failure for query in queries}
    found = [
        Beyond(f"{field_of(result.name)} {result.message}", policies[result.name] == Policy.ROLLBACK)
        for result in _in_force(answers, queries)
        if result.state is QueryState.FAILED
    ]
    return next((beyond for beyond in found if beyond.rolls_back), found[0] if found else None)


def unusable_query(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> str | None:
    """A sentence about the first query that gives no single finite number."""
    results = _in_force(answers, queries)
    return next((f"{field_of(r.name)}: {r.message}" for r in results if r.state is QueryState.INCONCLUSIVE), None)


def pending_query(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> str | None:
    """A sentence about the first query that is still to be asked."""
    results = _in_force(answers, queries)
    return next((f"{field_of(r.name)}: {r.message}" for r in results if r.state is QueryState.PENDING), None)


def field_of(name: str) -> str:
    """A query, for people."""
    return f"spec.analysis.queries[{name}]"


def _in_force(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> list[QueryResult]:
    return [result for result in query_results(answers, queries) if not result.dry_run]


def _result(answer: QueryAnswer, query: OwnQuery) -> QueryResult:
    if answer.pending:
        return QueryResult(query.name, QueryState.PENDING, STILL_TO_COME, None, query.dry_run)
    value = answer.values[-1] if answer.values else None
    if too_many := _too_many(answer, query):
        return QueryResult(query.name, QueryState.FAILED, too_many, value, query.dry_run)
    if answer.failure or value is None:
        return QueryResult(query.name, QueryState.INCONCLUSIVE, answer.failure, None, query.dry_run)
    if query.failure_limit is None and _is_beyond(answer, query):
        return QueryResult(query.name, QueryState.FAILED, _beyond(value, query), value, query.dry_run)
    message = f"gives {value:.4g}, {query.limits} is allowed{_counts(answer, query)}"
    return QueryResult(query.name, QueryState.SUCCESSFUL, message, value, query.dry_run)


def _too_many(answer: QueryAnswer, query: OwnQuery) -> str | None:
    """Why its polls, taken together, are a failure. What was counted stays counted: so is the failure."""
    if query.failure_limit is not None and answer.failed > query.failure_limit:
        was = f"was beyond what is allowed, {query.limits}, at {answer.failed} of {answer.polls} polls"
        return f"{was}; failureLimit is {query.failure_limit}"
    if query.inconclusive_limit is not None and answer.inconclusive > query.inconclusive_limit:
        was = f"gave no number at {answer.inconclusive} of {answer.polls} polls"
        return f"{was}; inconclusiveLimit is {query.inconclusive_limit}"
    return None


def _counts(answer: QueryAnswer, query: OwnQuery) -> str:
    """How near it is to its limits."""
    told = ""
    if query.failure_limit is not None:
        told += f"; beyond that at {answer.failed} of {answer.polls} polls, failureLimit is {query.failure_limit}"
    if query.inconclusive_limit is not None:
        told += f"; no number at {answer.inconclusive} of {answer.polls} polls"
        told += f", inconclusiveLimit is {query.inconclusive_limit}"
    return told


def _is_beyond(answer: QueryAnswer, query: OwnQuery) -> bool:
    last = answer.values[-IN_A_ROW:]
    if len(last) < IN_A_ROW:
        return False
    below = query.at_least is not None and all(value < query.at_least for value in last)
    return below or (query.at_most is not None and all(value > query.at_most for value in last))


def _beyond(value: float, query: OwnQuery) -> str:
    low = query.at_least is not None and value < query.at_least
    limit, word = (query.at_least, "below the least") if low else (query.at_most, "above the most")
    return f"gives {value:.4g}, {word} that is allowed, {limit:g}"
