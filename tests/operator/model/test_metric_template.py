"""MetricTemplates: what a query that names one becomes, and what is told where both don't fit."""

from typing import Any

import pytest

from tidegate.model.metric_template import FoundTemplate, MetricTemplate, filled_in, parse_template
from tidegate.model.own_query import OwnQuery, parse_queries
from tidegate.model.reasons import Policy


def template(**spec: Any) -> FoundTemplate:
    query = 'right{revision="{{candidate}}"}[{{args.window}}]'
    args = [{"name": "window", "value": "5m"}, {"name": "team"}]
    given = {"query": query, "args": args, "min": "0.9", **spec}
    return parse_template({"metadata": {"name": "accuracy", "generation": 3}, "spec": given})


def query(**fields: Any) -> OwnQuery:
    args = [{"name": "team", "value": "vision"}]
    (parsed,) = parse_queries([{"name": "mine", "templateRef": {"name": "accuracy"}, "args": args, **fields}])
    return parsed


def test_a_query_is_filled_in_with_the_templates_limits() -> None:
    assert filled_in(query(onFailure="Rollback"), template()) == OwnQuery(
        "mine",
        'right{revision="{{candidate}}"}[5m]',
        0.9,
        None,
        Policy.ROLLBACK,
        template="accuracy",
        args=(("team", "vision"),),
        template_generation=3,
    )


def test_what_the_query_says_itself_wins() -> None:
    args = [{"name": "team", "value": "vision"}, {"name": "window", "value": "1h"}]
    filled = filled_in(query(args=args, max="5"), template())

    assert (filled.query, filled.at_least, filled.at_most) == ('right{revision="{{candidate}}"}[1h]', None, 5.0)


@pytest.mark.parametrize(
    ("found", "fields", "problem"),
    [
        pytest.param(None, {}, "there is no MetricTemplate accuracy in this namespace; make it", id="an unknown one"),
        pytest.param("it can't be read", {}, "it can't be read", id="one that can't be read"),
        pytest.param(template(), {"args": []}, "its arg team has no value; give it in args", id="an arg missing"),
        pytest.param(
            template(),
            {"args": [{"name": "teem", "value": "a"}]},
            "it has no arg teem, only window, team; take it out of args",
            id="an arg too many",
        ),
        pytest.param(
            template(query="{{candidate}}{{args.windows}}"),
            {},
            "its query has {{args.windows}}, which nobody fills in",
            id="a placeholder that nobody fills in",
        ),
        pytest.param(template(query="{{ candidate }}"), {}, "its query has {{ candidate }}, which", id="odd spaces"),
        pytest.param(template(query="up"), {}, "its query doesn't name {{candidate}}", id="a query about nobody"),
        pytest.param(
            parse_template(
                {"metadata": {"name": "accuracy"}, "spec": {"query": "{{candidate}}", "args": [{"name": "team"}]}}
            ),
            {},
            "it has neither min nor max, and the query has none either",
            id="no limits",
        ),
        pytest.param(template(min="high"), {}, "the MetricTemplate accuracy can't be read", id="a limit that is none"),
    ],
)
def test_what_does_not_fit_is_told(found: FoundTemplate, fields: dict[str, Any], problem: str) -> None:
    assert problem in filled_in(query(**fields), found).unusable


def test_one_that_was_not_looked_up_can_not_be_asked() -> None:
    assert query().unusable == "its MetricTemplate accuracy hasn't been looked up"


def test_a_value_that_looks_like_a_placeholder_is_not_filled_in_again() -> None:
    args = [{"name": "team", "value": "{{args.window}}"}]

    filled = filled_in(query(args=args), template(query="{{candidate}}{{args.team}}"))
    assert filled.query == "{{candidate}}{{args.window}}"


def test_a_template_is_read_with_its_generation() -> None:
    found = template(args=[])

    assert isinstance(found, MetricTemplate)
    assert (found.generation, found.args) == (3, ())
