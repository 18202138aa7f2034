"""One release after another onto one ModelDeployment, while the load goes on.

Every wait has a deadline. A release that doesn't end in its time is a result, and the next one is tried all the same.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.errors import ScenarioAborted
from benchmarks.progress import Progress
from benchmarks.releases.models import Model
from benchmarks.releases.results import Ending
from benchmarks.releases.scenarios import NAME, PROMOTED, ROLLED_BACK, Kind, Scenario, manifest
from tidegate_demo.chapters import describe
from tidegate_demo.cluster import prometheus
from tidegate_demo.kubectl import KubectlError
from tidegate_demo.records import Request
from tidegate_demo.seen import Seen

LOOK_SECONDS = 0.25
NOTE_SECONDS = 5.0
LIVE_SECONDS = 180.0
WARM_UP_SECONDS = 30.0
"""Of load before the first release, so that the judge knows stable's ways and stable is warm."""
SETTLE_SECONDS = 120.0
OTHERS_SECONDS = 10.0
REST_SECONDS = 6.0
"""Between releases, so that pods that end don't disturb the next one."""
PROMETHEUS_SECONDS = 60
KUBECTL_FAILED = (KubectlError, subprocess.TimeoutExpired)


class Commands(Protocol):
    """kubectl."""

    def run(self, *arguments: str) -> str:
        """What it printed."""

    def apply(self, manifest: str) -> str:
        """What it printed."""


class Observer(Protocol):
    """What can be seen of the ModelDeployment just now."""

    @property
    def seen(self) -> Seen:
        """The newest state."""


class Load(Protocol):
    """The load under way. `read_more` gives what ended since it was called last."""

    @property
    def alive(self) -> bool:
        """Whether it still sends."""

    def read_more(self) -> Sequence[Request]:
        """Requests that have ended since."""


Version = tuple[str, int]
"""A model, and the release that brought it."""


def longest_seconds(scenario: Scenario) -> float:
    """After which even the slowest course of a scenario is over."""
    between = 2 * SETTLE_SECONDS + REST_SECONDS
    return WARM_UP_SECONDS + between + scenario.releases * (scenario.patience + between)


@dataclass
class ReleaseLog:
    """What has happened in a scenario; it can be read at any time, also after an early end.

    `versions` are the names of the models by revision.
    """

    endings: list[Ending] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)


@dataclass
class ReleaseDriver:
    """A scenario under way; it keeps the log."""

    scenario: Scenario
    models: Mapping[str, Model]
    files: str
    kubectl: Commands
    observer: Observer
    progress: Progress
    log: ReleaseLog
    unix_time: Callable[[], float] = time.time  # noqa: TID251 - the one clock, that of the load's records
    sleep: Callable[[float], None] = time.sleep
    _answered: int = 0
    _failed: int = 0

    def __post_init__(self) -> None:
        self._stable: Version = (self.scenario.stable, 0)
        self._noted = self.unix_time()

    def go_live(self) -> None:
        """The first revision. Raises ScenarioAborted when it doesn't get ready."""
        began = self.unix_time()
        generation = self._apply(self._stable)
        while not self._is_live(generation):
            if self.unix_time() - began > LIVE_SECONDS:
                raise ScenarioAborted(f"not live within {LIVE_SECONDS:.0f} s: {describe(self.observer.seen)}")
            self._pause("waiting for the stable model's pods")
        self._remember_stable()

    def release_all(self, load: Load, on_release: Callable[[int], None] = lambda number: None) -> None:
        """`on_release` is called when a release's requests have been answered. Raises ScenarioAborted."""
        self._wait(load, WARM_UP_SECONDS, "warming up under load")
        for number in range(1, self.scenario.releases + 1):
            self.progress.step(f"{self.scenario.full_title}: release {number} of {self.scenario.releases}")
            with self._prometheus():
                ending = self._release(load, number)
            self.log.endings.append(ending)
            if ending.outcome == PROMOTED and self.scenario.outcome == ROLLED_BACK:
                raise ScenarioAborted(f"release {number} was promoted: there is no good model left to go back to")
            self._back_to_stable(load)
            on_release(number)

    @contextmanager
    def _prometheus(self) -> Iterator[None]:
        """Where the scenario says so, there is none inside, and afterwards an empty one."""
        if self.scenario.kind is not Kind.UNSEEN:
            yield
            return
        self._scale_prometheus(0)
        try:
            yield
        finally:
            self._scale_prometheus(1)

    def _scale_prometheus(self, replicas: int) -> None:
        there, what = ("--namespace", prometheus.NAMESPACE), f"deployment/{prometheus.NAME}"
        self.kubectl.run(*there, "scale", what, f"--replicas={replicas}")
        if replicas:
            self.kubectl.run(*there, "rollout", "status", what, f"--timeout={PROMETHEUS_SECONDS}s")
        else:
            pods = f"app.kubernetes.io/name={prometheus.NAME}"
            self.kubectl.run(
                *there, "wait", "--for=delete", "pod", "--selector", pods, f"--timeout={PROMETHEUS_SECONDS}s"
            )

    def _is_live(self, generation: int) -> bool:
        seen = self.observer.seen
        return seen.generation >= generation and seen.is_current and seen.ready and seen.stable is not None

    def _release(self, load: Load, number: int) -> Ending:
        model, before = self.scenario.candidate(number), self.observer.seen
        began, self._answered, self._failed = self.unix_time(), 0, 0
        try:
            generation = self._apply((model, number))
        except KUBECTL_FAILED as error:
            return Ending("", "", "", f"it couldn't be applied: {error}", began, self.unix_time())
        ending = self._followed(load, before, generation, began)
        if ending.revision:
            self.log.versions[ending.revision] = model
        if ending.outcome == PROMOTED:
            self._stable = (model, number)
        return ending

    def _followed(self, load: Load, before: Seen, generation: int, began: float) -> Ending:
        """Looks until the rollout has ended, or its time is over."""
        revision, patience = "", self.scenario.patience
        while True:
            seen, now = self.observer.seen, self.unix_time()
            if seen.generation >= generation and seen.is_current:
                # A rollout that we gave up before may still end, as Aborted or Superseded, and isn't this one.
                if (ended := seen.ended_since(before)) and ended.outcome in (PROMOTED, ROLLED_BACK):
                    return Ending(ended.revision, ended.outcome, ended.reason, ended.message, began, now)
                revision = seen.candidate.revision if seen.candidate else revision
            if now - began > patience:
                return Ending(revision, "", "", f"not within {patience:.0f} s; {describe(seen)}", began, now)
            self._watch(load)
            self._pause(f"{_where(seen)}; {self._answered} requests, {self._failed} failed")

    def _back_to_stable(self, load: Load) -> None:
        """Asks for the stable model again, and gives the other one's pods a while to go.

        Where scrapes are rare it is minutes until nothing is seen to ask for them any more; they disturb nobody.
        """
        began = self.unix_time()
        try:
            generation = self._apply(self._stable)
            while not self._is_live(generation):
                if self.unix_time() - began > SETTLE_SECONDS:
                    self.progress.note(f"not settled within {SETTLE_SECONDS:.0f} s: {describe(self.observer.seen)}")
                    break
                self._wait(load, 1.0, "waiting for the stable revision")
            while self._workloads() > 1 and self.unix_time() - began < OTHERS_SECONDS:
                self._wait(load, 1.0, "waiting for the other revision to go")
        except KUBECTL_FAILED as error:
            self.progress.note(f"couldn't go back to stable: {error}")
        self._remember_stable()
        self._wait(load, REST_SECONDS, "")

    def _remember_stable(self) -> None:
        if stable := self.observer.seen.stable:
            self.log.versions.setdefault(stable.revision, self._stable[0])

    def _apply(self, version: Version) -> int:
        """Returns the generation that the spec has now: a status of an older one says nothing about it."""
        model, release = version
        self.kubectl.apply(json.dumps(manifest(self.scenario, self.models[model], release, self.files)))
        ours = ("--namespace", self.scenario.namespace, "get", "modeldeployment", NAME)
        return int(self.kubectl.run(*ours, "--output", "jsonpath={.metadata.generation}"))

    def _workloads(self) -> int:
        said = self.kubectl.run("--namespace", self.scenario.namespace, "get", "deployments", "--output", "name")
        return len(said.split())

    def _wait(self, load: Load, seconds: float, what: str) -> None:
        until = self.unix_time() + seconds
        while self.unix_time() < until:
            self._watch(load)
            self._pause(what)

    def _watch(self, load: Load) -> None:
        fresh = load.read_more()
        self._answered += len(fresh)
        self._failed += sum(request.status != 200 for request in fresh)
        if not load.alive:
            raise ScenarioAborted("the load has ended by itself")

    def _pause(self, what: str) -> None:
        """Says now and then what it waits for."""
        if what and self.unix_time() - self._noted >= NOTE_SECONDS:
            self._noted = self.unix_time()
            self.progress.note(f"      {what}")
        self.sleep(LOOK_SECONDS)


def _where(seen: Seen) -> str:
    share = f" at {seen.weight} %" if seen.weight else ""
    return f"{seen.phase or 'no phase'}{share}: {seen.analysis or seen.message or 'nothing said yet'}"
