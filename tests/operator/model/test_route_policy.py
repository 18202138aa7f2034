"""A model's policy: read from the API's fields, and written back as them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.route_policy import (
    NO_POLICY,
    CircuitBreaker,
    OutlierDetection,
    RateLimit,
    RateUnit,
    Retries,
    RoutePolicy,
    policy_fields,
    read_policy,
)

seconds = st.integers(1, 300).map(lambda number: timedelta(seconds=number))
counts = st.none() | st.integers(1, 1_000_000)
policies = st.builds(
    RoutePolicy,
    st.none() | seconds,
    st.none() | st.builds(Retries, st.integers(0, 5), st.none() | st.integers(1, 100)),
    st.none() | st.builds(RateLimit, st.integers(1, 1000), st.sampled_from(RateUnit), st.integers(1000, 1_000_000)),
    st.none() | st.builds(CircuitBreaker, counts, counts, counts),
    st.none() | st.builds(OutlierDetection, st.integers(1, 100), seconds, seconds, st.integers(1, 50)),
)


@given(policies)
def test_a_policy_reads_back_from_its_fields(policy: RoutePolicy) -> None:
    assert read_policy(policy_fields(policy), "spec.traffic") == policy


def test_what_is_not_set_has_no_field() -> None:
    assert policy_fields(NO_POLICY) == {}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param({}, NO_POLICY, id="nothing"),
        pytest.param({"timeout": "60s", "somethingNew": {}}, NO_POLICY, id="fields of others and of newer ones"),
        pytest.param({"retries": {}}, RoutePolicy(retries=Retries(2, None)), id="retries by default"),
        pytest.param({"retries": {"attempts": 0}}, RoutePolicy(retries=Retries(0, None)), id="no retries"),
        pytest.param(
            {"rateLimit": {"requests": 100}},
            RoutePolicy(rate_limit=RateLimit(100, RateUnit.SECOND, 100)),
            id="a rate by default",
        ),
        pytest.param(
            {"outlierDetection": {}},
            RoutePolicy(outlier_detection=OutlierDetection(5, timedelta(seconds=10), timedelta(seconds=30), 50)),
            id="ejections by default",
        ),
    ],
)
def test_what_is_read(raw: dict[str, Any], expected: RoutePolicy) -> None:
    assert read_policy(raw, "spec.traffic") == expected


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"idleTimeout": "0s"}, "spec.traffic.idleTimeout: '0s' is no duration from 1s to 1h"),
        ({"idleTimeout": 5}, "spec.traffic.idleTimeout: 5 is no duration from 1s to 1h"),
        ({"retries": 3}, "spec.traffic.retries: 3 is not an object"),
        ({"retries": {"attempts": 6}}, "spec.traffic.retries.attempts: 6 is not a whole number from 0 to 5"),
        ({"retries": {"attempts": True}}, "spec.traffic.retries.attempts: True is not a whole number from 0 to 5"),
        ({"rateLimit": {}}, "spec.traffic.rateLimit.requests: it is missing; say how many requests a unit has"),
        (
            {"rateLimit": {"requests": 5, "unit": "Day"}},
            "spec.traffic.rateLimit.unit: 'Day' is none of Second, Minute, Hour",
        ),
        (
            {"rateLimit": {"requests": 5, "burst": 4}},
            "spec.traffic.rateLimit.burst: 4 is less than requests, 5; leave it out or raise it",
        ),
        (
            {"circuitBreaker": {"maxConnections": 0}},
            "spec.traffic.circuitBreaker.maxConnections: 0 is not a whole number from 1 to 1000000",
        ),
        (
            {"outlierDetection": {"maxEjectionPercent": 51}},
            "spec.traffic.outlierDetection.maxEjectionPercent: 51 is not a whole number from 1 to 50",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_sense_is_refused_with_its_field(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        read_policy(raw, "spec.traffic")
