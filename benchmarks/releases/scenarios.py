"""What is released, onto what, and how it has to end; and the ModelDeployments that say so. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmarks.releases.models import FAILING, GOOD, SLOW, TWIN_A, TWIN_B, Model

NAME = "digits"
ROLLED_BACK, PROMOTED = "RolledBack", "Promoted"
RELEASE_VARIABLE = "RELEASE"
REPLICAS = 2


class Kind(StrEnum):
    """What is wrong with the candidate."""

    FAILING = "failing"
    SLOW = "slow"
    EQUAL = "equal"


@dataclass(frozen=True)
class Scenario:
    """`scrape` is the seconds between two scrapes and between two looks of the judge; `patience` the seconds that one
    release may take. `failing_share` of what the load sends are images that the failing model fails on.
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

    @property
    def namespace(self) -> str:
        """Its own, removed afterwards."""
        return f"bench-{self.kind}-{self.scrape}s"

    @property
    def host(self) -> str:
        """Under which the router knows its model."""
        return f"{NAME}.{self.namespace}"

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return f"{self.kind}, scraped every {self.scrape} s"

    def candidate(self, release: int) -> str:
        """The model that a release brings; releases are counted from 1."""
        return self.candidates[(release - 1) % len(self.candidates)]


def failing(scrape: int, releases: int) -> Scenario:
    """The candidate fails on one request in five; stable answers them all."""
    return Scenario(Kind.FAILING, scrape, releases, (10, 50), 0.2, GOOD, (FAILING,), ROLLED_BACK, patience=180)


def slow(scrape: int, releases: int) -> Scenario:
    """The candidate needs 100 ms of a core for each answer: 10 % of the requests would take a whole core of two."""
    return Scenario(Kind.SLOW, scrape, releases, (5, 50), 0.0, GOOD, (SLOW,), ROLLED_BACK, patience=180)


def equal(scrape: int, releases: int) -> Scenario:
    """Stable and candidate fail on the same request in 200. Each release brings the other of two twins."""
    return Scenario(Kind.EQUAL, scrape, releases, (10, 50), 0.005, TWIN_A, (TWIN_B, TWIN_A), PROMOTED, patience=600)


def planned(
    kinds: Collection[Kind], scrapes: Collection[int], *, failures: int, slows: int, equals: int
) -> tuple[Scenario, ...]:
    """The longest scrape interval first, so that each is set up once; only failing models are released under each."""
    shortest = min(scrapes)
    scenarios: list[Scenario] = []
    if Kind.FAILING in kinds:
        scenarios += [failing(scrape, failures) for scrape in sorted(scrapes, reverse=True)]
    if Kind.SLOW in kinds:
        scenarios.append(slow(shortest, slows))
    if Kind.EQUAL in kinds:
        scenarios.append(equal(shortest, equals))
    return tuple(scenario for scenario in scenarios if scenario.releases)


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
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scenario.namespace, "labels": labels}}
