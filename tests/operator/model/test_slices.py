"""Groups of requests by the value of a header: what is read, what is refused, and how they are cut into cells."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.errors import InvalidSpec
from tidegate.model.revision import revision_name
from tidegate.model.slices import MOST_CELLS, OTHER, Slice, cells_of, groups_of, plain_slices, read_slices
from tidegate.model.spec import ModelDeploymentSpec
from tidegate.traffic_routing import backend_of

TENANTS = {"name": "tenant", "header": "X-Tenant", "values": ["acme", "umbrella"]}
COUNTRIES = {"name": "country", "header": "x-country", "values": ["de"], "required": True}


def test_what_is_written_is_read() -> None:
    assert read_slices([TENANTS, COUNTRIES], "spec.analysis.slices") == (
        Slice("tenant", "x-tenant", ("acme", "umbrella")),
        Slice("country", "x-country", ("de",), required=True),
    )


def test_a_route_says_all_but_what_a_promotion_waits_for() -> None:
    slices = read_slices([TENANTS, COUNTRIES], "slices")

    assert read_slices(plain_slices(slices), "slices") == (slices[0], Slice("country", "x-country", ("de",)))


def test_each_cell_is_in_one_group_of_each_slice() -> None:
    slices = read_slices([TENANTS, COUNTRIES], "slices")
    groups = cells_of(slices)

    assert list(groups) == [(each.name, group) for each, group in groups_of(slices)]
    assert list(groups) == [
        *(("tenant", group) for group in ("acme", "umbrella", OTHER)),
        *(("country", group) for group in ("de", OTHER)),
    ]
    for name in ("tenant", "country"):
        cells = [cell for (of, _), listed in groups.items() for cell in listed if of == name]
        assert len(cells) == len(set(cells)) == 6


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({**TENANTS, "values": ["umbrella", "acme"]}, id="values in another order"),
        pytest.param({**TENANTS, "header": "x-customer"}, id="another header"),
    ],
)
def test_what_was_counted_of_other_groups_is_never_taken_for_these(other: dict[str, Any]) -> None:
    cells = [set().union(*cells_of(read_slices([raw], "slices")).values()) for raw in (TENANTS, other)]

    assert cells[0].isdisjoint(cells[1])


def test_what_a_promotion_waits_for_leaves_the_counters_as_they_are() -> None:
    waits = {**TENANTS, "required": True}

    assert cells_of(read_slices([waits], "slices")) == cells_of(read_slices([TENANTS], "slices"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param({}, "slices: it must be a list of at most 3 slices", id="no list"),
        pytest.param([TENANTS] * 4, "slices: it must be a list of at most 3 slices", id="four slices"),
        pytest.param([TENANTS] * 2, "slices: two slices have one name; give each its own", id="one name twice"),
        pytest.param(["tenant"], "slices[0]: 'tenant' is not an object", id="a word"),
        pytest.param([{**TENANTS, "name": "T"}], "slices[0].name: 'T' doesn't match", id="a name in capitals"),
        pytest.param([{**TENANTS, "header": ":path"}], "slices[0].header: ':path' doesn't match", id="no header"),
        pytest.param(
            [{**TENANTS, "header": "x-envoy-original-path"}],
            "slices[0].header: x-envoy-original-path is not the client's to set; name one that tells requests apart",
            id="a header of the router's",
        ),
        pytest.param(
            [{**TENANTS, "values": []}],
            "slices[0].values: it must be a list of 1 to 16 values of the header",
            id="no values",
        ),
        pytest.param([{**TENANTS, "values": ["a", "a"]}], "slices[0].values: a value is listed twice", id="twice"),
        pytest.param(
            [{**TENANTS, "values": ["other"]}],
            "slices[0].values: 'other' must be 1 to 64 printable characters, no space at either end, and not `other`, "
            "which is what all others are called",
            id="the others' own name",
        ),
        pytest.param([{**TENANTS, "values": [" a"]}], "slices[0].values: ' a' must be", id="a space before it"),
        pytest.param(
            [{**TENANTS, "required": "yes"}], "slices[0].required: 'yes' is neither true nor false", id="required: yes"
        ),
        pytest.param(
            [{**TENANTS, "name": name, "values": list("abcdefgh")} for name in ("tenant", "team")],
            f"slices: 81 combinations of values, with `other` of each slice, are counted apart, and {MOST_CELLS} is "
            "the most; list fewer values or slices",
            id="more groups than are counted",
        ),
    ],
)
def test_refused_is(raw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read_slices(raw, "slices")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"analysis": {"slices": [TENANTS], "requestsFrom": "Servers"}},
            "spec.analysis.slices are counted by the router, but spec.analysis.requestsFrom is Servers",
            id="requests that the servers count",
        ),
        pytest.param(
            {"analysis": {"slices": [TENANTS]}, "traffic": {"sticky": {"header": "x-user"}}},
            "spec.analysis.slices and spec.traffic.sticky don't go together",
            id="users who stay",
        ),
        pytest.param(
            {"analysis": {"slices": [{**TENANTS, "values": []}]}}, r"spec.analysis.slices\[0\].values", id="no values"
        ),
    ],
)
def test_a_spec_is_refused_with(spec: dict[str, Any], message: str, a_spec: Callable[..., ModelDeploymentSpec]) -> None:
    with pytest.raises(InvalidSpec, match=f"^{message}"):
        a_spec(**spec)


def test_another_router_can_not_count_them(a_spec: Callable[..., ModelDeploymentSpec]) -> None:
    gateway = {"router": "GatewayAPI", "gatewayAPI": {"parentRefs": [{"name": "public"}]}}
    spec = a_spec(analysis={"slices": [TENANTS]}, traffic=gateway)

    with pytest.raises(InvalidSpec, match=r"^spec\.analysis has slices, which the router GatewayAPI can't do"):
        backend_of(spec)


def test_they_are_no_part_of_a_revision(a_spec: Callable[..., ModelDeploymentSpec]) -> None:
    with_slices = a_spec(analysis={"slices": [TENANTS]})

    assert with_slices.route_settings.slices == (Slice("tenant", "x-tenant", ("acme", "umbrella")),)
    assert revision_name("digits", with_slices) == revision_name("digits", a_spec())
