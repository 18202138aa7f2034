"""How rollouts ended is counted once, by the leader, and no label grows without end."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tidegate.controller.rollout_metrics import REASONS_OF_OTHERS, RolloutMetrics

Manifest = dict[str, Any]
ENDED: dict[str, Any] = {
    "revision": "digits-2",
    "outcome": "RolledBack",
    "reason": "ErrorRateWorse",
    "startedAt": "2026-01-01T00:00:00Z",
    "finishedAt": "2026-01-01T00:01:30Z",
    "exposure": {"requests": 240, "failed": 12},
}


class Told:
    """The metrics of an operator that leads, unless told otherwise."""

    def __init__(self) -> None:
        self.leads = True
        self.manifests: list[Manifest] = []
        self.registry = CollectorRegistry()
        self.metrics = RolloutMetrics(self.registry)
        self.now = 0.0
        self.metrics.follow(lambda: self.manifests, lambda: self.leads, lambda: self.now)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def ended(self) -> dict[tuple[str, str], float]:
        return {
            (sample.labels["outcome"], sample.labels["reason"]): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "tidegate_rollouts_total"
        }


@pytest.fixture
def told() -> Told:
    return Told()


def with_history(*entries: Manifest, **status: Any) -> Manifest:
    metadata = {"namespace": "shop", "name": "digits"}
    return {"metadata": metadata, "status": {**status, "history": list(entries)}}


def test_a_rollout_that_ends_is_counted_with_its_reason_its_time_and_its_exposure(told: Told) -> None:
    told.metrics.recorded(with_history(), with_history(ENDED))

    assert told.ended() == {("RolledBack", "ErrorRateWorse"): 1.0}
    assert told.value("tidegate_rollout_duration_seconds_sum", outcome="RolledBack") == 90
    assert told.value("tidegate_rollout_requests_total", outcome="RolledBack") == 240
    assert told.value("tidegate_rollout_failed_requests_total", outcome="RolledBack") == 12
    assert told.value("tidegate_rollout_duration_seconds_count", outcome="Promoted") == 0


def test_what_changes_afterwards_counts_it_no_second_time(told: Told) -> None:
    earlier = {**ENDED, "revision": "digits-1", "outcome": "Promoted", "reason": "NoWorse"}
    told.metrics.recorded(with_history(earlier), with_history(ENDED, earlier))
    told.metrics.recorded(with_history(ENDED, earlier), with_history(ENDED, earlier, phase="RolledBack"))

    assert told.ended() == {("RolledBack", "ErrorRateWorse"): 1.0}


def test_what_ended_before_the_start_is_not_counted_again(told: Told) -> None:
    told.metrics.recorded(None, with_history(ENDED))

    assert told.ended() == {}


def test_who_follows_counts_nothing_that_the_leader_counts(told: Told) -> None:
    told.leads = False
    told.metrics.recorded(with_history(), with_history(ENDED))

    assert told.ended() == {}


def test_the_time_to_zero_traffic_is_taken_in_once_it_is_known(told: Told) -> None:
    timed = {**ENDED, "secondsToZeroTraffic": "0.8"}
    told.metrics.recorded(with_history(), with_history(ENDED))
    told.metrics.recorded(with_history(ENDED), with_history(timed))
    told.metrics.recorded(with_history(timed), with_history(timed, phase="Live"))

    assert told.value("tidegate_rollout_seconds_to_zero_traffic_count") == 1
    assert told.value("tidegate_rollout_seconds_to_zero_traffic_sum") == 0.8
    assert told.value("tidegate_rollout_seconds_to_zero_traffic_bucket", le="1.0") == 1


def test_reasons_that_pods_invent_do_not_grow_without_end(told: Told) -> None:
    for number in range(REASONS_OF_OTHERS + 20):
        told.metrics.recorded(with_history(), with_history({**ENDED, "reason": f"Invented{number}"}))
    told.metrics.recorded(with_history(), with_history(ENDED))

    assert len(told.ended()) == REASONS_OF_OTHERS + 2
    assert told.ended()["RolledBack", "Other"] == 20
    assert told.ended()["RolledBack", "ErrorRateWorse"] == 1


def test_a_stalled_one_says_why_and_one_that_waits_says_since_when(told: Told) -> None:
    stalled = {"type": "Stalled", "status": "True", "reason": "MetricsUnavailable"}
    rollout = {
        "candidate": "digits-2",
        "step": 1,
        "startedAt": "2026-01-01T00:00:00Z",
        "stepStartedAt": "2026-01-01T00:00:30Z",
        "since": {"unseen": "2026-01-01T00:01:00Z", "gates": "2026-01-01T00:01:00Z", "steady": "2026-01-01T00:00:10Z"},
    }
    told.manifests = [with_history(conditions=[stalled], phase="Held", rollout=rollout)]
    where = {"model_namespace": "shop", "model_deployment": "digits"}

    assert told.value("tidegate_model_deployment_stalled", **where, reason="MetricsUnavailable") == 1
    began = told.value("tidegate_rollout_started_timestamp_seconds", **where)
    unseen = told.value("tidegate_rollout_waiting_since_timestamp_seconds", **where, what="unseen")
    assert unseen is not None
    assert began is not None
    assert unseen - began == 60
    assert told.value("tidegate_rollout_waiting_since_timestamp_seconds", **where, what="gates") == unseen
    assert told.value("tidegate_rollout_waiting_since_timestamp_seconds", **where, what="steady") is None
    assert told.value("tidegate_model_deployment_info", **where, phase="Held", ready="Unknown", revision="") == 1


def test_how_a_rollout_ended_is_shown_for_a_day(told: Told) -> None:
    told.manifests = [with_history(ENDED, {**ENDED, "finishedAt": "2025-12-31T00:00:00Z"})]
    labels = {"model_namespace": "shop", "model_deployment": "digits"}
    how = {"outcome": "RolledBack", "reason": "ErrorRateWorse"}
    ended = datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC).timestamp()
    told.now = ended + 86_000
    assert told.value("tidegate_rollout_finished_timestamp_seconds", **labels, **how) == ended

    told.now = ended + 87_000
    assert told.value("tidegate_rollout_finished_timestamp_seconds", **labels, **how) is None


def test_one_without_a_status_is_shown_as_it_is(told: Told) -> None:
    told.manifests = [{"metadata": {"namespace": "shop", "name": "digits"}}]
    where = {"model_namespace": "shop", "model_deployment": "digits"}

    assert told.value("tidegate_model_deployment_info", **where, phase="", ready="Unknown", revision="") == 1


def test_idle_models_have_two_series_each(told: Told) -> None:
    stable = {"revision": "digits-1"}
    told.manifests = [
        {"metadata": {"namespace": "shop", "name": f"digits-{number}"}, "status": {"phase": "Live", "stable": stable}}
        for number in range(1000)
    ]
    of_objects = [
        sample for metric in told.registry.collect() for sample in metric.samples if "model_deployment" in sample.labels
    ]

    assert len(of_objects) == 2000
