"""The user's own queries and the user's own limits."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tidegate.judge.query_limits import Beyond, beyond_limits, query_results, unusable_query
from tidegate.model.evidence import QueryAnswer, QueryResult, QueryState
from tidegate.model.own_query import OwnQuery
from tidegate.model.reasons import Policy

ACCURACY = OwnQuery("accuracy", "…", at_least=0.9, at_most=None, on_failure=Policy.ROLLBACK)
COST = OwnQuery("cost", "…", at_least=None, at_most=5.0, on_failure=Policy.HOLD)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param(
            [QueryAnswer("accuracy", (0.95, 0.93)), QueryAnswer("cost", (4.0, 5.0))], None, id="within: nothing"
        ),
        pytest.param([QueryAnswer("accuracy", (0.95, 0.5))], None, id="beyond at one look: nothing yet"),
        pytest.param([QueryAnswer("accuracy", (0.5,))], None, id="a single value: nothing yet"),
        pytest.param([QueryAnswer("accuracy", (), "it gives no value")], None, id="no value is no failure"),
        pytest.param(
            [QueryAnswer("accuracy", (0.6, 0.5))],
            Beyond("spec.analysis.queries[accuracy] gives 0.5, below the least that is allowed, 0.9", True),
            id="below at two looks: back",
        ),
        pytest.param(
            [QueryAnswer("cost", (6.0, 7.0))],
            Beyond("spec.analysis.queries[cost] gives 7, above the most that is allowed, 5", False),
            id="above at two looks: hold",
        ),
        pytest.param(
            [QueryAnswer("cost", (6.0, 7.0)), QueryAnswer("accuracy", (0.1, 0.1))],
            Beyond("spec.analysis.queries[accuracy] gives 0.1, below the least that is allowed, 0.9", True),
            id="what goes back comes before what holds",
        ),
        pytest.param([QueryAnswer("gone", (0.0, 0.0))], None, id="a query that was taken out of the spec"),
    ],
)
def test_own_queries(answers: Sequence[QueryAnswer], expected: Beyond | None) -> None:
    assert beyond_limits(answers, [COST, ACCURACY]) == expected


def test_a_dry_run_has_a_result_and_nothing_follows_from_it() -> None:
    dry = replace(ACCURACY, dry_run=True)
    failing, silent = [QueryAnswer("accuracy", (0.6, 0.5))], [QueryAnswer("accuracy", failure="it gives no value")]

    assert query_results(failing, [dry]) == (
        QueryResult(
            "accuracy", QueryState.FAILED, "gives 0.5, below the least that is allowed, 0.9", 0.5, dry_run=True
        ),
    )
    assert (beyond_limits(failing, [dry]), unusable_query(silent, [dry])) == (None, None)


def test_results_are_in_the_specs_order_with_what_is_allowed() -> None:
    answers = [QueryAnswer("accuracy", (0.95, 0.93)), QueryAnswer("cost", failure="it gives no value")]

    assert query_results(answers, [COST, ACCURACY]) == (
        QueryResult("cost", QueryState.INCONCLUSIVE, "it gives no value"),
        QueryResult("accuracy", QueryState.SUCCESSFUL, "gives 0.93, at least 0.9 is allowed", 0.93),
    )


def counted(name: str, *values: float, failed: int = 0, inconclusive: int = 0) -> QueryAnswer:
    return QueryAnswer(name, values, polls=9, failed=failed, inconclusive=inconclusive)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            counted("accuracy", 0.1, 0.1, failed=2),
            (
                QueryState.SUCCESSFUL,
                "gives 0.1, at least 0.9 is allowed; beyond that at 2 of 9 polls, failureLimit is 2; "
                "no number at 0 of 9 polls, inconclusiveLimit is 3",
            ),
            id="as many as may be, in a row",
        ),
        pytest.param(
            counted("accuracy", 0.95, 0.95, failed=3),
            (
                QueryState.FAILED,
                "was beyond what is allowed, at least 0.9, at 3 of 9 polls; failureLimit is 2",
            ),
            id="one more, whatever came since",
        ),
        pytest.param(
            counted("accuracy", 0.95, 0.95, inconclusive=4),
            (QueryState.FAILED, "gave no number at 4 of 9 polls; inconclusiveLimit is 3"),
            id="one more without a number",
        ),
        pytest.param(
            QueryAnswer("accuracy", failure="it gives no value", polls=9, inconclusive=3),
            (QueryState.INCONCLUSIVE, "it gives no value"),
            id="the last one without a number still holds",
        ),
    ],
)
def test_limits_count_polls(answer: QueryAnswer, expected: tuple[QueryState, str]) -> None:
    limited = replace(ACCURACY, failure_limit=2, inconclusive_limit=3)
    (result,) = query_results([answer], [limited])

    assert (result.state, result.message) == expected


def test_a_query_without_one_number_is_named() -> None:
    answers = [QueryAnswer("accuracy", (1.0, 1.0)), QueryAnswer("cost", failure="it gives 3 series; make it one")]
    assert unusable_query(answers, [COST, ACCURACY]) == "spec.analysis.queries[cost]: it gives 3 series; make it one"
    assert unusable_query(answers[:1], [COST, ACCURACY]) is None
