"""What a real Envoy is started with: its access log, IPv6, and the cluster's domain."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.router.conftest import LIVE_OLD, OLD
from tidegate.resources.model_route import Backend, Route
from tidegate.router.bootstrap import ALL, ERRORS, NO_LOG
from tidegate.router.objects import Endpoint
from tidegate.router.routes import hosts

if TYPE_CHECKING:
    from tests.router.conftest import Bench, Router


def set_up(router: Router, **changes: object) -> None:
    router.settings = replace(router.settings, router=replace(router.settings.router, **changes))  # type: ignore[arg-type]


def logged(bench: Bench, behaviour: str, **settings: object) -> list[dict[str, Any]]:
    """The lines after 20 requests."""
    router = bench.router()
    set_up(router, **settings)
    router.output = subprocess.PIPE
    router.start([bench.route((OLD, 100))], bench.endpoints(bench.server(OLD, behaviour=behaviour)))
    for _ in range(20):
        router.get("/v2?token=hidden", authorization="Bearer hidden", x_request_id="a-request")
    text = router.output_of_its_end()
    assert b"hidden" not in text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.router
@pytest.mark.parametrize(
    ("settings", "answered", "failed"),
    [
        pytest.param({"access_log": NO_LOG}, range(1), range(1), id="none"),
        pytest.param({"access_log": ERRORS}, range(1), range(20, 21), id="errors"),
        pytest.param({"access_log": ALL}, range(20, 21), range(20, 21), id="all"),
        pytest.param({"access_log": ALL, "access_log_percent": 20}, range(14), range(20, 21), id="all errors, a part"),
    ],
)
def test_the_access_log_has(settings: dict[str, Any], answered: range, failed: range, bench: Bench) -> None:
    assert len(logged(bench, "answer", **settings)) in answered
    assert len(logged(bench, "fail", **settings)) in failed


@pytest.mark.router
def test_a_line_of_the_access_log_says_who_answered_what_and_no_secret(bench: Bench) -> None:
    line = logged(bench, "answer", access_log=ALL)[0]

    assert line | {"time": "", "pod": "", "milliseconds": 0, "sent": 0} == {
        "time": "",
        "method": "GET",
        "host": "sentiment.shop",
        "path": "/v2",
        "protocol": "HTTP/1.1",
        "code": 200,
        "grpc": None,
        "flags": "-",
        "cluster": LIVE_OLD,
        "pod": "",
        "attempts": 1,
        "milliseconds": 0,
        "received": 0,
        "sent": 0,
        "request": "a-request",
    }


@pytest.mark.router
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_router_is_asked_by_both_families_and_asks_pods_by_ipv6(bench: Bench) -> None:
    router = bench.router()
    set_up(router, address="::")
    server = bench.server(OLD, "::1")
    router.start([bench.route((OLD, 100))], bench.endpoints(server))

    assert server.endpoint == Endpoint("::1", server.endpoint.port)
    assert router.get("/v2").status == 200
    assert bench.ask(router.port, "GET", "/v2", {"Host": "sentiment.shop"}, address="::1").status == 200


@pytest.mark.parametrize("domain", ["cluster.local", "corp.internal"])
def test_a_models_full_name_ends_with_the_clusters_domain(domain: str) -> None:
    route = Route("shop", "sentiment", "", 60, (Backend(OLD, 100),))

    assert hosts(route, domain) == ["sentiment.shop", "sentiment.shop.svc", f"sentiment.shop.svc.{domain}"]
