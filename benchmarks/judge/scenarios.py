"""The conditions that are simulated, one scenario each. Pure.

What the tolerated and the acceptable line are comes from the analysis, so a scenario is at the product's own lines.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.judge.tidegate_defaults import MEDIAN, acceptable_slowdown, rate_at_margin
from benchmarks.judge.traffic import HORIZON, Floats
from tidegate.model.spec import Analysis

RATES = (1, 10, 100)
BASES = (0.001, 0.005, 0.02)
EFFECTS = (2, 5, 20)
MIDDLE = HORIZON / 2

RateShape = Callable[[float, Floats], Floats]
"""Stable's error rate and points of time in seconds → its error rate then."""


class Table(Enum):
    """Where a scenario is reported."""

    SAME = "no difference"
    ERRORS = "errors"
    LATENCY = "latency"
    STRESS = "stress"
    PROMOTION = "promotion"


def constant(base: float, seconds: Floats) -> Floats:
    """The same all the time."""
    return np.full_like(seconds, base)


def incident(base: float, seconds: Floats) -> Floats:
    """Something that both arms depend on fails 5 % of the requests for five minutes."""
    return np.where(abs(seconds - MIDDLE) <= 150, 0.05, base)


def wave(base: float, seconds: Floats) -> Floats:
    """From half of it to twice of it and back: one wave in the horizon."""
    return base * 2 ** np.sin(2 * np.pi * seconds / HORIZON)


def outage(base: float, seconds: Floats) -> Floats:
    """Something that both arms depend on fails half of the requests for 20 s."""
    return np.where(abs(seconds - MIDDLE) <= 10, 0.5, base)


@dataclass(frozen=True)
class Pods:
    """How much luck a pod has with its node: the logarithm of its error rate is off by `spread` (σ)."""

    spread: float = 0.0
    candidate: int = 1
    stable: int = 9


@dataclass(frozen=True)
class Stalls:
    """A pod answers nothing right for so many seconds, once in so many on average, each pod by itself."""

    every: int
    last: int


@dataclass(frozen=True)
class Scraping:
    """Each arm's counters are read every so many seconds, at a time of its own, and polled every so many."""

    every: int
    polled: int


@dataclass(frozen=True)
class Scenario:
    """Traffic in requests per second, stable's error rate, and what the candidate does to it.

    From `begins` (seconds) the candidate's error rate is `times` × stable's + `plus`. Latency is drawn where `slower`
    is given: the candidate takes so many times as long. `overdispersion` and `ceiling` are of the user's analysis.
    """

    table: Table
    name: str
    rate: float
    base: float
    times: float = 1.0
    plus: float = 0.0
    slower: float | None = None
    begins: int = 0
    burst_size: float = 1.0
    burst_lasts: int = 0
    stalls: Stalls | None = None
    pods: Pods = Pods()
    rate_shape: RateShape = constant
    scraping: Scraping | None = None
    overdispersion: float | None = None
    ceiling: float | None = None

    @property
    def title(self) -> str:
        """What it is called where it stands alone."""
        return f"{self.table.value}: {self.name}"

    def stable_rate(self, seconds: Floats) -> Floats:
        """Stable's error rate at points of time."""
        return self.rate_shape(self.base, seconds)

    def candidate_rate(self, seconds: Floats) -> Floats:
        """The candidate's."""
        stable = self.stable_rate(seconds)
        return np.where(seconds >= self.begins, np.minimum(1.0, self.times * stable + self.plus), stable)

    def with_user_settings(self, analysis: Analysis) -> Analysis:
        """The analysis with what the user of this scenario says otherwise."""
        errors = analysis.error_rate
        return replace(
            analysis,
            overdispersion=self.overdispersion or analysis.overdispersion,
            error_rate=replace(errors, ceiling=self.ceiling or errors.ceiling),
        )

    @property
    def takes_time(self) -> bool:
        """Whether failures drag others along that come later."""
        return bool(self.burst_lasts or self.stalls)

    @property
    def is_for_tidegate_alone(self) -> bool:
        """Whether it is about a line or a promise that only the product knows, so that no other rule takes part."""
        return self.table is Table.PROMOTION or (self.table is Table.SAME and not self.is_equal)

    @property
    def is_equal(self) -> bool:
        """Whether the two models are the same."""
        return self.times == 1.0 and self.plus == 0.0 and self.slower in (None, 1.0)

    def is_tolerated(self, analysis: Analysis) -> bool:
        """Whether a rollback would be a false one."""
        candidate = self.times * self.base + self.plus
        # At the line is within it, whatever the last digit of a product says.
        within = candidate <= rate_at_margin(analysis.error_rate.tolerate, self.base) * (1 + 1e-9)
        return within and (self.slower or 1.0) <= 1 + analysis.latency.tolerate

    def is_above_ceiling(self, analysis: Analysis) -> bool:
        """Whether the candidate ever fails so often that it has to go, whatever stable does."""
        every_second = np.arange(HORIZON, dtype=np.float64)
        return bool(self.candidate_rate(every_second).max() > self.with_user_settings(analysis).error_rate.ceiling)


def all_scenarios(analysis: Analysis) -> tuple[Scenario, ...]:
    """In the order of the report."""
    return (*_errors(analysis), *_latency(), *_stress(), *_promotion(analysis))


def chosen(scenarios: Sequence[Scenario], part: str) -> tuple[Scenario, ...]:
    """Those with this in their title. Raises BenchmarkError."""
    found = tuple(scenario for scenario in scenarios if part.casefold() in scenario.title.casefold())
    if not found:
        raise BenchmarkError(f"no cell has {part!r} in its title; there are, for example, {scenarios[0].title!r}")
    return found


def _errors(analysis: Analysis) -> Iterator[Scenario]:
    tolerated = analysis.error_rate.tolerate
    for base in BASES:
        for rate in RATES:
            where = _where(base, rate)
            yield Scenario(Table.SAME, where, rate, base)
            at_the_line = f"{where}, at the tolerance"
            yield Scenario(Table.SAME, at_the_line, rate, base, times=tolerated.ratio, plus=tolerated.absolute)
            for times in EFFECTS:
                yield Scenario(Table.ERRORS, f"{where}, ×{times}", rate, base, times=times)


def _latency() -> Iterator[Scenario]:
    for slower, said in ((1.0, "no difference"), (1.2, "+20 %"), (2.0, "+100 %")):
        for rate in RATES:
            yield Scenario(Table.LATENCY, f"{rate}/s, {said}", rate, BASES[0], slower=slower)


def _stress() -> Iterator[Scenario]:
    yield Scenario(Table.STRESS, "no traffic at all", 0, 0)
    for rate in (0.02, 0.1):
        yield Scenario(Table.STRESS, f"{rate}/s, no errors", rate, 0)
    for rate in (10, 100):
        yield from _stress_at(rate)
        yield from _clumps_that_last(rate)
    for spread in (0.3, 0.6):
        for pods in (1, 3):
            name = f"lucky and unlucky pods (σ {spread}), {pods} of the candidate, 100/s"
            yield Scenario(Table.STRESS, name, 100, 0.005, pods=Pods(spread, candidate=pods))
    yield Scenario(Table.STRESS, "outage of both arms, 100/s", 100, 0.005, rate_shape=outage)
    yield Scenario(
        Table.STRESS, "outage of both arms, ceiling: 100 %, 100/s", 100, 0.005, rate_shape=outage, ceiling=1.0
    )
    for polled in (15, 5):
        yield from _scraped_apart(Scraping(every=15, polled=polled))


def _stress_at(rate: int) -> Iterator[Scenario]:
    base, bursts = 0.005, 3.0
    yield Scenario(Table.STRESS, f"incident of both arms, {rate}/s", rate, base, rate_shape=incident)
    yield Scenario(Table.STRESS, f"error rate comes and goes, {rate}/s", rate, base, rate_shape=wave)
    yield Scenario(Table.STRESS, f"errors in clumps, {rate}/s", rate, base, burst_size=bursts)
    yield Scenario(
        Table.STRESS,
        f"errors in clumps, dispersion: 1, {rate}/s",
        rate,
        base,
        burst_size=bursts,
        overdispersion=1.0,
    )
    yield Scenario(Table.STRESS, f"errors in clumps, ×5, {rate}/s", rate, base, times=5, burst_size=bursts)
    yield Scenario(Table.STRESS, f"×5 after 15 minutes, {rate}/s", rate, base, times=5, begins=int(MIDDLE))


def _clumps_that_last(rate: int) -> Iterator[Scenario]:
    base = 0.005
    for times, said in ((1, ""), (5, "×5, ")):
        name = f"errors in clumps of 8 s, {said}{rate}/s"
        yield Scenario(Table.STRESS, name, rate, base, times=times, burst_size=3.0, burst_lasts=8)
    for candidate in (1, 3):
        pods, stalls = Pods(candidate=candidate), Stalls(every=300, last=3)
        name = f"each pod stalls for 3 s every 5 minutes, {candidate} of the candidate, {rate}/s"
        yield Scenario(Table.STRESS, name, rate, base, pods=pods, stalls=stalls)


def _scraped_apart(scraping: Scraping) -> Iterator[Scenario]:
    apart, base = f"arms scraped apart, polls of {scraping.polled} s", 0.005
    name = f"outage of both arms, ceiling: 100 %, {apart}, 100/s"
    yield Scenario(Table.STRESS, name, 100, base, rate_shape=outage, scraping=scraping, ceiling=1.0)
    yield Scenario(Table.STRESS, f"×5, {apart}, 100/s", 100, base, times=5, scraping=scraping)


def _promotion(analysis: Analysis) -> Iterator[Scenario]:
    for base in BASES:
        for rate in RATES:
            yield Scenario(Table.PROMOTION, f"{_where(base, rate)}, healthy", rate, base, slower=1.0)
    for polled in (15, 5):
        name = f"{_where(BASES[0], 100)}, healthy, arms scraped apart, polls of {polled} s"
        yield Scenario(Table.PROMOTION, name, 100, BASES[0], slower=1.0, scraping=Scraping(every=15, polled=polled))
    yield from _at_the_acceptance_line(analysis)


def _at_the_acceptance_line(analysis: Analysis) -> Iterator[Scenario]:
    errors, slower = analysis.error_rate.accept, acceptable_slowdown(analysis, MEDIAN)
    for base in BASES:
        for rate in RATES:
            name = f"{_where(base, rate)}, errors at the acceptance line"
            yield Scenario(Table.PROMOTION, name, rate, base, times=errors.ratio, plus=errors.absolute, slower=1.0)
    for rate in RATES:
        name = f"{_where(BASES[0], rate)}, latency at the acceptance line (×{slower:.2f})"
        yield Scenario(Table.PROMOTION, name, rate, BASES[0], slower=slower)


def _where(base: float, rate: int) -> str:
    return f"{base * 100:g} %, {rate}/s"
