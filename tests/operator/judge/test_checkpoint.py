"""A test that is written down and taken up again goes on as if nothing had been."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.judge import checkpoint, drift, e_process
from tidegate.judge import confidence_sequence as ratios
from tidegate.judge.checkpoint import taken_up, written_down
from tidegate.judge.sequential_test import SequentialTest, SequentialTestParameters
from tidegate.metrics.checkpoint import VERSION
from tidegate.model.evidence import (
    Counts,
    Durations,
    Increment,
    LatencyBlock,
    Load,
    Overdispersion,
    PodTraffic,
    Predictions,
    Spread,
)
from tidegate.model.reasons import Policy
from tidegate.model.spec import Analysis, ModelDeploymentSpec

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
REFERENCE = Durations((0.1, 0.2, 0.5, float("inf")), (500, 900, 999, 1000))
BEFORE = Counts(5000, 7, REFERENCE, Predictions({"cat": 90, "dog": 60}, REFERENCE))
BLOCKS = tuple(LatencyBlock(rate, 600, {50: 300, 99: 6}) for rate in (3.0, 3.5))
LEARNED = Overdispersion(2.0, {50: 1.5, 99: 1.0}, {50: 4.0}, Spread(0.1, 4), {50: Spread(0.2, 3)}, "a sentence", BLOCKS)
MADE_FROM_PARAMETERS = {
    "SequentialTest": "parameters context metrics promoting under_load remedy confidence_sequence drift "
    "_blocks _steady _short _looks",
    "Context": "ceiling before",
    "EProcess": "_kappas _log_weights _start_at_once _hazard",
    "Blocks": "_points",
    "SteadyBlocks": "_phi",
    "ShortIncrements": "_enough",
    "ConfidenceSequence": "_needed",
}


@pytest.fixture
def analysis(a_spec: Callable[..., ModelDeploymentSpec]) -> Analysis:
    analysis = a_spec().analysis
    latency = replace(analysis.latency, ceiling=((99, timedelta(milliseconds=500)),))
    return replace(analysis, latency=latency, predictions=replace(analysis.predictions, on_drift=Policy.ROLLBACK))


def increments(seed: int, many: int, *, asked_directly: bool = False) -> Iterator[Increment]:
    chance = random.Random(seed)
    for index in range(1, many + 1):
        arms = [arm(chance, requests, index) for requests in (90, 10)]
        pods = {f"b-{chance.randrange(5)}": arms[1]}
        load = Load(0.45, 0.1) if index % 3 else None
        until, traffic = BEGAN + timedelta(seconds=index), PodTraffic(1.0, arms[1].durations.total)
        since = until - timedelta(seconds=1) if asked_directly else None
        yield Increment(until, arms[0], arms[1], pods, index < many * 0.8, load, since, traffic)


def arm(chance: random.Random, most: int, index: int) -> Counts:
    requests = chance.randrange(most + 1)
    at_most = tuple(sorted(chance.randrange(requests + 1) for _ in range(3)))
    durations = Durations(REFERENCE.bounds, (*at_most, requests))
    failed = min(requests, chance.choice((0, 0, 0, 1, index // 30)))
    cats = chance.randrange(requests + 1)
    return Counts(requests, failed, durations, Predictions({"cat": cats, "dog": requests - cats}, durations))


def again(test: SequentialTest) -> SequentialTest:
    return taken_up(json.loads(json.dumps(written_down(test))))


def state(part: object) -> object:
    """All that an object holds, whatever it is called."""
    if type(part).__module__.startswith("tidegate.judge") and hasattr(part, "__dict__"):
        return {name: state(each) for name, each in vars(part).items()}
    if isinstance(part, Mapping):
        return {key: state(each) for key, each in part.items()}
    if isinstance(part, list | tuple):
        return [state(each) for each in part]
    return part


@pytest.mark.parametrize(("points_apart", "asked_directly"), [(0, False), (5, False), (0, True)])
@pytest.mark.parametrize("seed", range(4))
def test_evidence_is_exactly_the_same_though_it_was_written_down_in_between(
    analysis: Analysis, seed: int, points_apart: int, *, asked_directly: bool
) -> None:
    known = Durations((), ()) if seed % 2 else REFERENCE
    parameters = SequentialTestParameters(analysis, known, LEARNED, replace(BEFORE, durations=known), points_apart)
    undisturbed, resumed = SequentialTest(parameters), SequentialTest(parameters)
    chance = random.Random(seed)
    for increment in increments(seed, 250, asked_directly=asked_directly):
        for test in (undisturbed, resumed):
            test.update(increment) if seed < 2 else test.update_traffic(increment)
            if seed >= 2 and increment.until.second % 5 == 0:
                test.update_details(increment)
        if chance.random() < 0.1:
            resumed = again(resumed)

    assert state(resumed) == state(undisturbed)
    assert undisturbed.increments == 250


def test_whatever_changes_in_a_test_is_written_down(analysis: Analysis) -> None:
    test = SequentialTest(SequentialTestParameters(analysis, REFERENCE))
    for part, kinds in (
        (test, checkpoint.OF_TEST),
        (test.context, checkpoint.OF_CONTEXT),
        (test._blocks, checkpoint.OF_BLOCKS),
        (test._steady, checkpoint.OF_STEADY_BLOCKS),
        (test._short, checkpoint.OF_SHORT_INCREMENTS),
        (test.errors.worse[0], checkpoint.OF_E_PROCESS),
        (test.confidence_sequence, {**checkpoint.OF_CONFIDENCE_SEQUENCE, "_above": None, "_below": None}),
    ):
        assert set(vars(part)) == {*kinds, *MADE_FROM_PARAMETERS[type(part).__name__].split()}
    assert set(vars(test.drift)) == {"_tolerated", "_e_processes"}
    names = {type(metric).__name__: " ".join(sorted(vars(metric))) for metric in (*test.metrics, test.remedy)}
    assert names == {
        "Errors": "_context _errors _gross _phi _spread _users acceptable everybody worse",
        "LatencyMetric": "_context _latency _overdispersion _reference _stretch"
        " acceptable boundaries everybody overload worse",
        "Ceiling": "_ceiling _context _phi _users acceptable everybody weight worse",
        "LatencyCeiling": "_limits _overdispersion acceptable everybody worse",
        "Remedy": "_better _ceiling _context _inside _phi acceptable everybody worse",
    }


def test_other_alternatives_ask_for_another_version() -> None:
    bets = (
        *(e_process.UPWARD, e_process.DOWNWARD, e_process.CEILING_UPWARD, drift.ALTERNATIVES),
        *(
            [f"{each:.9g}" for each in ratios.RATIOS],
            ratios._MORE,
            ratios._FEWER,
            e_process.START_AT_ONCE,
            e_process.HAZARD,
        ),
    )
    assert (VERSION, hashlib.sha256(repr(bets).encode()).hexdigest()[:12]) == (6, "18c8f768d872")


@pytest.mark.parametrize(
    "part", ["parameters", "test", "context", "metrics", "confidence", "drift", "blocks", "steady", "short", "looks"]
)
def test_a_part_of_another_shape_is_refused(analysis: Analysis, part: str) -> None:
    told: dict[str, Any] = written_down(SequentialTest(SequentialTestParameters(analysis, REFERENCE)))
    for other in (None, 7, "x", [["x"]], {"a": 1}):
        with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
            taken_up({**told, part: other})
