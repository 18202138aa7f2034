"""The user's own queries and the user's own limits."""

from collections.abc import Sequence

import pytest

from tidegate.judge.query_limits import Beyond, beyond_limits, unusable_query
from tidegate.model.evidence import QueryAnswer
from tidegate.model.reasons import Policy
from tidegate.model.spec import OwnQuery

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


def test_a_query_without_one_number_is_named() -> None:
    answers = [QueryAnswer("accuracy", (1.0, 1.0)), QueryAnswer("cost", failure="it gives 3 series; make it one")]
    assert unusable_query(answers) == "spec.analysis.queries[cost]: it gives 3 series; make it one"
    assert unusable_query(answers[:1]) is None
