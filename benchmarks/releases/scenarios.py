"""What is released, onto what, and how it has to end; and the ModelDeployments that say so. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from benchmarks.releases.models import FAILING, GOOD, SLOW, TWIN_A, TWIN_B, Model

NAME = "digits"
ROLLED_BACK, PROMOTED = "RolledBack", "Promoted"
RELEASE_VARIABLE = "RELEASE"
REPLICAS = 2
LABEL = "tidegate.dev/benchmark"
RATE = 100
"""Requests a second."""
BUSY_RATE = 1000
THIS_CODE = ""
"""The code of this checkout; any other is a commit."""


class Kind(StrEnum):
    """What is wrong with the candidate."""

    FAILING = "failing"
    SLOW = "slow"
    EQUAL = "equal"
    UNSEEN = "unseen"
    """It fails, and Prometheus is away from before the release until its end."""
    BUSY = "busy"
    """It fails, under ten times as many requests."""


FAIL = (Kind.FAILING, Kind.UNSEEN, Kind.BUSY)
"""Those whose candidate fails on one request in five."""
IN_WORDS = {Kind.UNSEEN: "failing without Prometheus", Kind.BUSY: f"failing under {BUSY_RATE:,}/s"}


@dataclass(frozen=True)
class Scenario:
    """`scrape` is the seconds between two scrapes and between two looks of the judge; `patience` the seconds that one
    release may take. `failing_share` of what the load sends are images that the failing model fails on. `code` is the
    commit that is measured, if it isn't this code. `part` numbers what is measured of it at one time.
    """

    kind: Kind
    scrape: int
    releases: int
    weights: tuple[int, ...]
    failing_share: float
    stable: str
    candidates: tuple[str, ...]
    outcome: str
    patience: float
    rate: int = RATE
    code: str = THIS_CODE
    part: int = 0

    @property
    def namespace(self) -> str:
        """Its own, removed afterwards: a router that has counted for one of that name before is asked for no other."""
        return f"bench-{self.kind}-{self.scrape}s{f'-{self.part}' if self.part else ''}"

    @property
    def host(self) -> str:
        """Under which the router knows its model."""
        return f"{NAME}.{self.namespace}"

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return f"{IN_WORDS.get(self.kind, self.kind)}, scraped every {self.scrape} s"

    @property
    def full_title(self) -> str:
        """With the code that is measured, if it isn't this."""
        return f"{self.title}, {self.code}" if self.code else self.title

    def candidate(self, release: int) -> str:
        """The model that a release brings; releases are counted from 1."""
        return self.candidates[(release - 1) % len(self.candidates)]


def failing(scrape: int, releases: int) -> Scenario:
    """The candidate fails on one request in five; stable answers them all."""
    return Scenario(Kind.FAILING, scrape, releases, (10, 50), 0.2, GOOD, (FAILING,), ROLLED_BACK, patience=180)


def unseen(scrape: int, releases: int) -> Scenario:
    """The same, while there is no Prometheus. Whoever needs one never ends such a rollout, so its time is short."""
    return replace(failing(scrape, releases), kind=Kind.UNSEEN, patience=60)


def busy(scrape: int, releases: int) -> Scenario:
    """The same, with more traffic."""
    return replace(failing(scrape, releases), kind=Kind.BUSY, rate=BUSY_RATE)


def slow(scrape: int, releases: int) -> Scenario:
    """The candidate needs 100 ms of a core for each answer: 10 % of the requests would take a whole core of two."""
    return Scenario(Kind.SLOW, scrape, releases, (5, 50), 0.0, GOOD, (SLOW,), ROLLED_BACK, patience=180)


def equal(scrape: int, releases: int) -> Scenario:
    """Stable and candidate fail on the same request in 200. Each release brings the other of two twins."""
    return Scenario(Kind.EQUAL, scrape, releases, (10, 50), 0.005, TWIN_A, (TWIN_B, TWIN_A), PROMOTED, patience=600)


def planned(kinds: Collection[Kind], scrapes: Collection[int], releases: Mapping[Kind, int]) -> tuple[Scenario, ...]:
    """The longest scrape interval first, so that each is set up once.

    Failing models are released under each; equal ones under the shortest; all else under the longest.
    """
    longest_first = sorted(scrapes, reverse=True)
    under: Mapping[Kind, tuple[Callable[[int, int], Scenario], list[int]]] = {
        Kind.FAILING: (failing, longest_first),
        Kind.UNSEEN: (unseen, longest_first[:1]),
        Kind.BUSY: (busy, longest_first[:1]),
        Kind.SLOW: (slow, longest_first[:1]),
        Kind.EQUAL: (equal, longest_first[-1:]),
    }
    made = [
        scenario(scrape, releases[kind])
        for kind, (scenario, listed) in under.items()
        for scrape in listed
        if kind in kinds and releases[kind]
    ]
    return tuple(sorted(made, key=lambda scenario: -scenario.scrape))


def blocks(scenario: Scenario, baseline: str, baseline_releases: int, size: int) -> tuple[Scenario, ...]:
    """The scenario in parts of at most `size` releases, this code's and the baseline's taking turns.

    Whoever was second begins the next turn: to change the code takes half a minute. Without a baseline all is one part.
    """
    if not baseline:
        return (scenario,)
    ours = _parts(scenario, size)
    theirs = _parts(replace(scenario, code=baseline, releases=min(baseline_releases, scenario.releases)), size)
    turns = zip_longest(ours, theirs)
    return tuple(
        part for turn, pair in enumerate(turns) for part in (pair if turn % 2 == 0 else reversed(pair)) if part
    )


def together(parts: Sequence[Scenario], at_once: int) -> list[tuple[Scenario, ...]]:
    """Neighbours of one code and one scrape interval, at most so many, that can be measured at the same time.

    Who takes Prometheus away, or has most of the machine's traffic, is measured alone.
    """
    turns: list[tuple[Scenario, ...]] = []
    left = list(parts)
    while left:
        first = left.pop(0)
        alike = [part for part in left if _bear_each_other(first, part)]
        chosen: list[Scenario] = [first]
        for part in alike:
            if len(chosen) < at_once and part.kind not in {each.kind for each in chosen}:
                chosen.append(part)
                left.remove(part)
        turns.append(tuple(chosen))
    return turns


def _bear_each_other(one: Scenario, other: Scenario) -> bool:
    alone = {Kind.UNSEEN, Kind.BUSY}
    return (one.code, one.scrape) == (other.code, other.scrape) and not alone & {one.kind, other.kind}


def _parts(scenario: Scenario, size: int) -> list[Scenario]:
    left = range(scenario.releases, 0, -size)
    return [replace(scenario, releases=min(size, releases)) for releases in left]


def manifest(scenario: Scenario, model: Model, release: int, files: str) -> dict[str, Any]:
    """The ModelDeployment of one release; 0 is the one that the scenario begins with. `files` is `address:port`."""
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": scenario.namespace},
        "spec": spec(scenario, model, release, files),
    }


def spec(scenario: Scenario, model: Model, release: int, files: str) -> dict[str, Any]:
    """The judge's settings are the defaults, but for how often it looks."""
    return {
        "replicas": REPLICAS,
        "model": {"uri": f"http://{files}/{model.path.name}", "sha256": model.sha256},
        # A revision that was rolled back isn't tried again; the variable makes each release a revision of its own.
        "server": {"env": [{"name": RELEASE_VARIABLE, "value": str(release)}]},
        "strategy": {"canary": {"steps": [{"weight": weight} for weight in scenario.weights]}},
        "analysis": {"interval": f"{scenario.scrape}s"},
    }


def namespace_manifest(scenario: Scenario) -> Mapping[str, Any]:
    """The namespace, with the strictest pod security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", LABEL: "releases"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scenario.namespace, "labels": labels}}
