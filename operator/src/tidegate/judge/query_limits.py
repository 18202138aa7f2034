"""The user's own queries against the user's own limits. Pure. No bound on mistakes covers these; no silence passes."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.evidence import QueryAnswer
from tidegate.model.reasons import Policy
from tidegate.model.spec import OwnQuery

IN_A_ROW = 2
"""Points at which a value has to be beyond its limit."""


@dataclass(frozen=True)
class Beyond:
    """A query whose value is beyond its limit, and whether that ends the rollout."""

    message: str
    rolls_back: bool


def beyond_limits(answers: Sequence[QueryAnswer], queries: Sequence[OwnQuery]) -> Beyond | None:
    """The first query that is beyond a limit at the last two points; what rolls back comes before what holds."""
    asked = {query.name: query for query in queries}
    found = [
        Beyond(_message(answer, asked[answer.name]), asked[answer.name].on_failure == Policy.ROLLBACK)
        for answer in answers
        if answer.name in asked and _is_beyond(answer, asked[answer.name])
    ]
    return next((beyond for beyond in found if beyond.rolls_back), found[0] if found else None)


def unusable_query(answers: Sequence[QueryAnswer]) -> str | None:
    """A sentence about the first query that gives no single finite number."""
    return next((f"spec.analysis.queries[{a.name}]: {a.failure}" for a in answers if a.failure), None)


def _is_beyond(answer: QueryAnswer, query: OwnQuery) -> bool:
    last = answer.values[-IN_A_ROW:]
    if len(last) < IN_A_ROW:
        return False
    below = query.at_least is not None and all(value < query.at_least for value in last)
    return below or (query.at_most is not None and all(value > query.at_most for value in last))


def _message(answer: QueryAnswer, query: OwnQuery) -> str:
    value = answer.values[-1]
    low = query.at_least is not None and value < query.at_least
    limit, word = (query.at_least, "below the least") if low else (query.at_most, "above the most")
    return f"spec.analysis.queries[{query.name}] gives {value:.4g}, {word} that is allowed, {limit:g}"
