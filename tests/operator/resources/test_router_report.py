"""What a router says of itself is read back, and malformed Leases are named."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tidegate.errors import MalformedObject
from tidegate.resources.router_report import (
    APPLIED,
    LONGEST_SENTENCE,
    Applied,
    RouterIdentity,
    RouterReport,
    read_report,
    report_manifest,
    split_by_applied,
)

ROUTER = RouterIdentity("tidegate", "tidegate-router-x", "uid-1", "tidegate-router")
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("applied", [{}, {"": 7}, {"bank": 3, "shop": 12}])
def test_a_report_is_read_back(applied: dict[str, int]) -> None:
    lease = report_manifest(ROUTER, Applied(applied), AT)

    assert read_report(lease) == RouterReport("tidegate-router-x", applied)
    assert lease["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "tidegate-router-x", "uid": "uid-1"}
    ]


def test_a_router_says_where_it_is_asked_for_its_counters() -> None:
    lease = report_manifest(replace(ROUTER, address="10.0.0.7:9903"), Applied(), AT)

    assert read_report(lease) == RouterReport("tidegate-router-x", {}, "10.0.0.7:9903")


def test_what_envoy_refuses_is_told_with_its_own_sentence() -> None:
    refused = {("shop", "sentiment"): "malformed IP address: x", ("bank", "fraud"): "y" * 1000}
    lease = report_manifest(ROUTER, Applied({"": 7}, refused), AT)

    told = {("shop", "sentiment"): "malformed IP address: x", ("bank", "fraud"): "y" * LONGEST_SENTENCE}
    assert read_report(lease) == RouterReport("tidegate-router-x", {"": 7}, refused=told)


@pytest.mark.parametrize("text", ["", "7", "{", '{"": "x"}', "[1]"])
def test_a_report_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(MalformedObject, match=r"applied-versions or \S+refused is unreadable"):
        read_report({"metadata": {"name": "x", "annotations": {APPLIED: text}}})


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        pytest.param({}, False, id="it has reported nothing yet: no"),
        pytest.param({"": 6}, False, id="it has the version before: no"),
        pytest.param({"": 7}, True, id="it has that version: yes"),
        pytest.param({"": 8}, True, id="it is ahead of what we saw: yes"),
        pytest.param({"shop": 7, "bank": 1}, True, id="it has that version in its namespace: yes"),
        pytest.param({"shop": 1, "bank": 7}, False, id="it has that version in another namespace: no"),
    ],
)
def test_a_router_has_a_route_when(applied: dict[str, int], expected: bool) -> None:
    assert RouterReport("router", applied).has("shop", "sentiment", "7") is expected


def test_a_router_that_refuses_a_route_has_it_in_no_version() -> None:
    router = RouterReport("router", {"": 7}, refused={("shop", "sentiment"): "no"})

    assert not router.has("shop", "sentiment", "6")
    assert router.has("shop", "digits", "7")


def test_routers_are_told_apart_by_what_they_have() -> None:
    routers = [RouterReport("a", {"": 7}), RouterReport("b", {"": 6})]

    assert split_by_applied(routers, "shop", "sentiment", "7") == (frozenset({"a"}), frozenset({"b"}))
    assert split_by_applied([], "shop", "sentiment", "7") == (frozenset(), frozenset())
