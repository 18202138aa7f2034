"""Draws the traffic of one run. Pure: the generator is an input.

Requests come by chance at a constant rate (Poisson) and fail by chance, singly or in clumps. Latency is lognormal, with
the buckets and the tail of `ours.simulation.synthetic_traffic`; numpy draws a whole run at once.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.random import Generator

from benchmarks.judge.scenarios import Scenario, Scraping
from benchmarks.judge.tidegate_defaults import MEDIAN
from benchmarks.judge.traffic import HORIZON, PERCENTILES, WEIGHT, Arm, Floats, Ints, Recording
from tidegate.judge.latency_history import BLOCK
from tidegate.metrics.baseline import SPAN
from tidegate.simulation.synthetic_traffic import BOUNDS, SIGMA

PODS_BEFORE = 3
"""Of stable, from which clumps are learned, where pods are all alike."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class _Pod:
    """A part of an arm: its share of all requests, and how many times the arm's error rate it has."""

    share: float
    rate_factor: float = 1.0


@dataclass(frozen=True)
class _Pods:
    stable: list[_Pod]
    candidate: list[_Pod]
    before: list[_Pod]
    baseline: int
    """How many of stable's are the baseline."""


def generate(scenario: Scenario, interval: int, random: Generator, *, asked_directly: bool = False) -> Recording:
    """One run; `interval` is the seconds of a poll."""
    polled = scenario.scraping.polled if scenario.scraping else interval
    step = 1 if scenario.scraping or scenario.takes_time else interval
    middles = _middles(step, HORIZON)
    pods = _pods(scenario, random)
    rates = scenario.stable_rate(middles)
    parts = [_part(scenario, pod, step, rates, 1.0, random) for pod in pods.stable]
    baseline, rest = _summed(parts[: pods.baseline]), parts[pods.baseline :]
    slower = scenario.slower or 1.0
    candidate = _summed(
        [_part(scenario, pod, step, scenario.candidate_rate(middles), slower, random) for pod in pods.candidate]
    )
    stable = _summed([baseline, *rest])
    before = tuple(_before(scenario, pod, random) for pod in pods.before)
    if scenario.scraping is None:
        both = _joined(stable, polled // step), _joined(baseline, polled // step)
        candidate = _joined(candidate, polled // step)
        return Recording(polled, *both, candidate, before, scenario.pods.candidate, asked_directly=asked_directly)
    ours, theirs = random.integers(0, scenario.scraping.every, size=2).tolist()
    scraped = (_scraped(stable, ours, scenario.scraping), _scraped(baseline, ours, scenario.scraping))
    points = scenario.scraping.every // polled
    return Recording(polled, *scraped, _scraped(candidate, theirs, scenario.scraping), before, points_apart=points)


def slow_shares(slower: float) -> list[float]:
    """The shares of requests above stable's true percentiles, of a model that takes so many times as long."""
    return [float(1 - _below(seconds, slower)) for seconds in _percentiles()]


def _pods(scenario: Scenario, random: Generator) -> _Pods:
    """Pods that are all alike needn't be drawn one by one, but for the part that is the baseline."""
    pods = scenario.pods
    if not pods.spread and not scenario.stalls:
        alike = [_Pod(1 / PODS_BEFORE)] * PODS_BEFORE
        return _Pods([_Pod(WEIGHT), _Pod(1 - 2 * WEIGHT)], [_Pod(WEIGHT)], alike, baseline=1)
    rate_factor = np.exp(pods.spread * random.standard_normal(pods.stable + pods.candidate)).tolist()
    of_stable, of_candidate = rate_factor[: pods.stable], rate_factor[pods.stable :]
    return _Pods(
        [_Pod((1 - WEIGHT) / pods.stable, each) for each in of_stable],
        [_Pod(WEIGHT / pods.candidate, each) for each in of_candidate],
        [_Pod(1 / pods.stable, each) for each in of_stable],
        baseline=pods.candidate,
    )


def _before(scenario: Scenario, pod: _Pod, random: Generator) -> Arm:
    """One pod of stable, for as long and in such blocks as the product learns from."""
    block, span = int(BLOCK.total_seconds()), int(SPAN.total_seconds())
    step = 1 if scenario.takes_time else block
    drawn = _part(scenario, pod, step, scenario.stable_rate(_middles(step, span) - span), 1.0, random)
    return _joined(drawn, block // step)


def _middles(step: int, seconds: int) -> Floats:
    return np.arange(step / 2, seconds, step, dtype=np.float64)


def _part(scenario: Scenario, pod: _Pod, step: int, rates: Floats, slower: float, random: Generator) -> Arm:
    requests = random.poisson(scenario.rate * pod.share * step, size=len(rates))
    rates = np.minimum(1.0, rates * pod.rate_factor)
    if scenario.burst_lasts or (scenario.burst_size > 1 and step == 1):
        failed = _failures_that_last(requests, rates, scenario, random)
    else:
        failed = _failures(requests, _with_stalls(rates, scenario, random), scenario.burst_size, random)
    if scenario.slower is None:
        nothing = np.zeros((len(rates), 0), dtype=np.int64)
        return Arm(requests, failed, nothing, nothing)
    return Arm(requests, failed, *_latency(requests, slower, random))


def _failures(requests: Ints, rates: Floats, burst_size: float, random: Generator) -> Ints:
    """A clump is of geometric size, at least one."""
    if burst_size <= 1:
        return random.binomial(requests, rates)
    bursts = random.binomial(requests, rates / burst_size)
    more = random.negative_binomial(np.maximum(bursts, 1), 1 / burst_size)
    return np.minimum(requests, np.where(bursts > 0, bursts + more, 0))


def _failures_that_last(requests: Ints, rates: Floats, scenario: Scenario, random: Generator) -> Ints:
    """Second by second: a clump's first failure, the others within so many seconds of it, or as requests come."""
    begun = np.repeat(np.arange(len(rates)), random.binomial(requests, rates / scenario.burst_size))
    sizes = random.geometric(1 / scenario.burst_size, size=len(begun))
    seconds = np.repeat(begun, sizes) + random.integers(0, scenario.burst_lasts + 1, size=sizes.sum())
    seconds[np.cumsum(sizes) - sizes] = begun
    failed = np.bincount(seconds[seconds < len(rates)], minlength=len(rates))
    for second in range(len(rates) - 1):
        more_than_came = max(0, failed[second] - requests[second])
        failed[second] -= more_than_came
        failed[second + 1] += more_than_came
    return np.minimum(requests, failed)


def _with_stalls(rates: Floats, scenario: Scenario, random: Generator) -> Floats:
    """Second by second: all requests fail in a stall."""
    if scenario.stalls is None:
        return rates
    begins = random.random(len(rates)) < 1 / scenario.stalls.every
    stalled = np.convolve(begins, np.ones(scenario.stalls.last))[: len(rates)] > 0
    return np.where(stalled, 1.0, rates)


def _joined(arm: Arm, many: int) -> Arm:
    """As many rows as one."""
    if many == 1:
        return arm

    def joined(values: Ints) -> Ints:
        summed: Ints = values.reshape(len(values) // many, many, *values.shape[1:]).sum(axis=1)
        return summed

    return Arm(joined(arm.requests), joined(arm.failed), joined(arm.histogram), joined(arm.slow))


def _latency(requests: Ints, slower: float, random: Generator) -> tuple[Ints, Ints]:
    """The cumulative histogram, and the requests above each percentile of stable."""
    cuts = sorted({*BOUNDS, *_percentiles()})
    below = np.array([_below(cut, slower) for cut in cuts])
    drawn = random.multinomial(requests, np.diff(below, prepend=0.0)).cumsum(axis=1)
    histogram = drawn[:, [cuts.index(bound) for bound in BOUNDS]]
    within = drawn[:, [cuts.index(seconds) for seconds in _percentiles()]]
    return histogram, requests[:, np.newaxis] - within


def _below(seconds: float, slower: float) -> float:
    return 1.0 if math.isinf(seconds) else _NORMAL.cdf(math.log(seconds / (MEDIAN * slower)) / SIGMA)


def _percentiles() -> list[float]:
    return [MEDIAN * math.exp(SIGMA * _NORMAL.inv_cdf(percentile / 100)) for percentile in PERCENTILES]


def _summed(parts: list[Arm]) -> Arm:
    whole, *others = parts
    for part in others:
        whole = whole + part
    return whole


def _scraped(arm: Arm, offset: int, scraping: Scraping) -> Arm:
    """From what happened each second to what the polls see of it: each time what the last scrape had counted."""
    looks = np.arange(0, HORIZON + 1, scraping.polled)
    shown = np.maximum(0, offset + (looks - offset) // scraping.every * scraping.every)

    def seen(values: Ints) -> Ints:
        counter = np.concatenate([np.zeros_like(values[:1]), values.cumsum(axis=0)])
        return np.diff(counter[shown], axis=0)

    return Arm(seen(arm.requests), seen(arm.failed), seen(arm.histogram), seen(arm.slow))
