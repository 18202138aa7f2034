"""A bad release goes back whatever the Prometheus is like."""

import pytest

from tests.disturbed.conftest import Tidegate
from tests.disturbed.monitoring import Monitoring
from tests.disturbed.servers import Hanging, listening
from tests.disturbed.trial import Trial
from tests.e2e.stage import ANALYSIS

BY_PROMETHEUS = {**ANALYSIS, "source": "Prometheus"}
"""Routers that are read directly tell before anything of this is asked."""
SLOW_SCRAPE = 15
LAG_SECONDS = 20
CLUMPS = "20"
"""Failures count so little that the judge isn't sure at its first look, and asks the own query too."""
QUERY = 'vector(0.95) or never_answered{revision="{{candidate}}"}'


@pytest.mark.disturbed("PodMonitor labels")
def test_labels_of_pod_monitors(trial: Trial, tidegate: Tidegate, monitoring: Monitoring) -> None:
    tidegate.install(monitoring.by_pod_monitors())
    trial.go_live(analysis=BY_PROMETHEUS)
    with trial.loaded():
        trial.release_bad(analysis=BY_PROMETHEUS)
        status = trial.until_rolled_back()

    trial.nothing_lost()
    trial.counted_truly(status)
    assert status["history"][0]["reason"] == "ErrorRateWorse"


@pytest.mark.disturbed("Two Prometheus replicas")
def test_two_prometheus_replicas_answer_in_turn(trial: Trial, tidegate: Tidegate, monitoring: Monitoring) -> None:
    with monitoring.pair(SLOW_SCRAPE) as url:
        tidegate.install(url, prometheus__scrapeIntervalSeconds=SLOW_SCRAPE)
        analysis = {**BY_PROMETHEUS, "interval": f"{SLOW_SCRAPE}s"}
        trial.go_live(analysis=analysis)
        with trial.loaded():
            trial.release_bad(analysis=analysis)
            status = trial.until_rolled_back()

    trial.nothing_lost()
    trial.counted_truly(status)
    assert status["history"][0]["reason"] == "ErrorRateWorse"


@pytest.mark.disturbed("Samples 20 s late")
def test_samples_come_late(trial: Trial, tidegate: Tidegate, monitoring: Monitoring) -> None:
    with monitoring.behind_remote_write(LAG_SECONDS) as url:
        tidegate.install(url)
        trial.go_live(analysis=BY_PROMETHEUS)
        with trial.loaded():
            trial.release_bad(analysis=BY_PROMETHEUS)
            status = trial.until_rolled_back()

    trial.nothing_lost()
    trial.counted_truly(status)
    assert status["history"][0]["reason"] == "ErrorRateWorse"


@pytest.mark.disturbed("An own query that hangs")
def test_an_own_query_hangs(trial: Trial, tidegate: Tidegate, monitoring: Monitoring) -> None:
    query = {"name": "accuracy", "query": QUERY, "min": "0.9"}
    analysis = {**BY_PROMETHEUS, "queries": [query], "dispersion": CLUMPS}
    prometheus = Hanging(monitoring.usual(), "never_answered")
    with listening(monitoring.host, prometheus.handle) as address:
        tidegate.install(f"http://{address}")
        trial.go_live(analysis=analysis)
        with trial.loaded():
            trial.release_bad(analysis=analysis)
            prometheus.begin()  # before any traffic it was asked about stable, and had to answer
            status = trial.until_rolled_back()
        prometheus.end()

    trial.nothing_lost()
    trial.counted_truly(status)
    assert prometheus.unanswered
    assert status["history"][0]["reason"] == "ErrorRateWorse"
