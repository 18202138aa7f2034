"""The whole benchmark: tunes the oracles, simulates every run of every scenario on all cores, and sums up.

A run's traffic depends on the seed, its scenario and its number only: not on which others are chosen, nor on the cores.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.random import Generator

from benchmarks.judge.baselines import argo, flagger
from benchmarks.judge.kayenta import kayenta
from benchmarks.judge.oracle import Harmless, oracles_for, tune
from benchmarks.judge.outcomes import Outcome, Rule
from benchmarks.judge.results import Results, summarize
from benchmarks.judge.scenarios import Scenario, Table
from benchmarks.judge.tidegate_defaults import strict
from benchmarks.judge.tidegate_judge import judge_recording, learned
from benchmarks.judge.traffic import Recording
from benchmarks.judge.traffic_generator import generate
from benchmarks.progress import Progress
from tidegate.model.spec import Analysis

EACH_SECOND = 1
"""Seconds between two readings of routers that are asked directly."""
TOGETHER = 20
"""Runs that one process simulates before it reports."""
CHEAP, RARE = 2, 4
"""Times as many runs of a scenario without latency, which is judged fast, and of one where mistakes are counted."""

Thresholds = Mapping[tuple[Harmless, int], float]
"""An oracle's harmless candidate and window → its threshold."""
Run = Mapping[str, Outcome]
"""What each rule did with the same traffic."""


@dataclass(frozen=True)
class Effort:
    """Runs of a scenario, and harmless runs that each oracle is tuned on."""

    runs: int
    tuning: int


@dataclass(frozen=True)
class Plan:
    """What is simulated."""

    scenarios: Sequence[Scenario]
    analysis: Analysis
    effort: Effort
    seed: int
    ours_alone: bool = False
    """Whether the other rules, which take most of the time, are left out."""

    def runs_of(self, scenario: Scenario) -> int:
        """More where a rollback would be false, as those are rare."""
        if scenario.slower is not None:
            return self.effort.runs
        return self.effort.runs * (RARE if scenario.is_tolerated(self.analysis) else CHEAP)


@dataclass(frozen=True)
class Batch:
    """A few runs of one scenario."""

    scenario: Scenario
    analysis: Analysis
    seed: int
    numbers: range
    thresholds: Thresholds
    ours_alone: bool = False


def run(plan: Plan, pool: Executor, progress: Progress) -> Results:
    """Takes minutes."""
    if not plan.ours_alone:
        progress.note("tuning the oracles")
    thresholds = {} if plan.ours_alone else _tuned(plan, pool)
    batches = [batch for scenario in plan.scenarios for batch in _batches(plan, scenario, thresholds)]
    simulated = _simulated(batches, pool, progress)
    found = (summarize(scenario, plan.analysis, _by_rule(simulated[scenario.title])) for scenario in plan.scenarios)
    return Results(plan.analysis, plan.seed, plan.effort.runs, tuple(found))


def simulate(batch: Batch) -> list[Run]:
    """One after the other."""
    return [
        one_run(
            batch.scenario,
            batch.analysis,
            batch.thresholds,
            _generator(batch.seed, batch.scenario.title, number),
            _generator(batch.seed, batch.scenario.title, number, "each second"),
            ours_alone=batch.ours_alone,
        )
        for number in batch.numbers
    ]


def one_run(
    scenario: Scenario,
    analysis: Analysis,
    thresholds: Thresholds,
    random: Generator,
    again: Generator,
    *,
    ours_alone: bool = False,
) -> Run:
    """Every rule on the same traffic, second by second on other; where promotions are counted, one ends it."""
    recording, analysis = generate(scenario, _seconds(analysis), random), scenario.with_user_settings(analysis)
    overdispersion = learned(recording, analysis)
    tidegate = judge_recording(recording, analysis, overdispersion, until_promoted=scenario.table is Table.PROMOTION)
    directly = _asked_directly(scenario, analysis, again)
    if scenario.is_for_tidegate_alone:
        return {Rule.TIDEGATE: tidegate, **directly}
    ours: dict[str, Outcome] = {
        Rule.TIDEGATE_STRICT: judge_recording(recording, strict(analysis), overdispersion),
        Rule.TIDEGATE: tidegate,
        **directly,
    }
    return ours if ours_alone else {**_others(scenario, analysis, thresholds, recording), **ours}


def _others(scenario: Scenario, analysis: Analysis, thresholds: Thresholds, recording: Recording) -> Run:
    outcomes: dict[str, Outcome] = {
        Rule.ARGO: Outcome(argo(recording)),
        Rule.FLAGGER: Outcome(flagger(recording)),
        Rule.KAYENTA: Outcome(kayenta(recording)),
    }
    for oracle in oracles_for(scenario, analysis):
        threshold = thresholds[oracle.harmless, oracle.window]
        outcomes[oracle.name] = Outcome(oracle.rolled_back(recording, threshold))
    return outcomes


def _asked_directly(scenario: Scenario, analysis: Analysis, random: Generator) -> Run:
    """Ours where routers are asked once a second, on traffic of its own. Nobody asks arms together that count apart."""
    if scenario.scraping:
        return {}
    recording = generate(scenario, EACH_SECOND, random, asked_directly=True)
    overdispersion = learned(recording, analysis)
    until_promoted = scenario.table is Table.PROMOTION
    found: dict[str, Outcome] = {
        Rule.TIDEGATE_DIRECT: judge_recording(recording, analysis, overdispersion, until_promoted=until_promoted)
    }
    if not scenario.is_for_tidegate_alone:
        found[Rule.TIDEGATE_STRICT_DIRECT] = judge_recording(recording, strict(analysis), overdispersion)
    return found


def _tuned(plan: Plan, pool: Executor) -> Thresholds:
    """Each harmless candidate is drawn once, however many oracles are tuned on it."""
    harmless = [oracle.harmless for scenario in plan.scenarios for oracle in oracles_for(scenario, plan.analysis)]
    futures = {
        each: pool.submit(
            tune, each, _seconds(plan.analysis), plan.effort.tuning, _generator(plan.seed, each.rate, each.share)
        )
        for each in dict.fromkeys(harmless)
    }
    return {
        (each, window): threshold for each, future in futures.items() for window, threshold in future.result().items()
    }


def _batches(plan: Plan, scenario: Scenario, thresholds: Thresholds) -> list[Batch]:
    keys = [(oracle.harmless, oracle.window) for oracle in oracles_for(scenario, plan.analysis)]
    needed = {key: thresholds[key] for key in keys if key in thresholds}
    runs = range(plan.runs_of(scenario))
    return [
        Batch(scenario, plan.analysis, plan.seed, runs[first : first + TOGETHER], needed, plan.ours_alone)
        for first in runs[::TOGETHER]
    ]


def _simulated(batches: Sequence[Batch], pool: Executor, progress: Progress) -> dict[str, list[Run]]:
    """Each scenario's runs by its title, in the order of their numbers."""
    futures = {pool.submit(simulate, batch): batch for batch in batches}
    missing = Counter(batch.scenario.title for batch in batches)
    simulated: dict[str, dict[int, list[Run]]] = {title: {} for title in missing}
    try:
        for future in as_completed(futures):
            title, first = futures[future].scenario.title, futures[future].numbers.start
            simulated[title][first] = future.result()
            missing[title] -= 1
            if not missing[title]:
                progress.step(title)
    except BaseException:
        # Else leaving the pool would wait for all that hasn't begun.
        pool.shutdown(cancel_futures=True)
        raise
    return {title: [one for first in sorted(parts) for one in parts[first]] for title, parts in simulated.items()}


def _by_rule(runs: Sequence[Run]) -> dict[str, list[Outcome]]:
    return {rule: [outcomes[rule] for outcomes in runs] for rule in runs[0]}


def _generator(seed: int, *what: object) -> Generator:
    return np.random.default_rng([seed, *(crc32(str(each).encode()) for each in what)])


def _seconds(analysis: Analysis) -> int:
    return int(analysis.interval.total_seconds())
