"""The selectors that sources write select what Prometheus would."""

import pytest

from tidegate.rehearsal.selector import selector

FAILED = {"__name__": "rq_xx", "cluster": "shop/a/v1", "code": "5"}


@pytest.mark.parametrize(
    "promql",
    [
        "rq_xx",
        'rq_xx{code="5"}',
        '{__name__=~"rq|rq_xx",cluster=~"shop/a/[^/]+"}',
        'rq_xx{absent=""}',
        'rq_xx{absent=~"|x"}',
        'rq_xx{code!="4", cluster!~"other/.*"}',
        'rq_xx{cluster="shop/a/v1",}',
    ],
)
def test_a_series_is_selected_by(promql: str) -> None:
    assert selector(promql)(FAILED)


@pytest.mark.parametrize(
    "promql",
    ["rq", 'rq_xx{code="4"}', '{__name__=~"rq"}', 'rq_xx{cluster=~"shop"}', 'rq_xx{absent!=""}', 'rq_xx{code!~"[45]"}'],
)
def test_a_series_is_not_selected_by(promql: str) -> None:
    assert not selector(promql)(FAILED)


def test_what_is_quoted_is_taken_as_it_was_meant() -> None:
    assert selector(r'a{text="say \"hi\" \\ there"}')({"__name__": "a", "text": r'say "hi" \ there'})


@pytest.mark.parametrize("promql", ["sum(a)", "a{b}", 'a{b="c"', 'a{b="c"} offset 5m', 'a{b=~"("}'])
def test_what_is_no_selector_is_an_error(promql: str) -> None:
    with pytest.raises(ValueError, match="is no selector"):
        selector(promql)
