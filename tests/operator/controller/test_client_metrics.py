"""Requests, queries, routers and the Lease are told under the names that client-go gives them, where it has some."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from tidegate.controller.client_metrics import ClientMetrics
from tidegate.controller.refusals import Refusals
from tidegate.errors import WriteRefused


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ClientMetrics:
    return ClientMetrics(registry)


def test_requests_to_the_api_server_are_counted_by_status_method_and_host(
    metrics: ClientMetrics, registry: CollectorRegistry
) -> None:
    metrics.follow("10.0.0.1:443", "tidegate-operator", lambda: True, dict)
    metrics.asked("GET", "200", 0.01)
    metrics.asked("PATCH", "<error>", 5.0)
    host = {"host": "10.0.0.1:443"}

    assert registry.get_sample_value("rest_client_requests_total", {"code": "200", "method": "GET", **host}) == 1
    assert registry.get_sample_value("rest_client_requests_total", {"code": "<error>", "method": "PATCH", **host}) == 1
    assert registry.get_sample_value("rest_client_request_duration_seconds_sum", {"verb": "PATCH", **host}) == 5


@pytest.mark.parametrize("leads", [True, False])
def test_who_leads_is_read_at_each_scrape(leads: bool, metrics: ClientMetrics, registry: CollectorRegistry) -> None:
    metrics.follow("10.0.0.1:443", "tidegate-operator", lambda: leads, dict)

    assert registry.get_sample_value("leader_election_master_status", {"name": "tidegate-operator"}) == leads


def test_queries_to_prometheus_are_counted_and_timed(metrics: ClientMetrics, registry: CollectorRegistry) -> None:
    metrics.queried(True, 0.02)
    metrics.queried(False, 8.0)

    assert registry.get_sample_value("tidegate_prometheus_queries_total", {"result": "answered"}) == 1
    assert registry.get_sample_value("tidegate_prometheus_queries_total", {"result": "failed"}) == 1
    assert registry.get_sample_value("tidegate_prometheus_query_duration_seconds_sum") == 8.02


def test_of_a_router_that_is_gone_nothing_is_left(metrics: ClientMetrics, registry: CollectorRegistry) -> None:
    ages = {"tidegate/router-1": 2.0, "tidegate/router-2": 40.0}
    metrics.follow("10.0.0.1:443", "tidegate-operator", lambda: True, lambda: ages)
    metrics.refused_answer("tidegate/router-2")
    gone = {"router": "tidegate/router-2"}
    assert registry.get_sample_value("tidegate_router_report_age_seconds", gone) == 40
    assert registry.get_sample_value("tidegate_router_answers_refused_total", gone) == 1

    del ages["tidegate/router-2"]
    list(registry.collect())
    assert registry.get_sample_value("tidegate_router_report_age_seconds", gone) is None
    assert registry.get_sample_value("tidegate_router_answers_refused_total", gone) is None
    assert registry.get_sample_value("tidegate_router_report_age_seconds", {"router": "tidegate/router-1"}) == 2


def test_refused_writes_are_counted_by_what_is_told_of_them(
    metrics: ClientMetrics, registry: CollectorRegistry
) -> None:
    metrics.refused_write("NameTaken")

    assert registry.get_sample_value("tidegate_writes_refused_total", {"reason": "NameTaken"}) == 1


def test_a_refused_write_is_counted_where_it_is_noted(metrics: ClientMetrics, registry: CollectorRegistry) -> None:
    refusals = Refusals(metrics.refused_write)
    for _ in range(2):
        write = ("EnsureRevision", "revision digits-1")
        refusals.note(
            ("shop", "digits"), 1, write, WriteRefused("PATCH: forbidden", 403), datetime(2026, 1, 1, tzinfo=UTC)
        )

    assert registry.get_sample_value("tidegate_writes_refused_total", {"reason": "WriteRefused"}) == 2
