"""One whole run: the cluster, then scenario after scenario, each in a namespace of its own that is gone afterwards."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, time  # noqa: TID251 - for a number that no run has had
from urllib.parse import urlsplit

from benchmarks.baseline import Baseline
from benchmarks.errors import BenchmarkError, ScenarioAborted
from benchmarks.progress import Progress
from benchmarks.releases import report
from benchmarks.releases.models import FAILING, Models, prepare
from benchmarks.releases.payloads import Payloads, draw_payloads
from benchmarks.releases.release_driver import KUBECTL_FAILED, ReleaseDriver, ReleaseLog, longest_seconds
from benchmarks.releases.results import Measured, load_results, measured, merged, save_results
from benchmarks.releases.scenarios import LABEL, NAME, Scenario, blocks, namespace_manifest, together
from benchmarks.releases.testbed import Testbed, demo_folder, folder, testbed_running
from tidegate_demo import files, load, place
from tidegate_demo.cluster.errors import ClusterError
from tidegate_demo.kubectl import Kubectl
from tidegate_demo.load import RunningLoad
from tidegate_demo.traffic import Orders
from tidegate_demo.watch import Sight

GONE_SECONDS = 100


@dataclass(frozen=True)
class Environment:
    """What all scenarios share. `files` is `address:port` of the models, as pods reach it."""

    testbed: Testbed
    models: Models
    files: str
    folder: Path
    progress: Progress


@dataclass(frozen=True)
class Plan:
    """What is measured: scenarios, the baseline to take turns with, and how.

    `size` releases make a turn; `minutes` after the start no turn begins any more; `at_once` scenarios of one turn run
    at the same time; `keep_cluster` leaves it up.
    """

    scenarios: Sequence[Scenario]
    baseline: Baseline | None
    baseline_releases: int
    size: int
    minutes: float
    at_once: int
    keep_cluster: bool
    go_on: bool
    """Whether what was measured before is kept, and this comes on top."""
    baseline_alone: bool = False

    @property
    def turns(self) -> list[tuple[Scenario, ...]]:
        """What is measured one after the other; what is in one turn may be measured at once."""
        commit = self.baseline.commit if self.baseline else ""
        parts = [
            part for scenario in self.scenarios for part in blocks(scenario, commit, self.baseline_releases, self.size)
        ]
        return together([part for part in parts if part.code or not self.baseline_alone], self.at_once)


def run(plan: Plan) -> tuple[Measured, ...]:
    """Takes hours. Raises BenchmarkError when nothing can be measured at all."""
    turns = plan.turns
    progress = Progress(planned=sum(scenario.releases for turn in turns for scenario in turn))
    progress.note("preparing the models")
    models = prepare(demo_folder(), folder(), progress.note)
    offered = {model.path.name: model.path for model in models.by_name.values()}
    with testbed_running(progress, plan.baseline, keep=plan.keep_cluster) as testbed:
        try:
            with files.serving(offered, place.host_address(testbed.cluster)) as address:
                environment = Environment(testbed, models, address, folder(), progress)
                return merged(_measure_all(environment, turns, plan))
        except ClusterError as error:
            raise BenchmarkError(str(error)) from error


def so_far(scenario: Scenario, log: ReleaseLog, payloads: Payloads, models: Models, trouble: str = "") -> Measured:
    """What the requests that have been answered by now say."""
    by_model = {name: payloads.answers(model) for name, model in models.by_name.items()}
    answers = {revision: by_model[name] for revision, name in log.versions.items()}
    return measured(scenario, log.endings, log.requests, answers, trouble)


def _measure_all(environment: Environment, turns: Sequence[Sequence[Scenario]], plan: Plan) -> list[Measured]:
    """Each turn's results are written down at once, so that an early end loses nothing."""
    place_of_results = environment.folder / "results.json"
    found = load_results(place_of_results) if plan.go_on else []
    began, installed = monotonic(), None
    _remove_all(environment.testbed.kubectl, environment.progress)
    for turn in _numbered(turns):
        if found and monotonic() - began > plan.minutes * 60:
            environment.progress.note(f"{plan.minutes:g} minutes are over: the rest isn't measured")
            break
        try:
            if installed != (wanted := (turn[0].code, turn[0].scrape)):
                environment.testbed.set_up(*wanted, environment.progress)
                installed = wanted
        except BenchmarkError as error:
            if not found:
                raise
            found += [Measured(scenario, (), 0, {}, str(error)) for scenario in turn]
        else:
            with ThreadPoolExecutor(len(turn)) as pool:
                found += pool.map(lambda scenario: _measure(environment, scenario), turn)
        save_results(place_of_results, found)
    return found


def _numbered(turns: Sequence[Sequence[Scenario]]) -> Iterator[Sequence[Scenario]]:
    """Each with a number that it has never had before."""
    first = int(time())
    for number, turn in enumerate(turns):
        yield [replace(scenario, part=first + number) for scenario in turn]


def _measure(environment: Environment, scenario: Scenario) -> Measured:
    """What goes wrong inside a scenario ends this one alone."""
    payloads = draw_payloads(environment.models.by_name[FAILING], scenario.failing_share)
    log, trouble = ReleaseLog(), ""
    try:
        _run_scenario(environment, scenario, payloads, log)
    except (ScenarioAborted, ClusterError, *KUBECTL_FAILED) as error:
        trouble = str(error)
        environment.progress.note(f"{scenario.full_title} ended early: {trouble}")
    return so_far(scenario, log, payloads, environment.models, trouble)


def _run_scenario(environment: Environment, scenario: Scenario, payloads: Payloads, log: ReleaseLog) -> None:
    kubectl, progress = environment.testbed.kubectl, environment.progress

    def on_release(number: int) -> None:
        found = so_far(scenario, log, payloads, environment.models)
        progress.note(f"      {report.line(found, found.releases[number - 1])}")

    with _fresh_namespace(kubectl, scenario, progress), Sight(kubectl, scenario.namespace, NAME) as observer:
        by_name = environment.models.by_name
        driver = ReleaseDriver(scenario, by_name, environment.files, kubectl, observer, progress, log)
        progress.note(f"{scenario.full_title}: {scenario.stable} goes live in {scenario.namespace}")
        driver.go_live()
        with _loaded(environment, scenario, payloads) as load:
            log.requests = load.requests
            driver.release_all(load, on_release)


@contextmanager
def _fresh_namespace(kubectl: Kubectl, scenario: Scenario, progress: Progress) -> Iterator[None]:
    kubectl.apply(json.dumps(namespace_manifest(scenario)))
    try:
        yield
    finally:
        progress.note(f"removing {scenario.namespace}")
        try:
            _remove(kubectl, scenario)
        except KUBECTL_FAILED as error:
            progress.note(f"{scenario.namespace} may be left: {error}")


def _remove_all(kubectl: Kubectl, progress: Progress) -> None:
    """What an interrupted run may have left."""
    try:
        kubectl.run("delete", "namespace", "--selector", f"{LABEL}=releases", f"--timeout={GONE_SECONDS}s")
    except KUBECTL_FAILED as error:
        progress.note(f"namespaces may be left: {error}")


def _remove(kubectl: Kubectl, scenario: Scenario) -> None:
    kubectl.run("delete", "namespace", scenario.namespace, "--ignore-not-found", f"--timeout={GONE_SECONDS}s")


@contextmanager
def _loaded(environment: Environment, scenario: Scenario, payloads: Payloads) -> Iterator[RunningLoad]:
    """The open-loop load through the router, while inside. Its records stay in the cache folder."""
    images = environment.folder / f"{scenario.namespace}-images.json"
    load.write_images(images, payloads.images(environment.models.images))
    router = urlsplit(environment.testbed.router)
    orders = Orders(
        address=router.hostname or "",
        port=router.port or 80,
        host=scenario.host,
        path="/predict",
        images_file=str(images),
        records_file=str(environment.folder / f"{scenario.namespace}-requests.jsonl"),
        rate=float(scenario.rate),
        max_seconds=longest_seconds(scenario),
    )
    running = load.start(orders)
    try:
        yield running
    finally:
        running.stop()
