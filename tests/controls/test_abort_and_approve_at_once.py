"""From the annotation to what users meet: an abort takes the traffic away, an approval gives it."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.controls.scene import SOON_CONTENT
from tests.controls.timing import Asked, ask, told, until_last, until_most
from tests.e2e.stage import Stage
from tidegate.model.control import Control
from tidegate_demo.cluster import prometheus
from tidegate_demo.load import RunningLoad

pytestmark = pytest.mark.controls

STABLE, CANDIDATE = "v2", "v5"
TIMES = 10
MEDIAN_SECONDS = 1.0
CANARY = {"canary": {"steps": [{"weight": 20, "approval": "Required"}, {"weight": 90, "approval": "Required"}]}}
BLUE_GREEN = {"blueGreen": {"approval": "Required", "verifyFor": "0s", "keepOld": "10m"}}


@pytest.mark.parametrize("with_prometheus", [True, False], ids=["with Prometheus", "without Prometheus"])
@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_abort_and_approve_at_once(
    stage: Stage, strategy: dict[str, object], with_prometheus: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.go_live(STABLE, strategy=strategy, analysis=SOON_CONTENT)
    approved, aborted = [], []
    with stage.loaded(seconds=1500) as load:
        for _ in range(TIMES):
            asked = _approve_when_asked_for(stage, strategy)
            approved.append(until_most(load, asked))
            aborted.append(_abort(stage, load, asked.revision, with_prometheus))
            stage.apply(STABLE, strategy=strategy, analysis=SOON_CONTENT)
            stage.until("the abort is forgotten", lambda s: not s.get("rejected"))
            stage.settled()

    stage.nothing_lost(load)
    with capsys.disabled():
        print(f"\n  {told('approve', approved)}\n  {told('abort', aborted)}; {len(load.requests):,} requests, 0 lost")  # noqa: T201
    assert statistics.median(aborted) <= MEDIAN_SECONDS
    assert statistics.median(approved) <= MEDIAN_SECONDS


def _approve_when_asked_for(stage: Stage, strategy: dict[str, object]) -> Asked:
    stage.apply(CANDIDATE, strategy=strategy, analysis=SOON_CONTENT)
    status = stage.until("it waits for approval", lambda s: "WaitingForApproval" in str(s.get("conditions")))
    return ask(stage, Control.APPROVE, status["candidate"]["revision"], status["rollout"]["step"])


def _abort(stage: Stage, load: RunningLoad, revision: str, with_prometheus: bool) -> float:
    with _prometheus_away(stage, not with_prometheus):
        seconds = until_last(load, ask(stage, Control.ABORT, revision))
        status = stage.until("it is aborted", lambda s: not s.get("rollout"))
    assert status["history"][0]["outcome"] == "Aborted"
    assert "a trial" in status["history"][0]["message"]
    return seconds


@contextmanager
def _prometheus_away(stage: Stage, away: bool) -> Iterator[None]:
    scale = ("--namespace", prometheus.NAMESPACE, "scale", f"deployment/{prometheus.NAME}")
    if away:
        stage.kubectl.run(*scale, "--replicas=0")
    try:
        yield
    finally:
        if away:
            stage.kubectl.run(*scale, "--replicas=1")
            stage.kubectl.run("--namespace", prometheus.NAMESPACE, "rollout", "status", f"deployment/{prometheus.NAME}")
