"""Without Prometheus a rollout holds: it isn't promoted and it isn't rolled back. Then it goes on."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.stage import Stage
from tidegate_demo.cluster import prometheus

pytestmark = pytest.mark.e2e

AWAY_SECONDS = 60


def blind(status: Mapping[str, Any]) -> bool:
    return bool(status.get("analysis", {}).get("verdict") == "CannotSee")


def test_prometheus_away_for_a_minute(stage: Stage) -> None:
    stage.go_live("v1")
    scale = ("--namespace", prometheus.NAMESPACE, "scale", f"deployment/{prometheus.NAME}")
    with stage.loaded() as load:
        stage.apply("v2")
        stage.until("the candidate has traffic", lambda s: s.get("traffic", {}).get("candidate", 0) > 0)
        stage.kubectl.run(*scale, "--replicas=0")
        try:
            held = stage.until("it can't see", blind, seconds=60)
            ends = time.monotonic() + AWAY_SECONDS
            while time.monotonic() < ends:
                status = stage.note()
                assert status["rollout"]["step"] == held["rollout"]["step"]
                assert status["analysis"]["verdict"] == "CannotSee"
                time.sleep(2)
        finally:
            stage.kubectl.run(*scale, "--replicas=1")
        status = stage.until_ended("Promoted", seconds=240)
        stage.settled()

    stage.nothing_lost(load)
    assert "Prometheus" in held["message"]
    assert stage.versions[status["stable"]["revision"]] == "v2"
    assert {"MetricsUnavailable", "MetricsSeen", "Promoted"} <= set(stage.event_reasons())
