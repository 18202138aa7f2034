"""Rules of a step are read as they are written, and what no router could do is refused in one sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.matching import PLACES, WAYS, Condition, plain_rules, read_rules

names = st.from_regex(r"[a-w][a-z0-9]{0,9}", fullmatch=True).map(lambda it: f"a{it}")
values = st.text(min_size=1, max_size=20)
conditions = st.builds(Condition, st.sampled_from(list(PLACES)), names, st.sampled_from(WAYS[:2]), values)
in_order = sorted(PLACES, key=list(PLACES).index)
rules = st.lists(
    st.lists(conditions, min_size=1, max_size=5, unique_by=lambda it: (it.place, it.name)).map(
        lambda rule: tuple(sorted(rule, key=lambda each: in_order.index(each.place)))
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@given(rules)
def test_rules_read_back(rules: tuple[tuple[Condition, ...], ...]) -> None:
    assert read_rules(plain_rules(rules), "match") == rules


def header(**more: Any) -> list[dict[str, Any]]:
    return [{"headers": [{"name": "x-team", **more}]}]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param([], "match has to be a list of 1 to 8 rules", id="no rule"),
        pytest.param(header(exact="a") * 9, "match has to be a list of 1 to 8 rules", id="nine rules"),
        pytest.param(
            [{}], r"match\[0\] has to have headers, cookies, query, one of them", id="a rule without conditions"
        ),
        pytest.param([{"paths": []}], r"match\[0\] has to have headers, cookies, query, one", id="another place"),
        pytest.param(header(), r"match\[0\]\.headers\[0\] has to have a name, and exactly one of", id="no value"),
        pytest.param(header(exact="a", prefix="b"), r"exactly one of exact, prefix, regex", id="two values"),
        pytest.param(header(exact=1), r"exactly one of exact, prefix, regex", id="a number"),
        pytest.param(header(exact=""), r"headers\[0\]\.exact has to have 1 to 256 characters", id="an empty value"),
        pytest.param(header(regex="a" * 257), r"regex has to have 1 to 256 characters", id="a long value"),
        pytest.param(header(regex="["), r"'\[' is no regular expression", id="no expression"),
        pytest.param(header(regex="(?=a)b"), r"has what RE2 doesn't: look-around", id="look-around"),
        pytest.param(header(regex=r"(a)\1"), r"has what RE2 doesn't", id="a reference back"),
        pytest.param(header(name="host", exact="a"), r"host is the router's own", id="the Host"),
        pytest.param(header(name="X-Team", exact="a"), r"not in small letters", id="large letters"),
        pytest.param(header(name="x-envoy-a", exact="a"), r"is the router's own", id="a header of Envoy's"),
        pytest.param(header(name="a b", exact="a"), r"'a b' is no name of a header", id="no name"),
        pytest.param(
            header(name="x-see", exact="a"), r"x-see names a revision to be previewed", id="the preview header"
        ),
        pytest.param(
            [{"query": [{"name": "a", "exact": "b"}, {"name": "a", "exact": "c"}]}],
            "asks for one name twice",
            id="twice",
        ),
    ],
)
def test_no_rule_is(raw: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rules(raw, "match", preview_header="x-see")
