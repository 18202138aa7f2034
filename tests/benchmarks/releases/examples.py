"""Made-up results."""

from dataclasses import replace

from benchmarks.releases.results import Measured, Release
from benchmarks.releases.scenarios import PROMOTED, ROLLED_BACK, Scenario, equal, failing, slow

GONE = Release(
    number=1,
    outcome=ROLLED_BACK,
    reason="ErrorRateWorse",
    message="fails on 20% of the requests",
    seconds=21.0,
    observed=7.5,
    requests=80,
    bad=6,
    first_to_last_bad=6.5,
    first_bad_to_zero_traffic=6.8,
    first_to_last_answer=7.2,
    slower_by=0.001,
    sent=4_000,
    lost=0,
)
STUCK = replace(GONE, outcome="", reason="", message="not within 180 s; Canary, not enough evidence")
STAYED = replace(GONE, outcome=PROMOTED, reason="Acceptable", message="as good as stable", seconds=140.0)


def of(scenario: Scenario, *releases: Release, lost: int = 0, trouble: str = "") -> Measured:
    numbered = tuple(replace(release, number=number) for number, release in enumerate(releases, start=1))
    return Measured(scenario, numbered, 12_000, {"reset": lost} if lost else {}, trouble)


def of_failing(*seconds: float, scrape: int = 2, users: int = 6) -> Measured:
    releases = (replace(GONE, first_to_last_bad=value, bad=users) for value in seconds)
    return of(failing(scrape, len(seconds)), *releases)


def of_slow(*seconds: float) -> Measured:
    releases = (replace(GONE, reason="LatencyWorse", first_to_last_answer=value) for value in seconds)
    return of(slow(2, len(seconds)), *releases)


def before(measured: Measured) -> Measured:
    return replace(measured, scenario=replace(measured.scenario, code="abc1234"))


def of_equal(*releases: Release) -> Measured:
    return of(equal(2, len(releases)), *releases)
