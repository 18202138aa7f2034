"""Releases by calls alone: through a GRPCRoute, each call is drawn by itself, and judged by its grpc-status."""

import pytest

from tests.e2e.stage import CANARY, Stage
from tests.gateways.calls import Calls
from tests.gateways.gateway import Gateway

pytestmark = pytest.mark.gateways

GOOD, OTHER_GOOD, BAD = "v2", "v5", "v3"


@pytest.fixture
def by_calls(behind: Stage, gateway: Gateway) -> Stage:
    """A stage whose models are called by gRPC too, at a host of its own."""
    behind.traffic = {
        "router": "GatewayAPI",
        "grpc": True,
        "gatewayAPI": {
            "parentRefs": [dict(gateway.parent_ref)],
            "hostnames": [behind.host],
            "grpcHostnames": [f"grpc.{behind.host}"],
        },
    }
    return behind


def test_a_good_model_is_promoted_and_no_call_is_lost(by_calls: Stage, gateway: Gateway) -> None:
    by_calls.go_live(GOOD, strategy=CANARY)
    calls = Calls(gateway.port, f"grpc.{by_calls.host}", by_calls.models.images)
    calls.answers()
    with calls.under_way():
        by_calls.apply(OTHER_GOOD)
        by_calls.until_ended("Promoted")
        by_calls.settled()

    assert calls.failed == {}
    assert {by_calls.versions[revision] for revision in calls.answered} == {GOOD, OTHER_GOOD}


def test_a_model_that_fails_calls_is_taken_back(by_calls: Stage, gateway: Gateway) -> None:
    by_calls.go_live(GOOD, strategy=CANARY)
    calls = Calls(gateway.port, f"grpc.{by_calls.host}", by_calls.models.images)
    calls.answers()
    with calls.under_way():
        by_calls.apply(BAD)
        by_calls.until_ended("RolledBack")
        by_calls.settled()

    assert set(calls.failed) == {"INTERNAL"}
