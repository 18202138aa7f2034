"""The course of a scenario on a make-believe cluster: what is applied, what is waited for, and what is given up."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.errors import ScenarioAborted
from benchmarks.progress import Progress
from benchmarks.releases.models import FAILING, GOOD, TWIN_A, TWIN_B, Model
from benchmarks.releases.release_driver import ReleaseDriver, ReleaseLog
from benchmarks.releases.scenarios import PROMOTED, ROLLED_BACK, Scenario, equal, failing, unseen
from tests.benchmarks.releases.records import good
from tidegate_demo.kubectl import KubectlError
from tidegate_demo.records import Request
from tidegate_demo.seen import Ended, Seen, SeenRevision

MODELS = {name: Model(name, Path(f"{name}.onnx"), "0" * 64, ()) for name in (GOOD, FAILING, TWIN_A, TWIN_B)}
LOOKS_SECONDS = 20.0
"""From apply to the end of a rollout."""


@dataclass
class FakeCluster:
    """Cluster, load and clock in one. A release ends as `ends` says; one that isn't in it never does."""

    ends: dict[int, str]
    now: float = 1_000.0
    refuses: tuple[int, ...] = ()
    load_ends: float = float("inf")
    applied: list[int] = field(default_factory=list)
    stable: int = -1
    rollout: tuple[int, float] | None = None
    history: tuple[Ended, ...] = ()
    prometheus: list[tuple[float, str]] = field(default_factory=list)

    def unix_time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def alive(self) -> bool:
        return self.now < self.load_ends

    def read_more(self) -> Sequence[Request]:
        return [good(self.now)]

    def apply(self, manifest: str) -> str:
        (variable,) = json.loads(manifest)["spec"]["server"]["env"]
        release = int(variable["value"])
        if release in self.refuses:
            raise KubectlError("the API server is busy")
        if not self.applied or release != self.applied[-1]:
            self._begin(release)
        self.applied.append(release)
        return ""

    def run(self, *arguments: str) -> str:
        if "monitoring" in arguments:
            self.prometheus.append((self.now, arguments[2]))
            return ""
        if "deployments" in arguments:
            return "deployment/stable\n" + ("deployment/candidate\n" if self._rollout() else "")
        return str(self._generation)

    @property
    def seen(self) -> Seen:
        rollout = self._rollout()
        return Seen(
            generation=self._generation,
            observed_generation=self._generation,
            phase="Canary" if rollout else "Live",
            ready=self.stable >= 0,
            stable=_revision(self.stable) if self.stable >= 0 else None,
            candidate=_revision(rollout[0]) if rollout else None,
            history=self.history,
        )

    @property
    def _generation(self) -> int:
        return 1 + sum(later != earlier for earlier, later in itertools.pairwise(self.applied))

    def _begin(self, release: int) -> None:
        if self.stable < 0:
            self.stable = release
            return
        if rollout := self._rollout():
            self._end(rollout[0], "Aborted")
        self.rollout = None if release == self.stable else (release, self.now)

    def _rollout(self) -> tuple[int, float] | None:
        if self.rollout and self.rollout[0] in self.ends and self.now - self.rollout[1] >= LOOKS_SECONDS:
            release, _ = self.rollout
            self._end(release, self.ends[release])
            self.stable = release if self.ends[release] == PROMOTED else self.stable
        return self.rollout

    def _end(self, release: int, outcome: str) -> None:
        self.history = (Ended(f"digits-{release}", outcome, "Because", "a sentence", str(release)), *self.history)
        self.rollout = None


def _revision(release: int) -> SeenRevision:
    return SeenRevision(f"digits-{release}", "?", 1)


def log_of(cluster: FakeCluster, scenario: Scenario) -> ReleaseLog:
    log = ReleaseLog()
    driver = ReleaseDriver(
        scenario,
        MODELS,
        "files:80",
        cluster,
        cluster,
        Progress(1),
        log,
        unix_time=cluster.unix_time,
        sleep=cluster.sleep,
    )
    driver.go_live()
    driver.release_all(cluster)
    return log


def test_after_each_rollback_the_stable_model_is_asked_for_again() -> None:
    cluster = FakeCluster({1: ROLLED_BACK, 2: ROLLED_BACK})
    log = log_of(cluster, failing(2, 2))
    assert cluster.applied == [0, 1, 0, 2, 0]
    assert [(each.revision, each.outcome, each.ended - each.began) for each in log.endings] == [
        ("digits-1", ROLLED_BACK, 20.0),
        ("digits-2", ROLLED_BACK, 20.0),
    ]
    assert log.versions == {"digits-0": GOOD, "digits-1": FAILING, "digits-2": FAILING}


def test_a_promoted_release_is_the_stable_model_of_the_next() -> None:
    cluster = FakeCluster({1: PROMOTED, 2: ROLLED_BACK, 3: PROMOTED})
    log = log_of(cluster, equal(2, 3))
    assert cluster.applied == [0, 1, 1, 2, 1, 3, 3]
    assert [each.outcome for each in log.endings] == [PROMOTED, ROLLED_BACK, PROMOTED]
    assert log.versions == {"digits-0": TWIN_A, "digits-1": TWIN_B, "digits-2": TWIN_A, "digits-3": TWIN_B}


def test_a_release_that_does_not_end_is_given_up_and_the_next_one_tried() -> None:
    cluster = FakeCluster({2: ROLLED_BACK})
    scenario = failing(2, 2)
    first, second = log_of(cluster, scenario).endings
    assert (first.revision, first.outcome) == ("digits-1", "")
    assert first.message.startswith("not within 180 s; Canary")
    assert scenario.patience < first.ended - first.began < scenario.patience + 1
    assert (second.revision, second.outcome) == ("digits-2", ROLLED_BACK)
    assert [ended.outcome for ended in cluster.history] == [ROLLED_BACK, "Aborted"]


def test_a_release_that_the_api_server_refuses_is_a_result_too() -> None:
    cluster = FakeCluster({1: ROLLED_BACK, 3: ROLLED_BACK}, refuses=(2,))
    endings = log_of(cluster, failing(2, 3)).endings
    assert [each.outcome for each in endings] == [ROLLED_BACK, "", ROLLED_BACK]
    assert endings[1].message == "it couldn't be applied: the API server is busy"


def test_a_bad_model_that_is_promoted_ends_the_scenario() -> None:
    cluster = FakeCluster({1: PROMOTED})
    with pytest.raises(ScenarioAborted, match="release 1 was promoted"):
        log_of(cluster, failing(2, 2))


def test_prometheus_is_away_from_before_the_release_until_its_end() -> None:
    cluster = FakeCluster({1: ROLLED_BACK})
    (ending,) = log_of(cluster, unseen(30, 1)).endings
    away, gone, back, ready = cluster.prometheus
    assert [each[1] for each in (away, gone, back, ready)] == ["scale", "wait", "scale", "rollout"]
    assert away[0] <= ending.began
    assert back[0] >= ending.ended


def test_without_a_load_nothing_is_measured() -> None:
    cluster = FakeCluster({1: ROLLED_BACK}, load_ends=1_010.0)
    with pytest.raises(ScenarioAborted, match="load has ended"):
        log_of(cluster, failing(2, 1))


def test_a_stable_model_that_does_not_get_ready_ends_the_scenario() -> None:
    class NeverReady(FakeCluster):
        def _begin(self, release: int) -> None:
            pass

    with pytest.raises(ScenarioAborted, match="not live within 180 s"):
        log_of(NeverReady({}), failing(2, 1))
